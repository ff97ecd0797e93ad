"""Two indexes side by side."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from ffmem.queries.diff import Change
from ffmem.server.answers import as_json, explorer_of, page
from ffmem.server.limits import MAX_START
from ffmem.server.routes.cells import CellName, Layer, Limit, Triggers, known_cell
from ffmem.server.views.diff import CHANGES, DiffCellView, DiffView, diff_cell_view, diff_view

router = APIRouter()

Start = Annotated[int, Query(ge=0, le=MAX_START, description="So many are passed over first")]
Other = Annotated[str | None, Query(alias="with", max_length=300, description="Name of the other index's folder")]


def view_of(request: Request, other: str | None, by: Change, layer: str | None, limit: int, start: int) -> DiffView:
    """The cells that differ most."""
    return diff_view(explorer_of(request), other or None, by, layer or None, limit, start)


@router.get("/diff.json")
def diff_json(
    request: Request,
    other: Other = None,
    by: Change = "triggers",
    layer: Layer = None,
    limit: Limit = 50,
    start: Start = 0,
) -> Response:
    """The cells that differ most between two indexes."""
    return as_json(view_of(request, other, by, layer, limit, start))


@router.get("/diff", include_in_schema=False)
def diff_page(
    request: Request,
    other: Other = None,
    by: Change = "triggers",
    layer: Layer = None,
    limit: Limit = 50,
    start: Start = 0,
) -> Response:
    """The same as a page."""
    return page(request, "diff.html", view=view_of(request, other, by, layer, limit, start), changes=CHANGES)


def _cell(request: Request, cell_id: str, other: str | None, triggers: int) -> DiffCellView:
    return diff_cell_view(explorer_of(request), known_cell(request, cell_id), other or None, triggers)


@router.get("/diff/{cell_id}.json")
def diff_cell_json(request: Request, cell_id: CellName, other: Other = None, triggers: Triggers = 10) -> Response:
    """One cell in both indexes."""
    return as_json(_cell(request, cell_id, other, triggers))


@router.get("/diff/{cell_id}", include_in_schema=False)
def diff_cell_page(request: Request, cell_id: CellName, other: Other = None, triggers: Triggers = 10) -> Response:
    """The same as a page."""
    return page(request, "diff-cell.html", view=_cell(request, cell_id, other, triggers), n_triggers=triggers)
