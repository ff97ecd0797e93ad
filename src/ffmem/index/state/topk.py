"""Streaming top-t of many cells at once, exact under one total order. Tensors in, tensors out; knows no model.

A trigger is one int64 key: see store/keys.py. All keys of a cell differ, so merging is associative and commutative: the
result does not depend on the order in which batches, shards or workers come.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ffmem.store.keys import EMPTY, join, tokens_of, upper

Locate = Callable[[Int[Tensor, "hits"], Int[Tensor, "hits"]], Int[Tensor, "hits"]]

_SMALLEST_POSITIVE = 2.0**-149


def pack(coefficients: Float[Tensor, "*n"], tokens: Int[Tensor, "*n"]) -> Int[Tensor, "*n"]:
    """Keys that order triggers by coefficient, descending, then token index, ascending.

    Args:
        coefficients: float32, positive and finite.
        tokens: int64 token indices from 0 to NO_TOKEN - 1.
    """
    return join(coefficients.contiguous().view(torch.int32).long(), tokens)


def unpack(keys: Int[Tensor, "*n"]) -> tuple[Float[Tensor, "*n"], Int[Tensor, "*n"]]:
    """Coefficients (float32; 0 for empty slots) and token indices (int64; NO_TOKEN for empty slots) of keys."""
    return upper(keys).int().view(torch.float32), tokens_of(keys)


def merge(first: Int[Tensor, "cells top"], second: Int[Tensor, "cells top"]) -> Int[Tensor, "cells top"]:
    """The best t keys of each cell in both sets together, in descending order."""
    return torch.cat((first, second), dim=1).topk(first.shape[1], dim=1).values


class TopT:
    """The t best triggers that each cell has met so far.

    New candidates above a cell's current t-th best are appended to a buffer beside its list; full buffers are folded
    in. So the common case costs one comparison a candidate, and the order of arrival does not matter.

    Cost: 8 bytes x cells x (t + buffer).
    """

    def __init__(self, n_cells: int, top: int, device: torch.device | str = "cpu") -> None:
        self._top = top
        self._buffer = max(top, 32)
        self._keys = torch.full((n_cells, top + self._buffer), EMPTY, dtype=torch.int64, device=device)
        self._n_buffered = torch.zeros(n_cells, dtype=torch.int64, device=device)
        self._threshold = torch.full((n_cells,), _SMALLEST_POSITIVE, dtype=torch.float32, device=device)

    def update(self, scores: Float[Tensor, "rows cells"], locate: Locate) -> None:
        """Let every positive score compete for its cell's list.

        Args:
            scores: float32 coefficients, turned so that the list's sign is positive.
            locate: (row indices, cell indices) of the few scores that pass -> their token indices (int64). Called
                late, so that the position of a score is looked up for candidates only.
        """
        for start in range(0, scores.shape[0], self._buffer):
            self._update_rows(scores[start : start + self._buffer], start, locate)

    def _update_rows(self, scores: Float[Tensor, "rows cells"], first_row: int, locate: Locate) -> None:
        # ">=", not ">": an equal coefficient with a smaller token index still belongs in the list
        rows, cells = (scores >= self._threshold).nonzero(as_tuple=True)
        if len(cells) == 0:
            return
        keys = pack(scores[rows, cells], locate(rows + first_row, cells))
        by_cell = cells.argsort(stable=True)
        keys, cells = keys[by_cell], cells[by_cell]
        n_new = torch.bincount(cells, minlength=len(self._threshold))
        full = self._n_buffered + n_new > self._buffer
        if full.any():
            self._fold(full | (self._n_buffered > self._buffer // 2))
        first_slot = torch.arange(0, self._keys.numel(), self._keys.shape[1], device=cells.device)
        first_slot += self._top + self._n_buffered - (n_new.cumsum(0) - n_new)
        slots = first_slot[cells] + torch.arange(len(cells), device=cells.device)
        self._keys.view(-1).scatter_(0, slots, keys)
        self._n_buffered += n_new

    def _fold(self, which: Bool[Tensor, "cells"]) -> None:
        rows = which.nonzero().squeeze(1)
        best = self._keys[rows].topk(self._top, dim=1).values
        self._keys[rows, : self._top] = best
        self._keys[rows, self._top :] = EMPTY
        self._n_buffered[rows] = 0
        self._threshold[rows] = unpack(best[:, -1])[0].clamp_min(_SMALLEST_POSITIVE)

    def keys(self) -> Int[Tensor, "cells top"]:
        """The lists, best first, EMPTY slots last."""
        self._fold(self._n_buffered > 0)
        return self._keys[:, : self._top].sort(dim=1, descending=True).values

    def load(self, keys: Int[Tensor, "cells top"]) -> None:
        """Start from lists that `keys` gave."""
        self._keys.fill_(EMPTY)
        self._keys[:, : self._top] = keys
        self._fold(torch.ones_like(self._n_buffered, dtype=torch.bool))
