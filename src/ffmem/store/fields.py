"""What is kept of every cell: one table, from which states, layer files, joins and byte counts are all derived.

A further statistic of a cell is a line in `FIELDS`, and the line in index/state/layers.py that computes it.
"""

from dataclasses import dataclass
from math import prod
from typing import Literal

import numpy as np

from ffmem.ids import LayerCells
from ffmem.store.histogram import N_BINS

Join = Literal["best", "exact", "add", "minimum", "maximum"]
"""How two states become one: the best keys of both lists; exact sums, in parts (see statistics.ExactSum); or elementwise."""


@dataclass(frozen=True)
class Field:
    """An array of a state: of one layer while it is built, and in a layer file where it is stored as such."""

    name: str
    dtype: str
    axes: str
    """Names of its axes, as in `axis_sizes`; the one of cells, or of groups of cells, joins those of several groups."""
    join: Join
    start: float = 0
    """What it holds before anything was seen."""
    stored: tuple[str, str] | None = None
    """Type and axes in a layer file, those axes in any order; None: as here. Keys are unpacked instead."""

    @property
    def group_axis(self) -> int:
        """The axis along which the arrays of several groups of cells are joined."""
        names = self.axes.split()
        return names.index("cells" if "cells" in names else "groups")

    @property
    def is_elementwise(self) -> bool:
        """Whether it is joined number by number, and so kept and stored as it is."""
        return self.join in ("add", "minimum", "maximum")

    @property
    def layer_form(self) -> tuple[str, str]:
        """Type and axes in a layer file."""
        return self.stored or (self.dtype, self.axes)

    def shape(self, sizes: dict[str, int]) -> tuple[int, ...]:
        """Its shape, from the length of each axis."""
        return shape_of(self.axes, sizes)

    def empty(self, sizes: dict[str, int]) -> np.ndarray:
        """The array before anything was seen."""
        return np.full(self.shape(sizes), self.start, dtype=self.dtype)

    def to_layer(self, array: np.ndarray) -> np.ndarray:
        """The array as a layer file holds it."""
        dtype, axes = self.layer_form
        return _turned(array, self.axes, axes).astype(dtype, copy=False)

    def from_layer(self, array: np.ndarray) -> np.ndarray:
        """What `to_layer` was given."""
        return np.array(_turned(array, self.layer_form[1], self.axes), dtype=self.dtype)


FIELDS: tuple[Field, ...] = (
    Field("keys", "<i8", "n_signs cells top", "best"),
    Field("sum", "<i8", "2 cells", "exact"),
    Field("square_sum", "<i8", "2 cells", "exact"),
    Field("n_active", "<i8", "cells", "add"),
    Field("counts", "<i8", "groups 2", "add"),
    Field("minimum", "<f4", "cells", "minimum", start=np.inf),
    Field("maximum", "<f4", "cells", "maximum", start=-np.inf),
    Field("histogram", "<i4", "n_signs bins cells", "add", stored=("<u4", "cells n_signs bins")),
)
"""Arrays of a state, the wider numbers first, so that all are aligned in its file. keys: see keys.py, best first; counts:
positions and sentences that a group of cells has seen."""

_TRIGGERS = {
    "trigger_coefficient": ("<f4", "cells n_signs top"),
    "trigger_token": ("<u4", "cells n_signs top"),
    "slot_by_token": ("<u4", "slots"),
}
"""What becomes of the keys."""
_PROMOTED = {
    "promoted_ids": ("<u4", "cells k"),
    "promoted_scores": ("<f4", "cells k"),
    "suppressed_ids": ("<u4", "cells k"),
    "suppressed_scores": ("<f4", "cells k"),
}
PROMOTED_ARRAYS = tuple(_PROMOTED)
"""Arrays of a layer file that come from the values alone."""


def layer_arrays() -> dict[str, tuple[str, str]]:
    """Name -> (dtype, axes) of every array of a layer file."""
    return _TRIGGERS | {field.name: field.layer_form for field in FIELDS if field.join != "best"} | _PROMOTED


def axis_sizes(cells: LayerCells, n_signs: int, top: int, n_promoted: int = 0) -> dict[str, int]:
    """Length of each axis of the arrays of a layer; ``n_signs`` is 2 for gated cells (positive, negative), else 1."""
    return {
        "cells": cells.n_cells,
        "groups": cells.n_groups,
        "n_signs": n_signs,
        "top": top,
        "slots": cells.n_cells * n_signs * top,
        "bins": N_BINS,
        "2": 2,
        "k": n_promoted,
    }


def shape_of(axes: str, sizes: dict[str, int]) -> tuple[int, ...]:
    """The shape of an array with these axes."""
    return tuple(sizes[axis] for axis in axes.split())


def state_bytes(sizes: dict[str, int]) -> int:
    """Bytes of the state of a layer."""
    return sum(np.dtype(field.dtype).itemsize * prod(field.shape(sizes)) for field in FIELDS)


def layer_bytes(sizes: dict[str, int]) -> int:
    """Bytes of the arrays of a layer file."""
    return sum(np.dtype(dtype).itemsize * prod(shape_of(axes, sizes)) for dtype, axes in layer_arrays().values())


def _turned(array: np.ndarray, given: str, wanted: str) -> np.ndarray:
    """The array with its axes in another order, contiguous."""
    names = given.split()
    return np.ascontiguousarray(array.transpose([names.index(axis) for axis in wanted.split()]))
