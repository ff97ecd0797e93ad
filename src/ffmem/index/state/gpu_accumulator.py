"""What a pass over a corpus learns about every cell, kept in the memory of a GPU: see accumulator.py.

All of it lies in one block of memory, with the cells of all layers beside each other: one copy brings it to the host, one copy
keeps what there was when a shard began, and what is done once a shard is done for all layers at once.
"""

import math
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int64
from torch import Tensor

from ffmem.ids import LayerCells
from ffmem.index.state.accumulator import Accumulator
from ffmem.index.state.gpu_kernel import MAX_TOP, observe
from ffmem.index.state.layers import Shape
from ffmem.index.state.places import Places
from ffmem.index.state.statistics import add_exactly, no_room
from ffmem.index.state.topk import unpack
from ffmem.index.state.torch_sample import TorchSample
from ffmem.store import fields
from ffmem.store.fields import SAMPLE_FIELDS

__all__ = ["MAX_TOP", "GpuAccumulator"]


@dataclass(frozen=True)
class Arrays:
    """The parts of a block of memory; a column, or row, for each cell."""

    lists: Int64[Tensor, "cells signs top"]
    """Keys: see store/keys.py; in any order."""
    totals: Int64[Tensor, "2 2 cells"]
    """Sum and square sum of the shards that are closed: see statistics.ExactSum."""
    open_sums: Float64[Tensor, "4 cells"]
    """Of the open shard: sum, square sum, how many are active, in how many sentences."""
    least: Float32[Tensor, "signs cells"]
    """The smallest coefficient of each full list, else 0."""
    fields: dict[str, Tensor]
    """Those fields of store/fields.py that are kept as they are, by name."""


_FIELDS = tuple(field for field in fields.FIELDS if field.is_elementwise and field.name != "counts")


def _parts(n_cells: int, n_signs: int, top: int) -> dict[str, tuple[np.dtype[Any], tuple[int, ...]]]:
    """Types and shapes of Arrays, the largest numbers first, so that each lies as its type asks."""
    sizes = fields.axis_sizes(LayerCells(0, n_cells), n_signs, top)
    parts = {
        "lists": ("<i8", (n_cells, n_signs, top)),
        "totals": ("<i8", (2, 2, n_cells)),
        "open_sums": ("<f8", (4, n_cells)),
        "least": ("<f4", (n_signs, n_cells)),
    } | {field.name: (field.dtype, field.shape(sizes)) for field in _FIELDS}
    typed = [(name, (np.dtype(dtype), shape)) for name, (dtype, shape) in parts.items()]
    return dict(sorted(typed, key=lambda part: -part[1][0].itemsize))


def _of_cells(field: fields.Field, array: Tensor, cells: slice) -> Tensor:
    """The part of a field that is about some cells."""
    return array[(slice(None),) * field.group_axis + (cells,)]


class GpuAccumulator(Accumulator):
    """Trigger lists and statistics of every cell, over the shards seen so far, on a GPU.

    Its numbers are those of the other form where its coefficients are the same; sums agree to rounding.

    Cost: twice n_cells x n_signs x (8 x top + 268) bytes of the device.
    """

    def __init__(self, shape: Shape, device: torch.device | str) -> None:
        super().__init__(shape)
        self._starts = np.cumsum([0, *(cells.n_cells for cells in shape.layers)]).tolist()
        self._parts = _parts(self._starts[-1], shape.n_signs, shape.top)
        n_bytes = sum(math.prod(size) * dtype.itemsize for dtype, size in self._parts.values())
        self._block = torch.zeros(n_bytes, dtype=torch.uint8, device=device)
        self._kept = torch.empty_like(self._block)
        self._arrays = self._arrays_of(self._block)
        for field in _FIELDS:
            self._arrays.fields[field.name].fill_(field.start)
        self._samples = [_samples(cells, shape, device) for cells in shape.layers]
        self._counts = [np.zeros((cells.n_groups, 2), dtype=np.int64) for cells in shape.layers]
        self._kept_counts = [counts.copy() for counts in self._counts]
        self._host: Arrays | None = None

    def _arrays_of(self, block: Tensor) -> Arrays:
        parts: dict[str, Tensor] = {}
        start = 0
        for name, (dtype, size) in self._parts.items():
            end = start + math.prod(size) * dtype.itemsize
            parts[name] = block[start:end].view(getattr(torch, dtype.name)).view(size)
            start = end
        kept = {field.name: parts.pop(field.name) for field in _FIELDS}
        return Arrays(**parts, fields=kept)

    can_roll_back = True

    def begin_shard(self) -> None:
        """See Accumulator.begin_shard; keeps what there is."""
        self._kept.copy_(self._block)
        self._kept_counts = [counts.copy() for counts in self._counts]
        for sample in chain.from_iterable(self._samples):
            sample.keep()

    def roll_back(self) -> None:
        """See Accumulator.roll_back."""
        self._block.copy_(self._kept)
        self._counts = [counts.copy() for counts in self._kept_counts]
        for sample in chain.from_iterable(self._samples):
            sample.roll_back()

    def observe(
        self,
        layer: int,
        coefficients: Float[Tensor, "batch positions cells"],
        places: Places,
        group: int = 0,
        open_gates: Bool[Tensor, "batch positions cells"] | None = None,
    ) -> None:
        """See Accumulator.observe."""
        n_cells = self.shape.layers[layer].group_size
        start = self._starts[layer] + group * n_cells
        cells = slice(start, start + n_cells)
        every_position = self.shape.per_sentence == "all"
        arrays, kept, there = self._arrays, self._arrays.fields, places.on(coefficients.device, every_position)
        observe(
            coefficients if coefficients.stride(2) == 1 else coefficients.contiguous(),
            places.first_position,
            there.lengths,
            there.tokens,
            there.rows,
            arrays.lists[cells],
            arrays.least[:, cells],
            kept["histogram"][:, :, cells],
            kept["minimum"][cells],
            kept["maximum"][cells],
            arrays.open_sums[:, cells],
            every_position,
        )
        for sample in self._samples[layer][group : group + 1]:
            sample.observe(coefficients, places)
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
        for name, counted in zip(("n_active", "n_active_sentences"), arrays.open_sums[2:], strict=True):
            arrays.fields[name].add_(counted.long())
        arrays.open_sums.zero_()

    def begin_dump(self) -> None:
        """See Accumulator.begin_dump; everything comes to the host in one copy."""
        self._arrays.lists.copy_(self._arrays.lists.sort(dim=2, descending=True).values)
        self._host = self._arrays_of(self._block.cpu())

    def end_dump(self) -> None:
        """See Accumulator.end_dump."""
        self._host = None

    def layer(self, layer: int) -> dict[str, np.ndarray]:
        """See Accumulator.layer; only while it is dumped."""
        assert self._host is not None
        host, cells = self._host, slice(self._starts[layer], self._starts[layer + 1])
        return {
            "keys": np.ascontiguousarray(host.lists[cells].numpy().transpose(1, 0, 2)),
            "sum": np.ascontiguousarray(host.totals[0, :, cells].numpy()),
            "square_sum": np.ascontiguousarray(host.totals[1, :, cells].numpy()),
            "counts": self._counts[layer],
            **{one.name: np.ascontiguousarray(_of_cells(one, host.fields[one.name], cells).numpy()) for one in _FIELDS},
            **_joined(self._samples[layer]),
        }

    def _load_layer(self, layer: int, state: dict[str, np.ndarray]) -> None:
        arrays, cells = self._arrays, slice(self._starts[layer], self._starts[layer + 1])
        keys = torch.from_numpy(state["keys"])
        arrays.lists[cells].copy_(keys.transpose(0, 1))
        arrays.least[:, cells].copy_(unpack(keys[:, :, -1])[0])
        arrays.totals[0, :, cells].copy_(torch.from_numpy(state["sum"]))
        arrays.totals[1, :, cells].copy_(torch.from_numpy(state["square_sum"]))
        for field in _FIELDS:
            if field.name in state:
                _of_cells(field, arrays.fields[field.name], cells).copy_(torch.from_numpy(state[field.name]))
        self._counts[layer][:] = state["counts"]
        samples = self._samples[layer]
        names = [field.name for field in SAMPLE_FIELDS] + ["minimum", "maximum"] if samples else []
        parts = {name: np.split(state[name], len(samples)) for name in names}
        for number, sample in enumerate(samples):
            sample.load({name: split[number] for name, split in parts.items()})


def _samples(cells: LayerCells, shape: Shape, device: torch.device | str) -> list[TorchSample]:
    """The sample of each group of cells of a layer; none if there is to be none."""
    sizes = shape.sizes(LayerCells(0, cells.group_size))
    return [TorchSample(shape.n_signs, sizes, device) for _ in range(cells.n_groups if shape.sample else 0)]


def _joined(samples: list[TorchSample]) -> dict[str, np.ndarray]:
    """The samples of the groups of a layer, one after the other."""
    states = [sample.state() for sample in samples]
    return {field.name: np.concatenate([state[field.name] for state in states]) for field in SAMPLE_FIELDS if states}
