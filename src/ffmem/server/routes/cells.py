"""Cells: a table of them, and each by itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ffmem.errors import InputError
from ffmem.ids import CellId
from ffmem.json_values import JsonObject
from ffmem.queries.listing import Fires, Listed
from ffmem.queries.shades import ShadedTrigger
from ffmem.queries.similar import Likeness, likenesses, similar
from ffmem.queries.table import SortKey
from ffmem.server.answers import Missing, as_json, ask_model, explorer_of, page
from ffmem.server.limits import MAX_ROWS
from ffmem.server.views.cell import CellView, cell_view
from ffmem.server.views.cells import CellsView, cells_csv, cells_view
from ffmem.server.views.compare import compare_view
from ffmem.server.views.similar import NEEDS_MODEL, TITLES, SimilarView

router = APIRouter()

Layer = Annotated[str | None, Query(max_length=40, description="A layer (9, L9, dec.L3), or a range (10:)")]
Limit = Annotated[int, Query(ge=1, le=MAX_ROWS, description="At most so many rows")]
CellName = Annotated[str, Path(max_length=100, description="A cell, such as L9.2997")]
Weights = Annotated[str, Query(max_length=64, description="The beginning of its model's hash, as its permalink has it")]
Triggers = Annotated[int, Query(ge=1, le=10_000, description="Triggers of each sign")]


@dataclass(frozen=True)
class _List:
    """Which cells, in which order."""

    layer: str | None
    sort: SortKey
    reverse: bool
    asked: Listed


def _list(
    layer: Layer = None,
    sort: Annotated[SortKey, Query(description="By which statistic, as `ffmem cells --sort` has it")] = "max",
    reverse: Annotated[bool, Query(description="The other way round")] = False,
    fires: Annotated[Fires, Query(description="How often: never, rarely (below 0.1 %), often (above 50 %)")] = "",
    kind: Annotated[str, Query(max_length=60, description="Of its name: token, topic, dead, ...")] = "",
    grade: Annotated[Literal["", "A", "B", "C"], Query(description="Of a name by rule")] = "",
    source: Annotated[
        Literal["", "human", "lm", "rule", "import"], Query(description="Where its name comes from")
    ] = "",
) -> _List:
    return _List(layer or None, sort, reverse, Listed(fires, kind, grade, source))


List = Annotated[_List, Depends(_list)]
Start = Annotated[int, Query(ge=0, le=2**31, description="So many rows are passed over first")]


def _cells(request: Request, one: _List, limit: int, start: int) -> CellsView:
    return cells_view(
        explorer_of(request), layer=one.layer, sort=one.sort, limit=limit, start=start, reverse=one.reverse,
        asked=one.asked,
    )  # fmt: skip


@router.get("/cells.json")
def cells_json(request: Request, one: List, limit: Limit = 50, start: Start = 0) -> Response:
    """A table of cells by a statistic, page by page."""
    return as_json(_cells(request, one, limit, start))


@router.get("/cells.csv")
def cells_as_csv(request: Request, one: List) -> Response:
    """All cells of a list, for a spreadsheet."""
    parts = cells_csv(explorer_of(request), layer=one.layer, sort=one.sort, reverse=one.reverse, asked=one.asked)
    return StreamingResponse(
        parts, media_type="text/csv", headers={"content-disposition": 'attachment; filename="cells.csv"'}
    )


@router.get("/cells", include_in_schema=False)
def cells_page(request: Request, one: List, limit: Limit = 50, start: Start = 0) -> Response:
    """The same as a page."""
    return page(request, "cells.html", view=_cells(request, one, limit, start))


@router.get("/cells/{cell_id}/similar.json")
async def similar_json(request: Request, cell_id: CellName, by: Likeness = "triggers", limit: Limit = 20) -> Response:
    """The cells nearest to a cell."""
    return as_json(await similar_of(request, cell_id, by, limit))


@router.get("/cells/{cell_id}/similar", include_in_schema=False)
async def similar_page(request: Request, cell_id: CellName, by: Likeness = "triggers", limit: Limit = 20) -> Response:
    """The same as a page."""
    return page(request, "similar.html", view=await similar_of(request, cell_id, by, limit), titles=TITLES)


async def similar_of(request: Request, cell_id: str, by: Likeness, limit: int) -> SimilarView:
    """The cells nearest to a cell."""
    explorer, known = explorer_of(request), known_cell(request, cell_id)
    if by in NEEDS_MODEL:
        nearest = await ask_model(request, "near cells", lambda questions: questions.similar(known, by, limit))
    else:
        nearest = await run_in_threadpool(similar, explorer.index, str(known), by=by, limit=limit)
    return SimilarView(known, by, _near(request, cell_id)["choices"], nearest)


Other = Annotated[str, Query(min_length=1, max_length=100, description="The other cell")]


@router.get("/cells/{cell_id}/compare.json")
def compare_json(request: Request, cell_id: CellName, other: Other) -> Response:
    """Two cells beside each other, and what both have."""
    return as_json(compare_view(explorer_of(request), known_cell(request, cell_id), known_cell(request, other)))


@router.get("/cells/{cell_id}/compare", include_in_schema=False)
def compare_page(request: Request, cell_id: CellName, other: Other) -> Response:
    """The same as a page."""
    explorer = explorer_of(request)
    view = compare_view(explorer, known_cell(request, cell_id), known_cell(request, other))
    return page(request, "compare.html", view=view)


@router.get("/cells/{cell_id}/shades.json")
async def shades_json(request: Request, cell_id: CellName, triggers: Triggers = 25) -> Response:
    """The coefficient of a cell at every token of its triggers, computed by the model."""
    return as_json({"triggers": await _shades(request, cell_id, triggers)})


@router.get("/cells/{cell_id}/shades", include_in_schema=False)
async def shades_page(request: Request, cell_id: CellName, triggers: Triggers = 25) -> Response:
    """The page of a cell, with these coefficients as shades."""
    shades = await _shades(request, cell_id, triggers)
    by_place = {(one.sign, one.rank): one for one in shades}
    told = await run_in_threadpool(cell_context, request, cell_id, triggers, by_place)
    return page(request, "cell.html", **told)


async def _shades(request: Request, cell_id: str, triggers: int) -> tuple[ShadedTrigger, ...]:
    known = known_cell(request, cell_id)
    n = min(triggers, MAX_ROWS)
    return await ask_model(request, "shades of a cell", lambda questions: questions.shades(known, n))


def known_cell(request: Request, cell_id: str) -> CellId:
    """The cell of that name; Missing if there is none."""
    try:
        return explorer_of(request).index.cell_id(cell_id)
    except InputError as error:
        raise Missing from error


def view_of(request: Request, cell_id: str, triggers: int) -> CellView:
    """Everything that is known about one cell."""
    return cell_view(explorer_of(request), known_cell(request, cell_id), triggers)


@router.get("/cells/{cell_id}.json")
def cell_json(request: Request, cell_id: CellName, triggers: Triggers = 50, weights: Weights = "") -> Response:
    """Everything that is known about one cell; a link that was made for another model has its weights beside it."""
    told = view_of(request, cell_id, triggers).to_json()
    return as_json(told | ({"meant_weights": weights} if weights else {}))


@router.get("/cells/{cell_id}", include_in_schema=False)
def cell_page(request: Request, cell_id: CellName, triggers: Triggers = 25, weights: Weights = "") -> Response:
    """The same as a page; a link that was made for another model is told so."""
    return page(request, "cell.html", meant=weights, **cell_context(request, cell_id, triggers))


def cell_context(
    request: Request, cell_id: str, triggers: int, shades: Mapping[tuple[int, int], ShadedTrigger] | None = None
) -> JsonObject:
    """What the page of a cell needs."""
    view = view_of(request, cell_id, triggers)
    return {"view": view, "n_triggers": triggers, "shades": shades or {}} | _near(request, cell_id)


def _near(request: Request, cell_id: str) -> JsonObject:
    """What near cells can be looked for by: without a model, not by vectors."""
    explorer = explorer_of(request)
    without_model = explorer.model.state.state in ("absent", "failed")
    all_choices = likenesses(explorer.index, known_cell(request, cell_id))
    choices = tuple(one for one in all_choices if not (without_model and one in NEEDS_MODEL))
    return {"choices": choices, "titles": TITLES}
