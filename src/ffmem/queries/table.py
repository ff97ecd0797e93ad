"""What an index is, one of its cells, and tables of them by a statistic."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from ffmem.cell import Cell
from ffmem.errors import InputError
from ffmem.ids import CellId
from ffmem.notebook import Table
from ffmem.queries.names import places
from ffmem.store.arrays import total_of
from ffmem.store.keys import NO_TOKEN
from ffmem.store.reader import Index

SortKey = Literal["max", "min", "mean", "mean-square", "active", "top", "index"]


@dataclass(frozen=True)
class CellRow:
    """A line of a table of cells."""

    cell: CellId
    active_fraction: float
    mean: float
    mean_square: float
    minimum: float
    maximum: float
    n_triggers: int
    """Filled slots of its lists, both signs together."""
    trigger: str | None
    """String of the token on which its best trigger fires."""
    promoted: tuple[str, ...]
    """Its three most promoted tokens."""

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return self.__dict__ | {"cell": str(self.cell), "promoted": list(self.promoted)}


def info(index: Index) -> dict[str, Any]:
    """What an index is: its manifest without the list of files, and its size on disk."""
    manifest = {name: value for name, value in index.manifest.to_json().items() if name != "files"}
    sizes = {
        "n_layers": index.n_layers,
        "cells": index.cells.describe(),
        "n_cells": index.n_cells,
        "n_model_cells": index.cells.whole.n_cells,
        "n_signs": index.n_signs,
        "n_bytes": index.manifest.n_bytes,
    }
    return sizes | manifest


def cell(index: Index, cell_id: str) -> Cell:
    """Everything about one cell."""
    return index.cell(cell_id)


def cells(index: Index, *, layer: str | int | None = None, sort: SortKey = "index", limit: int = 20) -> Table[CellRow]:
    """A table of cells, by a statistic.

    Args:
        index: an opened index.
        layer: a layer (``9``, ``L9``, ``dec.L3``), a range of them such as ``10:``, or all.
        sort: "max", "mean", "mean-square", "active": largest first; "min": smallest first; "top": the largest of the
            last trigger, so cells with many strong triggers; "index": as they stand. Equal ones by cell id.
        limit: at most this many rows.

    Raises:
        InputError: no such layer or statistic.
    """
    if sort not in get_args(SortKey):
        raise InputError(f"--sort is {sort!r}", f"Expected one of: {', '.join(get_args(SortKey))}", "Write --sort max")
    layers = places(index, layer)
    keys = np.concatenate([_sort_key(index, one, sort) for one in layers])
    order = np.argsort(keys, kind="stable")[: max(limit, 0)]
    starts = np.cumsum([0, *(index.cells.layers[one].n_cells for one in layers)])
    numbers = np.searchsorted(starts, order, side="right") - 1
    return Table(
        _row(index, index.cells.cell_id(layers[number], int(i - starts[number])))
        for i, number in zip(order, numbers, strict=True)
    )


def _sort_key(index: Index, layer: int, sort: SortKey) -> np.ndarray:
    """Smaller comes first."""
    arrays = index.layer(layer)
    if sort == "max":
        return -arrays.maximum.astype(np.float64)
    if sort == "min":
        return arrays.minimum.astype(np.float64)
    if sort == "mean":
        return -total_of(arrays.sum)
    if sort == "mean-square":
        return -total_of(arrays.square_sum)
    if sort == "active":
        return -arrays.n_active.astype(np.float64)
    if sort == "top":
        return -arrays.trigger_coefficient[:, 0, -1].astype(np.float64)
    return np.zeros(len(arrays.maximum))


def _row(index: Index, cell_id: CellId) -> CellRow:
    layer, row = index.cells.place(cell_id)
    arrays, statistics = index.layer(layer), index.statistics(cell_id)
    tokens = arrays.trigger_token[row]
    best = int(tokens[0, 0])
    trigger = None
    if best != NO_TOKEN:
        sentence_id, position = index.text.locate(best)
        trigger = index.text.sentence(sentence_id).token_strings()[position]
    return CellRow(
        cell=cell_id,
        active_fraction=statistics.active_fraction,
        mean=statistics.mean,
        mean_square=statistics.mean_square,
        minimum=statistics.minimum,
        maximum=statistics.maximum,
        n_triggers=int((tokens != NO_TOKEN).sum()),
        trigger=trigger,
        promoted=tuple(index.text.token_strings(arrays.promoted_ids[row, :3].tolist())),
    )
