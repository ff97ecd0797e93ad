"""Running statistics of every cell of a layer. Tensors in, tensors out; knows no model.

Sums are kept as integers: each shard's float64 sum is rounded once to a multiple of 2**-40 and added as whole numbers,
so that totals do not depend on how shards were grouped or in which order they came. What would not fit is refused before it
is added: see `no_room`.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ffmem.errors import ModelError
from ffmem.ids import CellId
from ffmem.store import fields
from ffmem.store.histogram import LOWEST_EXPONENT, N_BINS

_FRACTION_BITS = 40
LIMIT = 2**62
"""What a total stays below, so that two of them can be added as int64 and looked at afterwards."""
_FIRST_BIN = 2 * (127 + LOWEST_EXPONENT) - 1
"""Bin b >= 1 holds the floats whose bits, shifted right by 22 (exponent and first bit of the mantissa), are this + b."""


def histogram_bins(values: Float[Tensor, "*n"]) -> Int[Tensor, "*n"]:
    """The bin of each value (int32), from the bits of the float32, without a logarithm."""
    return (values.contiguous().view(torch.int32) >> 22).sub_(_FIRST_BIN).clamp_(0, N_BINS - 1)


class ExactSum:
    """A sum of float64 vectors as integers, associative and commutative, one vector a shard.

    Holds whole parts and multiples of 2**-40 apart; exact for up to 2**22 addends and totals below `LIMIT`.
    """

    def __init__(self, n_cells: int) -> None:
        self.parts: Int[Tensor, "2 cells"] = torch.zeros(2, n_cells, dtype=torch.int64)

    def add(self, values: Float[Tensor, "cells"]) -> None:
        """Add one float64 vector, for which there must be room: see `no_room`."""
        add_exactly(self.parts, values)


def add_exactly(parts: Int[Tensor, "2 cells"], values: Float[Tensor, "cells"]) -> None:
    """Add a float64 vector to the parts of an `ExactSum`, in place; its host need not wait."""
    whole = values.trunc()
    parts[0] += whole.long()
    parts[1] += ((values - whole) * 2.0**_FRACTION_BITS).round().long()


def no_room(totals: Int[Tensor, "*sums 2 cells"], values: Float[Tensor, "*sums cells"]) -> Bool[Tensor, "*sums cells"]:
    """Where a float64 vector cannot be added to the parts of `ExactSum`: NaN, infinity, or a total beyond the limit.

    Squares that outgrow a float32 within a sentence are beyond it, too: they are infinite.
    """
    return ~(totals[..., 0, :].double().abs() + values.abs() < LIMIT)


def add_parts(ours: Int[np.ndarray, "2 *sums cells"], theirs: Int[np.ndarray, "2 *sums cells"]) -> int | None:
    """Add the parts of another `ExactSum` in place; the column of a total that is then beyond the limit, or None."""
    bad = _beyond(ours) | _beyond(theirs)  # neither is by itself, so that their sum is a number that int64 has
    np.add(ours, theirs, out=ours)
    bad |= _beyond(ours)
    return int(bad.reshape(-1, bad.shape[-1]).any(0).argmax()) if bad.any() else None


def _beyond(parts: Int[np.ndarray, "2 *sums cells"]) -> Bool[np.ndarray, "2 *sums cells"]:
    beyond: np.ndarray = (parts >= LIMIT) | (parts <= -LIMIT)
    return beyond


def sums_too_large(cell: CellId, where: str) -> ModelError:
    """What to raise for a cell whose sums are beyond the limit."""
    return ModelError(
        f"the coefficients of cell {cell} are too large to be summed: {where}",
        f"Expected sums of coefficients, and of their squares, over all positions below 2^62 (about {LIMIT:.2g})",
        "Check whether the weights are damaged. To index the model without this cell, name others: --cells L0-L5 for example; "
        "with less text, --max-tokens, the sums are smaller",
    )


class LayerStatistics:
    """Activity statistics of the cells of one layer over the tokens seen so far.

    Args:
        n_cells: cells of the layer.
        n_signs: 2 keeps a second histogram, of negated per-sentence minima (for cells whose sign is a gauge), else 1.
    """

    def __init__(self, n_cells: int, n_signs: int, device: torch.device | str = "cpu") -> None:
        self.n_tokens = 0
        self.n_sentences = 0
        self.sum = ExactSum(n_cells)
        self.square_sum = ExactSum(n_cells)
        self.n_active = torch.zeros(n_cells, dtype=torch.int64)
        self.n_active_sentences = torch.zeros(n_cells, dtype=torch.int64)
        self.minimum = torch.full((n_cells,), torch.inf, dtype=torch.float32, device=device)
        self.maximum = torch.full((n_cells,), -torch.inf, dtype=torch.float32, device=device)
        # Bins by cells, not cells by bins: most of a sentence's maxima fall into few bins, which then stay in the cache.
        self.histogram = torch.zeros(n_signs, N_BINS, n_cells, dtype=torch.int32, device=device)
        self._cells = torch.arange(n_cells, dtype=torch.int32, device=device)
        # sum, square sum, number of active positions, of sentences with one
        self._shard = torch.zeros(4, n_cells, dtype=torch.float64, device=device)

    def update(
        self, coefficients: Float[Tensor, "sentences positions cells"]
    ) -> tuple[Float[Tensor, "sentences cells"], Float[Tensor, "sentences cells"]]:
        """Count these coefficients; return each sentence's maximum and minimum for each cell.

        Args:
            coefficients: float32, every position of every sentence, no padding.
        """
        maxima, minima = coefficients.amax(1), coefficients.amin(1)
        flat = coefficients.reshape(-1, coefficients.shape[2])
        self._shard[0] += flat.sum(0)
        self._shard[1] += (flat * flat).sum(0)
        self._shard[2] += (flat > 0).sum(0)
        self._shard[3] += (maxima > 0).sum(0)
        torch.maximum(self.maximum, maxima.amax(0), out=self.maximum)
        torch.minimum(self.minimum, minima.amin(0), out=self.minimum)
        self._count(0, maxima)
        if len(self.histogram) > 1:
            self._count(1, -minima)
        self.n_tokens += len(flat)
        self.n_sentences += len(coefficients)
        return maxima, minima

    def _count(self, sign: int, values: Float[Tensor, "sentences cells"]) -> None:
        slots = (histogram_bins(values) * len(self._cells) + self._cells).view(-1).long()
        counts = torch.ones((), dtype=torch.int32, device=values.device).expand(slots.shape)
        self.histogram[sign].view(-1).scatter_add_(0, slots, counts)

    def fields(self) -> dict[str, Tensor]:
        """Those of store/fields.py that are kept here, by name; not copies."""
        sums = {"sum": self.sum.parts, "square_sum": self.square_sum.parts}
        kept = (one.name for one in fields.FIELDS if one.is_elementwise and one.name != "counts")
        return sums | {name: getattr(self, name) for name in kept}

    def first_not_finite(self) -> int | None:
        """Index of a cell for whose sums since the last shard was closed there is no room (NaN, infinity), or None."""
        shard = self._shard[:2].cpu()
        bad = no_room(self.sum.parts, shard[0]) | no_room(self.square_sum.parts, shard[1])
        return int(bad.nonzero()[0]) if bad.any() else None

    def close_shard(self) -> None:
        """Move the shard's sums into the exact totals. State is only ever saved between shards."""
        shard = self._shard.cpu()
        self.sum.add(shard[0])
        self.square_sum.add(shard[1])
        self.n_active += shard[2].long()
        self.n_active_sentences += shard[3].long()
        self._shard.zero_()
