"""One call of a GPU's loops against plain loops: by Triton's interpreter where there is no GPU, else on the GPU."""

from typing import Any

import numpy as np
import pytest
import torch

from ffmem.store.histogram import histogram_edges
from ffmem.store.keys import NO_TOKEN

pytest.importorskip("triton", reason="triton, which compiles the loops for a GPU, is not installed")

from ffmem.index.state.gpu_kernel import MAX_TOP, observe

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
N_BINS = len(histogram_edges()) - 1


class Kept:
    """What `observe` writes to; of a layer that stands among others, as one that is kept for all layers together."""

    def __init__(self, n_cells: int, n_signs: int, top: int, n_before: int = 0, n_after: int = 0) -> None:
        n = n_before + n_cells + n_after
        self._own = slice(n_before, n_before + n_cells)
        self.lists = torch.zeros(n_cells, n_signs, top, dtype=torch.int64, device=DEVICE)
        self.all: dict[str, torch.Tensor] = {
            "least": torch.zeros(n_signs, n),
            "histogram": torch.zeros(n_signs, N_BINS, n, dtype=torch.int32),
            "minimum": torch.full((n,), torch.inf),
            "maximum": torch.full((n,), -torch.inf),
            "sums": torch.zeros(4, n, dtype=torch.float64),
        }
        self.all = {name: tensor.to(DEVICE) for name, tensor in self.all.items()}

    def of(self, name: str) -> torch.Tensor:
        return self.all[name][..., self._own]

    def others(self, name: str) -> torch.Tensor:
        keep = torch.ones(self.all[name].shape[-1], dtype=torch.bool)
        keep[self._own] = False
        return self.all[name].cpu()[..., keep]

    def observe(
        self, values: torch.Tensor, first: int, lengths: list[int], tokens: np.ndarray, every: bool = False
    ) -> None:
        inside = np.arange(tokens.shape[1]) < np.array(lengths)[:, None]
        rows = np.stack(inside.nonzero()) if every else np.empty((2, 0), dtype=np.int64)
        moved: list[Any] = [torch.from_numpy(array).to(DEVICE) for array in (np.int32(lengths), tokens, rows)]
        observe(
            values.to(DEVICE), first, moved[0].clamp_min(0), *moved[1:], self.lists,
            *(self.of(name) for name in self.all), every,
        )  # fmt: skip

    def triggers(self, sign: int, cell: int) -> list[tuple[float, int]]:
        """(coefficient, token) of a list, best first, taken apart by hand."""
        keys = sorted((key for key in self.lists[cell, sign].tolist() if key), reverse=True)
        return [(float(np.uint32(key >> 32).view(np.float32)), 0xFFFFFFFF - (key & 0xFFFFFFFF)) for key in keys]


@pytest.mark.parametrize(("n_signs", "top", "first", "every"), [(2, 5, 2, False), (1, 3, 1, True)])
def test_it_keeps_what_a_loop_over_sentences_positions_and_cells_keeps(
    n_signs: int, top: int, first: int, every: bool
) -> None:
    rng = np.random.default_rng(top)
    n_cells = 66  # a block of the first kernel, and two more
    kept = Kept(n_cells, n_signs, top, n_before=3, n_after=5)
    triggers: dict[tuple[int, int], list[tuple[float, int]]] = {}
    everything: list[list[float]] = [[] for _ in range(n_cells)]
    n_sentences = [0] * n_cells
    histogram = np.zeros((n_signs, N_BINS, n_cells), dtype=np.int32)
    for token, lengths in ((100, [10, 9, 3, 0]), (0, [2, 2, -1])):  # unrolled, whole and not; the smaller tokens last
        values = (rng.integers(-4, 5, (len(lengths), 10 + first, n_cells)) / 4).astype(np.float32)
        tokens = token + np.arange(len(lengths) * 10).reshape(len(lengths), 10)
        kept.observe(torch.from_numpy(values), first, lengths, tokens, every)
        for sentence, length in enumerate(lengths):
            for cell in range(n_cells if length > 0 else 0):
                own = [float(value) for value in values[sentence, first : first + length, cell]]
                everything[cell] += own
                n_sentences[cell] += any(value > 0 for value in own)
                for sign in range(n_signs):
                    signed = [-value if sign else value for value in own]
                    histogram[sign, np.searchsorted(histogram_edges(), max(signed), "right") - 1, cell] += 1
                    at = range(length) if every else [signed.index(max(signed))]
                    found = triggers.setdefault((sign, cell), [])
                    found += [(signed[p], int(tokens[sentence, p])) for p in at if signed[p] > 0]
    for (sign, cell), found in triggers.items():
        best = sorted(found, key=lambda one: (-one[0], one[1]))[:top]
        assert kept.triggers(sign, cell) == best
        assert kept.of("least")[sign, cell] == (best[-1][0] if len(best) == top else 0)
    assert (kept.of("histogram").cpu().numpy() == histogram).all()
    assert kept.of("minimum").tolist() == [min(own) for own in everything]
    assert kept.of("maximum").tolist() == [max(own) for own in everything]
    sums = [[sum(own), sum(one * one for one in own), sum(one > 0 for one in own)] for own in everything]
    assert kept.of("sums")[:3].T.tolist() == sums
    assert kept.of("sums")[3].tolist() == n_sentences
    for name, start in (("least", 0), ("histogram", 0), ("minimum", np.inf), ("maximum", -np.inf), ("sums", 0)):
        assert (kept.others(name) == start).all(), name


@pytest.mark.parametrize(("lengths", "longest"), [([], 4), ([0, -2], 0)])
def test_a_batch_in_which_nothing_competes_changes_nothing(lengths: list[int], longest: int) -> None:
    kept = Kept(3, 2, 2)
    kept.observe(torch.full((len(lengths), 5, 3), 9.0), 1, lengths, np.zeros((len(lengths), longest), dtype=np.int64))
    assert not kept.lists.any() and not kept.of("sums").any() and not kept.of("histogram").any()
    assert (kept.of("minimum") == torch.inf).all()


def test_zero_and_its_negative_are_no_trigger_and_the_smallest_number_is_one() -> None:
    kept = Kept(3, 2, 2)
    kept.observe(torch.tensor([[[0.0, -0.0, 2.0**-126]]]), 0, [1], np.array([[NO_TOKEN - 1]]))
    assert [kept.triggers(0, cell) for cell in range(3)] == [[], [], [(2.0**-126, NO_TOKEN - 1)]]
    assert [kept.triggers(1, cell) for cell in range(3)] == [[], [], []]
    assert kept.of("sums")[2].tolist() == [0, 0, 1]


def test_a_list_as_long_as_one_may_be_holds_them_all() -> None:
    kept, n = Kept(1, 1, MAX_TOP), 5
    kept.observe(torch.arange(1.0, n + 1).reshape(n, 1, 1), 0, [1] * n, np.arange(n)[:, None])
    assert kept.triggers(0, 0) == [(float(value), value - 1) for value in range(n, 0, -1)]
    assert kept.of("least").item() == 0, "a list that is not full lets every positive number in"
