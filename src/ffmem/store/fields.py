"""What is kept of every cell: one table, from which states, layer files, joins and byte counts are all derived.

A further statistic of a cell is a line in `FIELDS`, and the line in index/state/layers.py that computes it.
"""

from dataclasses import dataclass
from math import prod
from typing import Literal

import numpy as np

from ffmem.ids import LayerCells
from ffmem.store.histogram import N_BINS
from ffmem.store.strata import n_strata

QUADRANTS = ((1, 1), (1, -1), (-1, 1), (-1, -1))
"""Signs of what a gated cell multiplies, gate before its activation and up branch: in this order on disk."""
QUADRANT_SIGNS = tuple(gate * up for gate, up in QUADRANTS)
"""Sign of the coefficients in each, where the activation keeps the sign of the gate: no other is indexed by quadrant."""

Join = Literal["best", "exact", "add", "minimum", "maximum", "sample"]
"""How two states become one: the best keys of both lists; exact sums, in parts (see statistics.ExactSum); elementwise; or
stratum by stratum, once the strata of both are counted down from the same coefficient (see index/state/sample.py)."""


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
    lists: tuple[str, str] | None = None
    """Of keys: the arrays of coefficients and token indices that a layer file has instead."""
    tokens: str | None = None
    """Of keys of a sample: the array of token indices that a layer file has instead."""

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
    Field("keys", "<i8", "n_signs cells top", "best", lists=("trigger_coefficient", "trigger_token")),
    Field("sum", "<i8", "2 cells", "exact"),
    Field("square_sum", "<i8", "2 cells", "exact"),
    Field("n_active", "<i8", "cells", "add"),
    Field("n_active_sentences", "<i8", "cells", "add"),
    Field("counts", "<i8", "groups 2", "add"),
    Field("minimum", "<f4", "cells", "minimum", start=np.inf),
    Field("maximum", "<f4", "cells", "maximum", start=-np.inf),
    Field("histogram", "<i4", "n_signs bins cells", "add", stored=("<u4", "cells n_signs bins")),
)
"""Arrays of every state. keys: see keys.py, best first; counts: positions and sentences that a group of cells has seen."""

ACTIVE_SENTENCES = "n_active_sentences"
"""That of them which older indexes lack, and so what is made of these: sentences in which a cell is active."""

QUADRANT_FIELDS: tuple[Field, ...] = (
    Field("quadrant_keys", "<i8", "quadrants cells top", "best", lists=("quadrant_coefficient", "quadrant_token")),
    Field("quadrant_sum", "<i8", "2 quadrants cells", "exact"),
    Field("quadrant_square_sum", "<i8", "2 quadrants cells", "exact"),
    Field("quadrant_n_active", "<i8", "quadrants cells", "add"),
    Field("quadrant_maximum", "<f4", "quadrants cells", "maximum"),
)
"""What is kept besides if gated cells are indexed by quadrant: of magnitudes, what the fields of these names keep of
coefficients."""

SAMPLE_FIELDS: tuple[Field, ...] = (
    Field("sample_keys", "<i8", "cells strata sample", "sample", tokens="sample_token"),
    Field("sample_coefficient", "<f4", "cells strata sample", "sample"),
    Field("sample_count", "<i8", "cells strata", "sample"),
)
"""What is kept besides if cells have a sample of their positions: see strata.py. Keys: the largest first."""

_SLOTS = {"slot_by_token": ("<u4", "slots")}
"""What else becomes of the keys."""
_PROMOTED = {
    "promoted_ids": ("<u4", "cells k"),
    "promoted_scores": ("<f4", "cells k"),
    "suppressed_ids": ("<u4", "cells k"),
    "suppressed_scores": ("<f4", "cells k"),
}
PROMOTED_ARRAYS = tuple(_PROMOTED)
"""Arrays of a layer file that come from the values alone."""
_LABELS = {"label_scores": ("<f4", "cells labels")}
LABEL_ARRAYS = tuple(_LABELS)
"""Those that an index of a classifier has besides."""


def state_fields(quadrants: bool = False, sample: bool = False, active_sentences: bool = True) -> tuple[Field, ...]:
    """The arrays of a state, perhaps those by quadrant, of a sample too; the wider numbers first, so that all are aligned."""
    own = tuple(field for field in FIELDS if active_sentences or field.name != ACTIVE_SENTENCES)
    found = own + (QUADRANT_FIELDS if quadrants else ()) + (SAMPLE_FIELDS if sample else ())
    return tuple(sorted(found, key=lambda field: -np.dtype(field.dtype).itemsize))


def layer_arrays(
    quadrants: bool = False, sample: bool = False, active_sentences: bool = True, labels: bool = False
) -> dict[str, tuple[str, str]]:
    """Name -> (dtype, axes) of every array of a layer file, perhaps with those by quadrant, of a sample, of labels."""
    arrays: dict[str, tuple[str, str]] = {}
    for field in state_fields(quadrants, sample, active_sentences):
        if field.tokens is not None:
            arrays[field.tokens] = ("<u4", field.axes)
        elif field.lists is None:
            arrays[field.name] = field.layer_form
        else:
            signs, cells, top = field.axes.split()
            coefficients, tokens = field.lists
            arrays |= {coefficients: ("<f4", f"{cells} {signs} {top}"), tokens: ("<u4", f"{cells} {signs} {top}")}
    return arrays | _SLOTS | _PROMOTED | (_LABELS if labels else {})


def axis_sizes(
    cells: LayerCells,
    n_signs: int,
    top: int,
    n_promoted: int = 0,
    quadrants: bool = False,
    sample: int = 0,
    n_labels: int = 0,
    active_sentences: bool = True,
) -> dict[str, int]:
    """Length of each axis of the arrays of a layer.

    Args:
        cells: of the layer.
        n_signs: 2 for gated cells (positive, negative), else 1.
        top: triggers of a list.
        n_promoted: tokens at each end of a value's scores.
        quadrants: whether gated cells are indexed by quadrant, too.
        sample: positions kept of each stratum of a cell; 0: there is no sample.
        n_labels: labels that values have scores of.
        active_sentences: whether the array of this name is there.
    """
    return {
        "strata": n_strata(n_signs) if sample else 0,
        "sample": sample,
        "quadrants": len(QUADRANTS) if quadrants else 0,
        "cells": cells.n_cells,
        "groups": cells.n_groups,
        "n_signs": n_signs,
        "top": top,
        "slots": cells.n_cells * n_signs * top,
        "bins": N_BINS,
        "2": 2,
        "k": n_promoted,
        "labels": n_labels,
        "active_sentences": int(active_sentences),
    }


def shape_of(axes: str, sizes: dict[str, int]) -> tuple[int, ...]:
    """The shape of an array with these axes."""
    return tuple(sizes[axis] for axis in axes.split())


def state_bytes(sizes: dict[str, int]) -> int:
    """Bytes of the state of a layer."""
    return sum(np.dtype(field.dtype).itemsize * prod(field.shape(sizes)) for field in state_fields(*_kept(sizes)))


def layer_bytes(sizes: dict[str, int]) -> int:
    """Bytes of the arrays of a layer file."""
    arrays = arrays_with(sizes).values()
    return sum(np.dtype(dtype).itemsize * prod(shape_of(axes, sizes)) for dtype, axes in arrays)


def arrays_with(sizes: dict[str, int]) -> dict[str, tuple[str, str]]:
    """Name -> (dtype, axes) of every array of a layer file that has axes of these lengths: see `axis_sizes`."""
    return layer_arrays(*_kept(sizes), labels=bool(sizes["labels"]))


def _kept(sizes: dict[str, int]) -> tuple[bool, bool, bool]:
    """Whether there are quadrants, a sample, and sentences in which cells are active."""
    return bool(sizes["quadrants"]), bool(sizes["sample"]), bool(sizes["active_sentences"])


def _turned(array: np.ndarray, given: str, wanted: str) -> np.ndarray:
    """The array with its axes in another order, contiguous."""
    names = given.split()
    return np.ascontiguousarray(array.transpose([names.index(axis) for axis in wanted.split()]))
