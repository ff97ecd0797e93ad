"""The picture of all cells: where they lie, their colours, what a search finds, and which lie in an outline."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from ffmem.errors import InputError
from ffmem.json_values import JsonObject, Record, fields_to_json
from ffmem.queries.atlas.colours import NOTHING, Colour, ColourBy, colour_cells
from ffmem.queries.atlas.points import CellNumbers, Region, densest, in_order, masks_of, parse_outline, within
from ffmem.queries.table import CellRow, cells
from ffmem.server.explorer import Explorer
from ffmem.server.limits import MAX_POINTS
from ffmem.server.views.search import matched, understood
from ffmem.store.atlas import Atlas, AtlasFacts, atlas_path, layouts_of, read_atlas
from ffmem.store.paths import StorePaths

AtlasLayout = Literal["triggers", "values", "keys", "order"]
"""The pictures that can be made, and the one that is always there: layer by layer, cells by how often they are active."""
AskedLayout = Literal["first", "triggers", "values", "keys", "order"]
"""What may be asked for: "first" is the first of these that there is."""
TITLES: dict[AtlasLayout, str] = {
    "triggers": "shared triggers", "values": "value vectors", "keys": "keys", "order": "layer and activity"
}  # fmt: skip
COLOUR_TITLES: dict[ColourBy, str] = {
    "layer": "layer", "documents": "topic of its triggers", "topic": "topic of its name", "kind": "kind of name",
    "grade": "grade of name", "active": "how often active", "size": "size of coefficients",
    "largest": "largest coefficient", "agreement": "key and value agree", "norm": "length of vector",
    "kept": "how far to trust its place",
}  # fmt: skip
_BINS = 96
"""Squares a side of the picture that is drawn without a script."""


@dataclass(frozen=True)
class Chosen(Record):
    """The cells in an outline."""

    outline: str
    n_cells: int
    start: int
    limit: int
    rows: tuple[CellRow, ...]


@dataclass(frozen=True)
class NamedRegion(Record):
    """A dense square of the picture, and some of its cells."""

    outline: str
    n_cells: int
    rows: tuple[CellRow, ...]


@dataclass(frozen=True)
class AtlasView:
    """The picture, but for its points, which have an address of their own."""

    by: AtlasLayout
    layouts: tuple[AtlasLayout, ...]
    facts: AtlasFacts | None
    """None for the picture that is always there."""
    colour: Colour
    colours: tuple[ColourBy, ...]
    n_cells: int
    n_points: int
    """Points that are drawn: of more cells than that, a sample."""
    space: JsonObject
    """What a script needs to tell a cell's id from its number."""
    q: str
    n_found: int | None
    """Cells that the search finds, which are marked; None if nothing was asked."""
    problem: str
    """Why nothing could be found; empty otherwise."""
    chosen: Chosen | None
    regions: tuple[NamedRegion, ...]

    def to_json(self) -> JsonObject:
        """As plain JSON values."""
        return fields_to_json(self)


def atlas_view(
    explorer: Explorer,
    *,
    by: AskedLayout = "first",
    colour: ColourBy = "layer",
    q: str = "",
    outline: str = "",
    start: int = 0,
    limit: int = 50,
) -> AtlasView:
    """See `AtlasView`; by default the first picture there is, coloured by layer."""
    layout, index = chosen_layout(explorer, by), explorer.index
    layouts: tuple[AtlasLayout, ...] = (*layouts_of(index), "order")
    found, problem = marked_numbers(explorer, q)
    coloured = colour_of(explorer, layout, colour)
    atlas = kept_atlas(explorer, layout)
    return AtlasView(
        by=layout,
        layouts=layouts,
        facts=None if atlas is None else atlas.facts,
        colour=coloured,
        colours=tuple(one for one in COLOUR_TITLES if one == "layer" or _colour(explorer, layout, one) is not None),
        n_cells=index.n_cells,
        n_points=min(index.n_cells, MAX_POINTS),
        space=_space(explorer),
        q=q,
        n_found=len(found) if q.strip() and not problem else None,
        problem=problem,
        chosen=_chosen(explorer, layout, outline, start, limit) if outline else None,
        regions=tuple(_named_region(explorer, one) for one in _regions(explorer, layout)),
    )


def chosen_layout(explorer: Explorer, by: AskedLayout) -> AtlasLayout:
    """The layout that is asked for, or the first that there is.

    Raises:
        InputError: it was not made.
    """
    made = layouts_of(explorer.index)
    if by == "first":
        return made[0] if made else "order"
    if by != "order" and by not in made:
        raise InputError(
            f"there is no picture of these cells by {TITLES[by]} yet",
            f"Expected one of: {', '.join((*made, 'order'))}",
            "Choose another one; or have it made beside the index: ffmem atlas",
        )
    return by


def kept_atlas(explorer: Explorer, by: AtlasLayout) -> Atlas | None:
    """A picture that was made, read once for as long as its file stays the same; None for the one in order."""
    if by == "order":
        return None
    stamp = _stamp(atlas_path(explorer.index, by))
    return explorer.kept(f"atlas {by} {stamp}", lambda: read_atlas(explorer.index, by))


def positions_of(explorer: Explorer, by: AtlasLayout) -> np.ndarray:
    """(cells, 2) where each cell lies."""
    atlas = kept_atlas(explorer, by)
    if atlas is not None:
        return atlas.positions
    return explorer.kept("atlas in order", lambda: in_order(explorer.index))


def shown_numbers(explorer: Explorer) -> np.ndarray:
    """The numbers of the cells that are drawn, ascending: all, or a sample that is always the same."""
    n = explorer.index.n_cells
    if n <= MAX_POINTS:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, MAX_POINTS, replace=False))


def colour_of(explorer: Explorer, by: AtlasLayout, colour: ColourBy) -> Colour:
    """The colour that is asked for.

    Raises:
        InputError: nothing is known of it.
    """
    found = _colour(explorer, by, colour)
    if found is None:
        raise InputError(
            f"nothing is known of these cells by {COLOUR_TITLES[colour]}",
            f"Expected one of: {', '.join(one for one in get_args(ColourBy) if _colour(explorer, by, one))}",
            "Choose another colour",
        )
    return found


def _colour(explorer: Explorer, by: AtlasLayout, colour: ColourBy) -> Colour | None:
    """Made once: names change, and what is of a picture goes with that."""
    mark: object = ""
    if colour in ("kind", "topic", "grade"):
        labels = StorePaths(explorer.index.folder).labels
        mark = [_stamp(one) for one in (labels, labels.with_name(f"{labels.name}-wal"))]
    elif colour in ("norm", "kept"):
        mark = (by, "" if by == "order" else _stamp(atlas_path(explorer.index, by)))
    make = partial(colour_cells, explorer.index, colour, kept_atlas(explorer, by))
    return explorer.kept(f"atlas colour {colour} {mark}", make)


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0, 0
    return status.st_ino, status.st_mtime_ns, status.st_size


def marked_numbers(explorer: Explorer, q: str) -> tuple[np.ndarray, str]:
    """The numbers of the cells that a search finds, ascending, and why it finds none where it cannot."""
    none, numbers = np.zeros(0, dtype=np.int64), CellNumbers(explorer.index)
    asked = understood(explorer.index, q)
    question = asked.question
    if question is None or asked.problem or question.empty:
        return none, asked.problem
    if question.cell is not None:
        return np.array([numbers.number(question.cell)]), ""
    try:
        places, rows = matched(explorer, asked, "index").places
    except InputError as error:
        return none, str(error)
    return np.unique(numbers.first[places] + rows), ""


def numbers_within(explorer: Explorer, by: AtlasLayout, outline: str) -> np.ndarray:
    """The numbers of the cells in an outline, ascending."""
    return np.flatnonzero(within(positions_of(explorer, by), parse_outline(outline)))


def _chosen(explorer: Explorer, by: AtlasLayout, outline: str, start: int, limit: int) -> Chosen:
    numbers = numbers_within(explorer, by, outline)
    return Chosen(outline, len(numbers), start, limit, rows_of(explorer, numbers[start : start + limit].tolist()))


def rows_of(explorer: Explorer, numbers: Sequence[int]) -> tuple[CellRow, ...]:
    """What is known of some cells, in the order of their numbers."""
    known = CellNumbers(explorer.index)
    masks = masks_of(explorer.index, map(known.cell, numbers))
    return tuple(cells(explorer.index, among=masks, limit=len(numbers)))


def _regions(explorer: Explorer, by: AtlasLayout) -> tuple[Region, ...]:
    if by == "order":
        return ()
    stamp = _stamp(atlas_path(explorer.index, by))
    return explorer.kept(f"atlas regions {by} {stamp}", lambda: densest(positions_of(explorer, by)))


def _named_region(explorer: Explorer, region: Region) -> NamedRegion:
    return NamedRegion(region.outline, region.n_cells, rows_of(explorer, region.numbers))


def _space(explorer: Explorer) -> JsonObject:
    return {
        "layers": [
            [one.name, one.group_size, one.n_experts, None if one.kept is None else list(one.indices)]
            for one in explorer.index.cells.layers
        ]
    }


@dataclass(frozen=True)
class Bin:
    """A square of the picture as it is drawn without a script: its commonest colour, and how full it is."""

    x: int
    y: int
    colour: int
    share: float


def bins(explorer: Explorer, view: AtlasView) -> tuple[Bin, ...]:
    """The picture in squares, from above; each in the commonest colour of its cells, fuller ones stronger."""
    positions = positions_of(explorer, view.by)
    square = np.clip((positions * _BINS).astype(np.int64), 0, _BINS - 1)
    places = (_BINS - 1 - square[:, 1]) * _BINS + square[:, 0]
    keys, counts = np.unique(places * 256 + view.colour.numbers, return_counts=True)
    order = np.lexsort((keys % 256 == NOTHING, -counts, keys // 256))
    first = np.unique(keys[order] // 256, return_index=True)[1]
    totals = np.bincount(places, minlength=_BINS**2)
    largest = np.log1p(totals.max(initial=1))
    found = []
    for key in keys[order][first].tolist():
        place, colour = divmod(key, 256)
        y, x = divmod(place, _BINS)
        found.append(Bin(x, y, colour, float(np.log1p(totals[place]) / largest)))
    return tuple(found)


def atlas_context(explorer: Explorer, view: AtlasView | None = None) -> JsonObject:
    """What the page needs; without a view, that of the first picture there is."""
    view = view or atlas_view(explorer)
    return {"view": view, "bins": bins(explorer, view), "titles": TITLES, "colour_titles": COLOUR_TITLES}
