"""Which cells of a picture lie in an outline, and where most of them lie."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import get_args

import numpy as np

from ffmem.errors import InputError
from ffmem.ids import CellId
from ffmem.json_values import Record
from ffmem.store.atlas import AtlasBy, read_atlas
from ffmem.store.reader import Index

MAX_CORNERS = 400
"""Of an outline."""
_GRID = 16
"""Squares a side of the picture that are counted."""


@dataclass(frozen=True)
class Region(Record):
    """A square of a picture, and the cells in it."""

    outline: str
    """As `parse_outline` reads it."""
    n_cells: int
    numbers: tuple[int, ...]
    """The first cells, those nearest to its middle first."""


class CellNumbers:
    """Cells as numbers, in the order of layers and rows, and back."""

    def __init__(self, index: Index) -> None:
        self._cells = index.cells
        self.first: np.ndarray = np.cumsum([0, *(one.n_cells for one in index.cells.layers)])

    def cell(self, number: int) -> CellId:
        """The cell with a number.

        Raises:
            InputError: there is none.
        """
        if not 0 <= number < self.first[-1]:
            raise InputError(
                f"there is no point {number}", f"Expected 0 to {self.first[-1] - 1}", "Choose one of the picture"
            )
        place = int(np.searchsorted(self.first, number, side="right")) - 1
        return self._cells.cell_id(place, number - int(self.first[place]))

    def number(self, cell: CellId) -> int:
        """The number of a cell."""
        place, row = self._cells.place(cell)
        return int(self.first[place]) + row


def parse_outline(text: str) -> np.ndarray:
    """The corners of an outline, (corners, 2) from x and y with commas between; two are those of a rectangle.

    Raises:
        InputError: it is none.
    """
    try:
        numbers = [float(one) for one in text.split(",")]
        if not all(math.isfinite(one) and abs(one) <= 10 for one in numbers):
            raise ValueError
    except ValueError:
        numbers = []
    if len(numbers) % 2 or not 4 <= len(numbers) <= 2 * MAX_CORNERS:
        raise InputError(
            f"{text[:60]!r} is no outline",
            f"Expected x and y of 2 corners of a rectangle, or of 3 to {MAX_CORNERS} corners, from 0 to 1, commas between",
            "Draw it in the picture, or write 0.25,0.25,0.5,0.5",
        )
    corners = np.array(numbers).reshape(-1, 2)
    if len(corners) == 2:
        (x0, y0), (x1, y1) = corners
        corners = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
    return corners


def within(positions: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Whether each point lies in an outline: whether a ray to its right crosses an odd number of its sides."""
    x, y = positions[:, 0].astype(np.float64), positions[:, 1].astype(np.float64)
    odd = np.zeros(len(positions), dtype=bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 != y1:
            odd ^= ((y0 > y) != (y1 > y)) & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return odd


def cells_within(index: Index, by: AtlasBy, outline: str) -> list[CellId]:
    """The cells whose places lie in an outline of a picture that was made.

    Raises:
        InputError: there is no such picture, or no such outline.
    """
    if by not in get_args(AtlasBy):
        raise InputError(f"the picture is by {by!r}", f"Expected one of: {', '.join(get_args(AtlasBy))}", "Choose one")
    corners, atlas = parse_outline(outline), read_atlas(index, by)
    if atlas is None:
        raise InputError(
            f"there is no picture of the cells of {index.folder} by {by}",
            "Expected one that was made",
            f"Make it: ffmem atlas {index.folder} --by {by}",
        )
    numbers = CellNumbers(index)
    return [numbers.cell(int(one)) for one in np.flatnonzero(within(atlas.positions, corners))]


def masks_of(index: Index, cells: Iterable[CellId]) -> list[np.ndarray]:
    """For each layer, by its place, whether each of its cells is among some."""
    masks = [np.zeros(one.n_cells, dtype=bool) for one in index.cells.layers]
    for cell in cells:
        place, row = index.cells.place(cell)
        masks[place][row] = True
    return masks


def densest(positions: np.ndarray, n: int = 12, n_shown: int = 5) -> tuple[Region, ...]:
    """The squares of a picture that hold most points, the fullest first, equals from below and from the left."""
    square = np.clip((positions * _GRID).astype(np.int64), 0, _GRID - 1)
    numbers = square[:, 1] * _GRID + square[:, 0]
    counts = np.bincount(numbers, minlength=_GRID**2)
    found = []
    for one in np.argsort(-counts, kind="stable")[:n].tolist():
        if not counts[one]:
            break
        y, x = divmod(one, _GRID)
        here = np.flatnonzero(numbers == one)
        away = np.linalg.norm(positions[here] - (np.array([x, y]) + 0.5) / _GRID, axis=1)
        outline = ",".join(f"{value / _GRID:g}" for value in (x, y, x + 1, y + 1))
        first = here[np.argsort(away, kind="stable")[:n_shown]]
        found.append(Region(outline, int(counts[one]), tuple(first.tolist())))
    return tuple(found)


def in_order(index: Index) -> np.ndarray:
    """(cells, 2) places that need no layout: a row of each layer, the first lowest, its cells by how often they are active."""
    found = []
    for place, layer in enumerate(index.cells.layers):
        ranks = np.empty(layer.n_cells)
        ranks[np.argsort(np.asarray(index.layer(place).n_active), kind="stable")] = np.arange(layer.n_cells)
        # cells of a layer spread over some of its height, so that they do not hide each other
        height = (np.arange(layer.n_cells) * 0.618034) % 1 * 0.7 + 0.15
        found.append(np.stack([(ranks + 0.5) / layer.n_cells * 0.96 + 0.02, (place + height) / index.n_layers], axis=1))
    return np.concatenate(found).astype(np.float32)
