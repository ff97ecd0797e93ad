"""Where each cell is active in a stretch of text, a bit for each position and cell, and how contributions are spread."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int, Int32, UInt8
from torch import Tensor

from ffmem.analyses.prefixes import Pass, passes
from ffmem.analyses.sparsity.limits import value_lengths
from ffmem.analyses.sparsity.stretch import Stretch
from ffmem.models.transformer import Transformer
from ffmem.options import Bos

BLOCK = 256
"""Cells that are unpacked at a time."""
_ENERGY = 0.9
"""Share of the energy of a position that the fewest strongest cells are to have."""


@dataclass(frozen=True)
class LayerActive:
    """One layer."""

    packed: UInt8[np.ndarray, "positions bytes"]
    """Where cells are active, a bit each: see `numpy.packbits`."""
    n_cells: int
    seen: Bool[np.ndarray, "positions groups"] | None
    """Of a mixture, which experts each position is routed to."""
    balance: Float64[np.ndarray, "cells"]
    """Sum of each cell's coefficients where it is active: above 0 if it mostly adds its value."""
    n_strongest: Int32[np.ndarray, "positions"]
    """The fewest cells that have 90 % of the energy, the sum of m squared times the length of v squared; 0 if there is none."""
    largest_share: Float32[np.ndarray, "cells"]
    """Of a position's energy, the largest that each cell has anywhere."""

    def blocks(self) -> Iterator[tuple[slice, UInt8[np.ndarray, "positions some"]]]:
        """Some cells at a time, and where each is active (1)."""
        for first in range(0, self.n_cells, BLOCK):
            some = slice(first, min(first + BLOCK, self.n_cells))
            bits = np.unpackbits(self.packed[:, first // 8 : (first + BLOCK) // 8], axis=1)
            yield some, bits[:, : some.stop - some.start]

    @property
    def n_seen(self) -> int | np.ndarray:
        """Positions that each cell has seen: all, or those that are routed to its expert."""
        if self.seen is None:
            return len(self.packed)
        return np.repeat(self.seen.sum(0), self.n_cells // self.seen.shape[1])


class _Layer:
    """What becomes a `LayerActive`."""

    def __init__(self, n: int, n_cells: int, n_groups: int) -> None:
        self.active = np.zeros((n, -(-n_cells // 8)), dtype=np.uint8)
        self.seen = np.zeros((n, n_groups), dtype=bool)
        self.balance, self.largest = torch.zeros(n_cells, dtype=torch.float64), torch.zeros(n_cells)
        self.strongest = np.zeros(n, dtype=np.int32)
        self.n_cells = n_cells

    def take(
        self, at: np.ndarray, m: Float[Tensor, "some cells"], lengths: Float[Tensor, "cells"], limit: float | None
    ) -> None:
        """Take the coefficients of all cells at some positions; active are those above 0, or of a size above the limit."""
        sizes = m.abs() * lengths
        active = m > 0 if limit is None else sizes > limit
        self.active[at] = np.packbits(active.cpu().numpy(), axis=1)
        self.balance += torch.where(active, m, 0).sum(0, dtype=torch.float64).cpu()
        energy = sizes.square()
        total = energy.sum(1)
        self.largest = torch.maximum(self.largest, (energy / total.clamp(min=1e-30)[:, None]).amax(0).cpu())
        ordered = energy.sort(1, descending=True).values.cumsum(1)
        enough = 1 + (ordered < _ENERGY * total[:, None]).sum(1)
        self.strongest[at] = torch.where(total > 0, enough, 0).cpu().numpy()


def active_cells(
    model: Transformer,
    stretch: Stretch,
    bos: Bos,
    limits: Sequence[float] | None = None,
    listen: Callable[[int], None] = lambda _: None,
) -> list[LayerActive]:
    """Where each cell of each layer is active.

    Args:
        model: the model.
        stretch: what it reads.
        bos: special tokens, which do not count.
        limits: of each layer, what the size |m||v| of a contribution must exceed; None: m > 0 counts.
        listen: told how many positions are done.

    Cost: a forward pass over the stretch; memory of a bit for each position and cell.
    """
    cells = model.cells.layers
    found = [_Layer(len(stretch), one.n_cells, one.n_groups) for one in cells]
    lengths = value_lengths(model)
    done = 0
    for one in passes(model, stretch.tokens, bos, device=str(model.device)):
        rows, at = _places(stretch, one)

        def keep(place: int, m: Tensor, rows: Tensor = rows, at: np.ndarray = at) -> None:
            own = m.reshape(-1, m.shape[-1])[rows.to(m.device)].float()
            found[place].take(at, own, lengths[place], None if limits is None else limits[place])

        experts = partial(_note_expert, found, rows, at)
        with torch.inference_mode(), model.watch_coefficients(keep):
            model.forward(one.token_ids, one.attention_mask)
        if any(layer.n_experts for layer in cells):  # which experts saw what: told by another kind of watching
            mixtures = [place for place, layer in enumerate(cells) if layer.n_experts]
            with torch.inference_mode(), model.watch_coefficients(keep, experts, layers=mixtures):
                model.forward(one.token_ids, one.attention_mask)
        done += len(at)
        listen(done)
    return [
        LayerActive(
            packed=layer.active,
            n_cells=layer.n_cells,
            seen=layer.seen if own.n_experts else None,
            balance=layer.balance.numpy(),
            n_strongest=layer.strongest,
            largest_share=layer.largest.numpy(),
        )
        for layer, own in zip(found, cells, strict=True)
    ]


def _places(stretch: Stretch, one: Pass) -> tuple[Int[Tensor, "some"], np.ndarray]:
    """The places of a pass in its flattened batch that count, ascending, and the numbers of their positions."""
    width, rows, numbers = one.token_ids.shape[1], [], []
    for row, sentence in enumerate(one.sentences):
        begin = row * width + one.first + int(stretch.skip[sentence])
        n = int(stretch.lengths[sentence])
        rows.append(np.arange(begin, begin + n))
        numbers.append(np.arange(stretch.starts[sentence], stretch.starts[sentence] + n))
    return torch.from_numpy(np.concatenate(rows)), np.concatenate(numbers)


def _note_expert(
    found: list[_Layer], rows: Tensor, at: np.ndarray, place: int, expert: int, routed: Tensor, _: Tensor
) -> None:
    """Note which of the positions that count an expert sees."""
    found[place].seen[at[np.isin(rows.numpy(), routed.cpu().numpy())], expert] = True
