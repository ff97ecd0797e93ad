"""Tables of cells by a statistic."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from ffmem.cell import Name
from ffmem.errors import InputError
from ffmem.ids import CellId
from ffmem.json_values import Record
from ffmem.markup import Table
from ffmem.queries.matches import Masks
from ffmem.queries.named import NOT_NAMED, order_by_name
from ffmem.queries.names import places
from ffmem.store.arrays import total_of
from ffmem.store.keys import NO_TOKEN
from ffmem.store.reader import Index

SortKey = Literal["max", "min", "mean", "mean-square", "active", "top", "name", "index"]


@dataclass(frozen=True)
class CellRow(Record):
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
    name: Name | None = None
    """What it is called."""


def cells(
    index: Index,
    *,
    layer: str | int | None = None,
    among: Masks | None = None,
    sort: SortKey = "index",
    limit: int = 20,
    start: int = 0,
    reverse: bool = False,
) -> Table[CellRow]:
    """A table of cells, by a statistic.

    Args:
        index: an opened index.
        layer: a layer (``9``, ``L9``, ``dec.L3``), a range of them such as ``10:``, or all.
        among: for each layer, by its place, whether each of its cells is in the table at all; None: all are.
        sort: "max", "mean", "mean-square", "active": largest first; "min": smallest first; "top": the largest of the
            last trigger, so cells with many strong triggers; "name": the surest name first, cells without one last, also the
            other way round; "index": as they stand. Equal ones by cell id.
        limit: at most this many rows.
        start: so many rows are passed over first.
        reverse: the other way round; equal ones by cell id still.

    Raises:
        InputError: no such layer or statistic.
    """
    if sort not in get_args(SortKey):
        raise InputError(f"--sort is {sort!r}", f"Expected one of: {', '.join(get_args(SortKey))}", "Write --sort max")
    layers = places(index, layer)
    if sort == "name":
        keys = _keys_by_name(index, layers, reverse)
    else:
        keys = np.concatenate([_sort_key(index, one, sort) for one in layers])
    order = np.argsort(-keys if reverse else keys, kind="stable")
    if reverse and sort == "index":
        order = order[::-1]
    if among is not None:
        order = order[np.concatenate([among[one] for one in layers])[order]]
    order = order[max(start, 0) :][: max(limit, 0)]
    starts = np.cumsum([0, *(index.cells.layers[one].n_cells for one in layers)])
    numbers = np.searchsorted(starts, order, side="right") - 1
    found = (
        _row(index, index.cells.cell_id(layers[number], int(i - starts[number])))
        for i, number in zip(order, numbers, strict=True)
    )
    return Table(index.names.on(found))


def _keys_by_name(index: Index, layers: Sequence[int], reverse: bool) -> np.ndarray:
    """Smaller comes first; of a gated cell's two names the surer counts."""
    order = order_by_name(index)
    ranks = np.concatenate([order[place].min(1) for place in layers])
    return np.where(ranks == NOT_NAMED, -np.inf if reverse else np.inf, ranks.astype(np.float64))


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
