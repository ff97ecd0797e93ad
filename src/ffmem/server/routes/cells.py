"""Cells: a table of them, and each by itself."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from ffmem.errors import InputError
from ffmem.queries.table import SortKey
from ffmem.server.answers import Missing, as_json, explorer_of, page
from ffmem.server.limits import MAX_ROWS
from ffmem.server.views.cell import CellView, cell_view
from ffmem.server.views.cells import CellsView, cells_view

router = APIRouter()

Layer = Annotated[str | None, Query(max_length=40, description="A layer (9, L9, dec.L3), or a range (10:)")]
Limit = Annotated[int, Query(ge=1, le=MAX_ROWS, description="At most so many rows")]
Triggers = Annotated[int, Query(ge=1, le=10_000, description="Triggers of each sign")]


def _cells(request: Request, layer: str | None, sort: SortKey, limit: int) -> CellsView:
    return cells_view(explorer_of(request), layer=layer or None, sort=sort, limit=limit)


@router.get("/cells.json")
def cells_json(request: Request, layer: Layer = None, sort: SortKey = "max", limit: Limit = 50) -> Response:
    """A table of cells by a statistic."""
    return as_json(_cells(request, layer, sort, limit).to_json())


@router.get("/cells", include_in_schema=False)
def cells_page(request: Request, layer: Layer = None, sort: SortKey = "max", limit: Limit = 50) -> Response:
    """The same as a page."""
    return page(request, "cells.html", view=_cells(request, layer, sort, limit))


def _cell(request: Request, cell_id: str, triggers: int) -> CellView:
    explorer = explorer_of(request)
    try:
        known = explorer.index.cell_id(cell_id[:100])
    except InputError as error:
        raise Missing from error
    return cell_view(explorer, known, triggers)


@router.get("/cells/{cell_id}.json")
def cell_json(request: Request, cell_id: str, triggers: Triggers = 50) -> Response:
    """Everything that is known about one cell."""
    return as_json(_cell(request, cell_id, triggers).to_json())


@router.get("/cells/{cell_id}", include_in_schema=False)
def cell_page(request: Request, cell_id: str, triggers: Triggers = 25) -> Response:
    """The same as a page."""
    return page(request, "cell.html", view=_cell(request, cell_id, triggers), n_triggers=triggers)
