"""What a pass over a corpus learns about every cell, kept in the memory of a GPU: see accumulator.py.

All of it lies in one block of memory, with the cells of all layers beside each other: one copy brings it to the host, one copy
keeps what there was when a shard began, and what is done once a shard is done for all layers at once.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int32, Int64
from torch import Tensor

from ffmem.index.state.accumulator import Accumulator
from ffmem.index.state.gpu_kernel import MAX_TOP, observe
from ffmem.index.state.layers import Places, Shape
from ffmem.index.state.statistics import add_exactly, no_room
from ffmem.index.state.topk import unpack
from ffmem.store.histogram import N_BINS

__all__ = ["MAX_TOP", "GpuAccumulator"]


@dataclass(frozen=True)
class Arrays:
    """The parts of a block of memory; a column, or row, for each cell."""

    lists: Int64[Tensor, "cells signs top"]
    """Keys: see topk.py; in any order."""
    totals: Int64[Tensor, "2 2 cells"]
    """Sum and square sum of the shards that are closed: see statistics.ExactSum."""
    n_active: Int64[Tensor, "cells"]
    open_sums: Float64[Tensor, "3 cells"]
    """Of the open shard: sum, square sum, how many are active."""
    minimum: Float32[Tensor, "cells"]
    maximum: Float32[Tensor, "cells"]
    least: Float32[Tensor, "signs cells"]
    """The smallest coefficient of each full list, else 0."""
    histogram: Int32[Tensor, "signs bins cells"]


def _parts(n_cells: int, n_signs: int, top: int) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    """Types and shapes of Arrays, the largest numbers first, so that each lies as its type asks."""
    return {
        "lists": (torch.int64, (n_cells, n_signs, top)),
        "totals": (torch.int64, (2, 2, n_cells)),
        "n_active": (torch.int64, (n_cells,)),
        "open_sums": (torch.float64, (3, n_cells)),
        "minimum": (torch.float32, (n_cells,)),
        "maximum": (torch.float32, (n_cells,)),
        "least": (torch.float32, (n_signs, n_cells)),
        "histogram": (torch.int32, (n_signs, N_BINS, n_cells)),
    }


class GpuAccumulator(Accumulator):
    """Trigger lists and statistics of every cell, over the shards seen so far, on a GPU.

    Its numbers are those of the other form where its coefficients are the same; sums agree to rounding.

    Cost: twice n_cells x n_signs x (8 x top + 260) bytes of the device.
    """

    def __init__(self, shape: Shape, device: torch.device | str) -> None:
        super().__init__(shape)
        self._starts = np.cumsum([0, *(cells.n_cells for cells in shape.layers)]).tolist()
        self._parts = _parts(self._starts[-1], shape.n_signs, shape.top)
        n_bytes = sum(torch.Size(size).numel() * dtype.itemsize for dtype, size in self._parts.values())
        self._block = torch.zeros(n_bytes, dtype=torch.uint8, device=device)
        self._kept = torch.empty_like(self._block)
        self._arrays = self._arrays_of(self._block)
        self._arrays.minimum.fill_(torch.inf)
        self._arrays.maximum.fill_(-torch.inf)
        self._counts = [np.zeros((cells.n_groups, 2), dtype=np.int64) for cells in shape.layers]
        self._kept_counts = [counts.copy() for counts in self._counts]
        self._host: Arrays | None = None

    def _arrays_of(self, block: Tensor) -> Arrays:
        found: dict[str, Any] = {}
        start = 0
        for name, (dtype, size) in self._parts.items():
            end = start + torch.Size(size).numel() * dtype.itemsize
            found[name] = block[start:end].view(dtype).view(size)
            start = end
        return Arrays(**found)

    can_roll_back = True

    def begin_shard(self) -> None:
        """See Accumulator.begin_shard; keeps what there is."""
        self._kept.copy_(self._block)
        self._kept_counts = [counts.copy() for counts in self._counts]

    def roll_back(self) -> None:
        """See Accumulator.roll_back."""
        self._block.copy_(self._kept)
        self._counts = [counts.copy() for counts in self._kept_counts]

    def observe(
        self, layer: int, coefficients: Float[Tensor, "batch positions cells"], places: Places, group: int = 0
    ) -> None:
        """See Accumulator.observe."""
        n_cells = self.shape.layers[layer].group_size
        start = self._starts[layer] + group * n_cells
        cells = slice(start, start + n_cells)
        every_position = self.shape.per_sentence == "all"
        arrays, there = self._arrays, places.on(coefficients.device, every_position)
        observe(
            coefficients if coefficients.stride(2) == 1 else coefficients.contiguous(),
            places.first_position,
            there.lengths,
            there.tokens,
            there.rows,
            arrays.lists[cells],
            arrays.least[:, cells],
            arrays.histogram[:, :, cells],
            arrays.minimum[cells],
            arrays.maximum[cells],
            arrays.open_sums[:, cells],
            every_position,
        )
        self._counts[layer][group] += np.maximum(places.lengths, 0).sum(), (places.lengths > 0).sum()

    def first_not_finite(self) -> tuple[int, int] | None:
        """See Accumulator.first_not_finite."""
        bad = no_room(self._arrays.totals, self._arrays.open_sums[:2]).any(0)
        if not bad.any():  # the one time in a shard that the host waits
            return None
        cell = int(bad.nonzero()[0])
        layer = int(np.searchsorted(self._starts, cell, side="right")) - 1
        return layer, cell - self._starts[layer]

    def _close_shard(self) -> None:
        arrays = self._arrays
        for total, shard in zip(arrays.totals, arrays.open_sums[:2], strict=True):
            add_exactly(total, shard)
        arrays.n_active.add_(arrays.open_sums[2].long())
        arrays.open_sums.zero_()

    def dump(self, job: str) -> bytes:
        """See Accumulator.dump; everything comes to the host in one copy."""
        self._arrays.lists.copy_(self._arrays.lists.sort(dim=2, descending=True).values)
        self._host = self._arrays_of(self._block.cpu())
        try:
            return super().dump(job)
        finally:
            self._host = None

    def layer(self, layer: int) -> dict[str, np.ndarray]:
        """See Accumulator.layer; only while it is dumped."""
        assert self._host is not None
        host, cells = self._host, slice(self._starts[layer], self._starts[layer + 1])
        return {
            "keys": np.ascontiguousarray(host.lists[cells].numpy().transpose(1, 0, 2)),
            "sum": np.ascontiguousarray(host.totals[0, :, cells].numpy()),
            "square_sum": np.ascontiguousarray(host.totals[1, :, cells].numpy()),
            "n_active": host.n_active[cells].numpy(),
            "minimum": host.minimum[cells].numpy(),
            "maximum": host.maximum[cells].numpy(),
            "histogram": np.ascontiguousarray(host.histogram[:, :, cells].numpy()),
            "counts": self._counts[layer],
        }

    def _load_layer(self, layer: int, state: dict[str, np.ndarray]) -> None:
        arrays, cells = self._arrays, slice(self._starts[layer], self._starts[layer + 1])
        keys = torch.from_numpy(state["keys"])
        arrays.lists[cells].copy_(keys.transpose(0, 1))
        arrays.least[:, cells].copy_(unpack(keys[:, :, -1])[0])
        arrays.totals[0, :, cells].copy_(torch.from_numpy(state["sum"]))
        arrays.totals[1, :, cells].copy_(torch.from_numpy(state["square_sum"]))
        arrays.histogram[:, :, cells].copy_(torch.from_numpy(state["histogram"]))
        for name in ("n_active", "minimum", "maximum"):
            getattr(arrays, name)[cells].copy_(torch.from_numpy(state[name]))
        self._counts[layer][:] = state["counts"]
