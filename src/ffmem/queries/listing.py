"""Which cells a list is of: by how often they fire, and by what they are called."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ffmem.queries.find import in_all
from ffmem.queries.matches import Masks
from ffmem.queries.named import NOT_NAMED, NameQuestion, ranks_by_name
from ffmem.queries.overview import never_active
from ffmem.store.reader import Index

Fires = Literal["", "never", "rarely", "often"]
RARELY, OFTEN = 0.001, 0.5
"""Shares of positions below and above which a cell fires rarely, or often."""


@dataclass(frozen=True)
class Listed:
    """What is asked of the cells of a list; empty parts ask nothing.

    Raises:
        InputError: there is no such source or grade.
    """

    fires: Fires = ""
    """"never": with no coefficient above 0, nor, of gated cells, below; "rarely": above 0 at fewer than `RARELY` of
    positions, but not never; "often": at more than `OFTEN` of them."""
    kind: str = ""
    """Of its name: "token", "topic", "dead", ..., as `Index.names.kinds` lists them."""
    grade: str = ""
    """Of a name by rule: A, B or C."""
    source: str = ""
    """Of its name: "human", "lm", "rule" or "import"."""

    def __post_init__(self) -> None:
        NameQuestion(source=self.source, grade=self.grade)  # which refuses others


def listed(index: Index, asked: Listed) -> Masks | None:
    """For each layer, by its place, whether each of its cells is in a list; None if nothing is asked: all are.

    Cost: a look at one number of every cell; for names, some tenths of a second for a million of them.
    """
    found: list[Masks] = []
    if asked.fires:
        found.append([_firing(index, place, asked.fires) for place in range(index.n_layers)])
    if asked.kind:
        found.append(_of_kind(index, asked.kind))
    if asked.grade or asked.source:
        ranks, _ = ranks_by_name(index, NameQuestion(source=asked.source, grade=asked.grade))
        found.append([(one != NOT_NAMED).any(1) for one in ranks])
    return in_all(found) if found else None


def n_listed(index: Index, places: Iterable[int], among: Masks | None) -> int:
    """How many cells of some layers, by their places, are in a list."""
    if among is None:
        return sum(index.cells.layers[place].n_cells for place in places)
    return sum(int(among[place].sum()) for place in places)


def _firing(index: Index, place: int, fires: Fires) -> np.ndarray:
    dead = never_active(index, place)
    if fires == "never":
        return dead
    arrays, layer = index.layer(place), index.cells.layers[place]
    share = arrays.n_active / np.maximum(np.repeat(arrays.counts[:, 0], layer.group_size), 1)
    found: np.ndarray = share > OFTEN if fires == "often" else (share < RARELY) & ~dead
    return found


def _of_kind(index: Index, kind: str) -> Masks:
    masks = [np.zeros(layer.n_cells, dtype=bool) for layer in index.cells.layers]
    for cell in index.names.cells_of_kind(kind):
        if cell in index.cells:
            place, row = index.cells.place(cell)
            masks[place][row] = True
    return masks
