"""The picture of all cells: its page, its points and colours, and cells in an outline made a collection."""

from dataclasses import replace
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ffmem.errors import InputError
from ffmem.names.collection_queries import query_of
from ffmem.names.collections import adding
from ffmem.queries.atlas.colours import ColourBy
from ffmem.queries.atlas.points import CellNumbers
from ffmem.server.answers import as_json, explorer_of, form, page
from ffmem.server.limits import MAX_QUERY, MAX_ROWS
from ffmem.server.views.atlas import (
    TITLES,
    AskedLayout,
    AtlasView,
    atlas_context,
    atlas_view,
    chosen_layout,
    colour_of,
    marked_numbers,
    numbers_within,
    positions_of,
    rows_of,
    shown_numbers,
)
from ffmem.store.collection_files import Collections
from ffmem.store.collections import MAX_ITEMS, Collection, Item

router = APIRouter()

By = Annotated[AskedLayout, Query(description="What lies together; by default the first picture that was made")]
ColourName = Annotated[ColourBy, Query(description="What the colours mean")]
Text = Annotated[str, Query(alias="q", max_length=MAX_QUERY, description="A search whose cells are marked")]
Outline = Annotated[
    str, Query(max_length=8_000, description="x and y of its corners, from 0 to 1, commas between; two: of a rectangle")
]
Start = Annotated[int, Query(ge=0, le=10_000_000, description="So many cells of the outline are passed over")]
Limit = Annotated[int, Query(ge=1, le=MAX_ROWS, description="At most so many of its cells")]
Number = Annotated[int, Query(ge=0, le=2**40, description="Number of a cell, in the order of layers and rows")]


@router.get("/atlas.json")
def atlas_json(
    request: Request,
    by: By = "first",
    colour: ColourName = "layer",
    text: Text = "",
    within: Outline = "",
    start: Start = 0,
    limit: Limit = 50,
) -> Response:
    """The picture of all cells: what it rests on, how far it can be trusted, its legend, and the cells in an outline."""
    return as_json(_view(request, by, colour, text, within, start, limit))


@router.get("/atlas", include_in_schema=False)
def atlas_page(
    request: Request,
    by: By = "first",
    colour: ColourName = "layer",
    text: Text = "",
    within: Outline = "",
    start: Start = 0,
    limit: Limit = 50,
) -> Response:
    """The same as a page."""
    view = _view(request, by, colour, text, within, start, limit)
    return page(request, "atlas.html", **atlas_context(explorer_of(request), view))


def _view(
    request: Request,
    by: AskedLayout,
    colour: ColourBy,
    text: str,
    outline: str,
    start: int,
    limit: int,
) -> AtlasView:
    explorer = explorer_of(request)
    return atlas_view(explorer, by=by, colour=colour, q=text, outline=outline, start=start, limit=limit)


@router.get("/atlas/points.bin", response_class=Response)
def points(request: Request, by: By = "first") -> Response:
    """Where each cell lies: x and y of every point as little-endian float32, then their numbers as uint32."""
    explorer = explorer_of(request)
    numbers = shown_numbers(explorer)
    positions = positions_of(explorer, chosen_layout(explorer, by))[numbers]
    return _bytes(positions.astype("<f4").tobytes() + numbers.astype("<u4").tobytes())


@router.get("/atlas/colour.bin", response_class=Response)
def colours(request: Request, by: By = "first", colour: ColourName = "layer") -> Response:
    """The colour of each point as a byte, in the order of the points: its number in the legend; 255 for none."""
    explorer = explorer_of(request)
    found = colour_of(explorer, chosen_layout(explorer, by), colour)
    return _bytes(found.numbers[shown_numbers(explorer)].tobytes())


@router.get("/atlas/found.bin", response_class=Response)
def found(request: Request, text: Text = "") -> Response:
    """Whether a search finds each point, as a byte, in the order of the points."""
    explorer = explorer_of(request)
    marked = np.zeros(explorer.index.n_cells, dtype=np.uint8)
    marked[marked_numbers(explorer, text)[0]] = 1
    return _bytes(marked[shown_numbers(explorer)].tobytes())


@router.get("/atlas/cell.json")
def cell(request: Request, number: Number) -> Response:
    """The cell that a point is: its name, what it promotes, and its strongest trigger."""
    explorer = explorer_of(request)
    index = explorer.index
    known = CellNumbers(index).cell(number)
    row = rows_of(explorer, [number])[0]
    first = index.cell(known, n_triggers=1).triggers[:1]
    parts = first[0].marked("", "") if first else None
    return as_json(row.to_json() | {"text": None if parts is None else [parts[0][-160:], parts[1], parts[2][:60]]})


@router.post("/atlas/collection", include_in_schema=False)
async def collect_form(request: Request) -> Response:
    """Make the cells of an outline a collection, or add them to one, as a form asks."""
    fields = await form(request)
    return await run_in_threadpool(_collect, request, fields)


def _collect(request: Request, fields: dict[str, str]) -> Response:
    explorer = explorer_of(request)
    explorer.check_writable()
    name = fields.get("name", "").strip()
    asked = fields.get("by", "")
    if asked not in TITLES:  # a form always says which
        raise InputError(f"the picture is {asked[:40]!r}", f"Expected one of: {', '.join(TITLES)}", "Use the page")
    by = chosen_layout(explorer, asked)
    outline = fields.get("within", "")
    numbers, cells = numbers_within(explorer, by, outline), CellNumbers(explorer.index)
    if not 0 < len(numbers) <= MAX_ITEMS:
        raise InputError(f"{len(numbers):,} cells are in it", f"Expected 1 to {MAX_ITEMS:,}", "Draw another outline")
    items = [Item(cells.cell(int(one))) for one in numbers]
    collections = Collections(explorer.index)
    query = query_of("atlas", {"by": by, "within": outline}) if by != "order" else None
    add = adding(name, collections.origin, items)

    def change(before: Collection | None) -> Collection:
        return replace(add(before), query=query if before is None else before.query)

    collections.change(name, change)
    return RedirectResponse(f"/collections/{name}", 303)


def _bytes(data: bytes) -> Response:
    return Response(data, media_type="application/octet-stream")
