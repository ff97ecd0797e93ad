"""The compiled loops against the same loops in plain Python, number by number."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ffmem.index.state.kernel import merge_lists, observe
from ffmem.index.state.topk import merge
from ffmem.store.histogram import histogram_edges
from ffmem.store.keys import NO_TOKEN

N_BINS = len(histogram_edges()) - 1


class Kept:
    """What `observe` writes to, before anything was seen."""

    def __init__(self, n_cells: int, n_signs: int, top: int) -> None:
        self.heaps = np.zeros((n_signs, n_cells, top), dtype=np.int64)
        self.least_bits = np.ones((n_signs, n_cells), dtype=np.int32)
        self.histogram = np.zeros((n_signs, N_BINS, n_cells), dtype=np.int32)
        self.minimum = np.full(n_cells, np.inf, dtype=np.float32)
        self.maximum = np.full(n_cells, -np.inf, dtype=np.float32)
        self.n_active = np.zeros(n_cells, dtype=np.int64)
        self.n_active_sentences = np.zeros(n_cells, dtype=np.int64)
        self.sums = np.zeros((2, n_cells))
        self._scratch = np.empty((4, n_cells), dtype=np.float32), np.empty((3, n_cells), dtype=np.int32)

    def observe(
        self, values: np.ndarray, first: int, lengths: list[int], tokens: np.ndarray, every_position: bool
    ) -> None:
        observe(
            np.ascontiguousarray(values, dtype=np.float32), first, np.array(lengths, dtype=np.int64), tokens,
            self.heaps, self.least_bits, self.histogram, self.minimum, self.maximum, self.n_active,
            self.n_active_sentences, self.sums, self._scratch, every_position,
        )  # fmt: skip

    def triggers(self, sign: int, cell: int) -> list[tuple[float, int]]:
        """(coefficient, token) of a list, best first, taken apart by hand."""
        keys = sorted((key for key in self.heaps[sign, cell].tolist() if key), reverse=True)
        return [(float(np.uint32(key >> 32).view(np.float32)), 0xFFFFFFFF - (key & 0xFFFFFFFF)) for key in keys]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n_signs=st.integers(1, 2),
    top=st.integers(1, 5),
    first=st.integers(0, 2),
    every_position=st.booleans(),
    n_batches=st.integers(1, 3),
)
def test_it_keeps_what_a_loop_over_sentences_positions_and_cells_keeps(
    seed: int, n_signs: int, top: int, first: int, every_position: bool, n_batches: int
) -> None:
    rng = np.random.default_rng(seed)
    n_cells, token = 3, 0
    kept = Kept(n_cells, n_signs, top)
    triggers: dict[tuple[int, int], list[tuple[float, int]]] = {}
    everything: list[list[float]] = [[] for _ in range(n_cells)]
    n_sentences = [0] * n_cells
    expected = np.zeros_like(kept.histogram)
    for _ in range(n_batches):
        lengths = rng.integers(-1, 5, rng.integers(1, 4)).tolist()
        values = rng.integers(-4, 5, (len(lengths), 5 + first, n_cells)).astype(np.float32) / 4  # ties, and zeros
        tokens = token + np.arange(len(lengths) * 5).reshape(len(lengths), 5)
        token += tokens.size
        kept.observe(values, first, lengths, tokens, every_position)
        for sentence, length in enumerate(lengths):
            for cell in range(n_cells if length > 0 else 0):
                own = [float(value) for value in values[sentence, first : first + length, cell]]
                everything[cell] += own
                n_sentences[cell] += any(value > 0 for value in own)
                for sign in range(n_signs):
                    signed = [-value if sign else value for value in own]
                    expected[sign, :, cell] += np.histogram([max(signed)], histogram_edges())[0]
                    at = [signed.index(max(signed))] if not every_position else range(length)
                    found = triggers.setdefault((sign, cell), [])
                    found += [(signed[p], int(tokens[sentence, p])) for p in at if signed[p] > 0]
    for (sign, cell), found in triggers.items():
        assert kept.triggers(sign, cell) == sorted(found, key=lambda one: (-one[0], one[1]))[:top]
    assert (kept.histogram == expected).all()
    assert kept.n_active_sentences.tolist() == n_sentences
    for cell, all_values in enumerate(everything):
        assert kept.n_active[cell] == sum(value > 0 for value in all_values)
        assert kept.minimum[cell] == min(all_values, default=np.inf)
        assert kept.maximum[cell] == max(all_values, default=-np.inf)
        assert kept.sums[:, cell].tolist() == [sum(all_values), sum(value * value for value in all_values)]


def test_of_equal_coefficients_at_the_cut_the_smaller_token_stays_whatever_came_first() -> None:
    tokens = np.array([[40], [10], [30], [20]])
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
        kept = Kept(1, 1, 2)
        kept.observe(np.ones((4, 1, 1)), 0, [1] * 4, tokens[order], every_position=False)
        assert kept.triggers(0, 0) == [(1.0, 10), (1.0, 20)]


def test_of_equal_coefficients_within_a_sentence_the_first_position_is_its_best() -> None:
    kept = Kept(1, 2, 3)
    kept.observe(np.array([[[-2.0], [3.0], [3.0], [-2.0]]]), 0, [4], np.array([[5, 6, 7, 8]]), every_position=False)
    assert kept.triggers(0, 0) == [(3.0, 6)] and kept.triggers(1, 0) == [(2.0, 5)]


def test_zero_and_its_negative_are_no_trigger_and_the_smallest_number_is_one() -> None:
    kept = Kept(3, 2, 2)
    kept.observe(np.array([[[0.0, -0.0, 1e-45]]]), 0, [1], np.array([[NO_TOKEN - 1]]), every_position=False)
    smallest = float(np.float32(1e-45))
    assert [kept.triggers(0, cell) for cell in range(3)] == [[], [], [(smallest, NO_TOKEN - 1)]]
    assert [kept.triggers(1, cell) for cell in range(3)] == [[], [], []]
    assert kept.n_active.tolist() == [0, 0, 1]


def test_what_a_full_list_has_last_is_what_the_next_must_beat() -> None:
    kept = Kept(1, 1, 2)
    for value, token in ((5.0, 0), (7.0, 1)):
        kept.observe(np.full((1, 1, 1), value), 0, [1], np.array([[token]]), every_position=False)
    assert kept.least_bits[0, 0] == np.float32(5).view(np.int32)
    kept.observe(np.full((1, 1, 1), 6.0), 0, [1], np.array([[2]]), every_position=False)
    assert kept.least_bits[0, 0] == np.float32(6).view(np.int32)
    assert kept.triggers(0, 0) == [(7.0, 1), (6.0, 2)]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_the_compiled_merge_of_lists_is_that_of_tensors(data: st.DataObject) -> None:
    top, n_lists = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 5))
    ours, theirs = np.zeros((2, n_lists, top), dtype=np.int64)
    for row in range(n_lists):
        keys = data.draw(st.lists(st.integers(1, 60), unique=True, max_size=2 * top))
        n_ours = data.draw(st.integers(max(0, len(keys) - top), min(top, len(keys))))
        for target, part in ((ours, keys[:n_ours]), (theirs, keys[n_ours:])):
            target[row, : len(part)] = sorted(part, reverse=True)
    expected = merge(torch.from_numpy(ours), torch.from_numpy(theirs)).numpy()
    before = theirs.copy()
    merge_lists(ours, theirs)
    assert np.array_equal(ours, expected) and np.array_equal(theirs, before)


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([9, 5, 0], [7, 6, 0], [9, 7, 6]),
        ([9, 5, 3], [2, 1, 0], [9, 5, 3]),
        ([3, 2, 1], [9, 8, 7], [9, 8, 7]),
        ([0, 0, 0], [4, 0, 0], [4, 0, 0]),
        ([4, 0, 0], [0, 0, 0], [4, 0, 0]),
    ],
)
def test_lists_that_are_merged(ours: list[int], theirs: list[int], expected: list[int]) -> None:
    first, second = np.array([ours], dtype=np.int64), np.array([theirs], dtype=np.int64)
    merge_lists(first, second)
    assert first.tolist() == [expected]
