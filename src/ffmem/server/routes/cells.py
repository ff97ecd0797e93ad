"""Cells: a table of them, and each by itself."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from ffmem.errors import InputError
from ffmem.ids import CellId
from ffmem.json_values import JsonObject
from ffmem.queries.shades import ShadedTrigger
from ffmem.queries.similar import Likeness, similar
from ffmem.queries.table import SortKey
from ffmem.server.answers import Missing, as_json, explorer_of, page
from ffmem.server.limits import MAX_ROWS
from ffmem.server.views.cell import CellView, cell_view
from ffmem.server.views.cells import CellsView, cells_view
from ffmem.server.views.similar import NEEDS_MODEL, TITLES, SimilarView, choices_of

router = APIRouter()

Layer = Annotated[str | None, Query(max_length=40, description="A layer (9, L9, dec.L3), or a range (10:)")]
Limit = Annotated[int, Query(ge=1, le=MAX_ROWS, description="At most so many rows")]
CellName = Annotated[str, Path(max_length=100, description="A cell, such as L9.2997")]
Triggers = Annotated[int, Query(ge=1, le=10_000, description="Triggers of each sign")]


def _cells(request: Request, layer: str | None, sort: SortKey, limit: int) -> CellsView:
    return cells_view(explorer_of(request), layer=layer or None, sort=sort, limit=limit)


@router.get("/cells.json")
def cells_json(request: Request, layer: Layer = None, sort: SortKey = "max", limit: Limit = 50) -> Response:
    """A table of cells by a statistic."""
    return as_json(_cells(request, layer, sort, limit))


@router.get("/cells", include_in_schema=False)
def cells_page(request: Request, layer: Layer = None, sort: SortKey = "max", limit: Limit = 50) -> Response:
    """The same as a page."""
    return page(request, "cells.html", view=_cells(request, layer, sort, limit))


@router.get("/cells/{cell_id}/similar.json")
async def similar_json(request: Request, cell_id: CellName, by: Likeness = "triggers", limit: Limit = 20) -> Response:
    """The cells nearest to a cell."""
    return as_json(await _similar(request, cell_id, by, limit))


@router.get("/cells/{cell_id}/similar", include_in_schema=False)
async def similar_page(request: Request, cell_id: CellName, by: Likeness = "triggers", limit: Limit = 20) -> Response:
    """The same as a page."""
    return page(request, "similar.html", view=await _similar(request, cell_id, by, limit), titles=TITLES)


async def _similar(request: Request, cell_id: str, by: Likeness, limit: int) -> SimilarView:
    explorer, known = explorer_of(request), known_cell(request, cell_id)
    if by in NEEDS_MODEL:
        nearest = await explorer.model.ask(lambda questions: questions.similar(known, by, limit))
    else:
        nearest = await run_in_threadpool(similar, explorer.index, str(known), by=by, limit=limit)
    return SimilarView(known, by, choices_of(explorer), nearest)


@router.get("/cells/{cell_id}/shades.json")
async def shades_json(request: Request, cell_id: CellName, triggers: Triggers = 25) -> Response:
    """The coefficient of a cell at every token of its triggers, computed by the model."""
    return as_json({"triggers": await _shades(request, cell_id, triggers)})


@router.get("/cells/{cell_id}/shades", include_in_schema=False)
async def shades_page(request: Request, cell_id: CellName, triggers: Triggers = 25) -> Response:
    """The page of a cell, with these coefficients as shades."""
    shades = await _shades(request, cell_id, triggers)
    view = await run_in_threadpool(_cell, request, cell_id, triggers)
    by_place = {(one.sign, one.rank): one for one in shades}
    return page(request, "cell.html", view=view, n_triggers=triggers, shades=by_place, **_near(request))


async def _shades(request: Request, cell_id: str, triggers: int) -> tuple[ShadedTrigger, ...]:
    explorer, known = explorer_of(request), known_cell(request, cell_id)
    n = min(triggers, MAX_ROWS)
    return await explorer.model.ask(lambda questions: questions.shades(known, n))


def known_cell(request: Request, cell_id: str) -> CellId:
    """The cell of that name; Missing if there is none."""
    try:
        return explorer_of(request).index.cell_id(cell_id)
    except InputError as error:
        raise Missing from error


def _cell(request: Request, cell_id: str, triggers: int) -> CellView:
    return cell_view(explorer_of(request), known_cell(request, cell_id), triggers)


@router.get("/cells/{cell_id}.json")
def cell_json(request: Request, cell_id: CellName, triggers: Triggers = 50) -> Response:
    """Everything that is known about one cell."""
    return as_json(_cell(request, cell_id, triggers))


@router.get("/cells/{cell_id}", include_in_schema=False)
def cell_page(request: Request, cell_id: CellName, triggers: Triggers = 25) -> Response:
    """The same as a page."""
    return page(
        request, "cell.html", view=_cell(request, cell_id, triggers), n_triggers=triggers, shades={}, **_near(request)
    )


def _near(request: Request) -> JsonObject:
    return {"choices": choices_of(explorer_of(request)), "titles": TITLES}
