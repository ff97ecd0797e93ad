"""One cell asked of a text of the user's own, and how flat its value is: what needs the model, and no more than a moment."""

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from ffmem.errors import FfmemError, InputError
from ffmem.ids import CellId
from ffmem.server.answers import as_json, explorer_of, page
from ffmem.server.limits import MAX_PROMPT
from ffmem.server.routes.cells import CellName, known_cell
from ffmem.server.views.cell import cell_view

if TYPE_CHECKING:
    from ffmem.analyses.flatness import Flatness
    from ffmem.analyses.try_text import Tried

router = APIRouter()

Text = Annotated[str, Query(max_length=MAX_PROMPT, description="Read as one input")]


@router.get("/cells/{cell_id}/try.json")
async def try_json(request: Request, cell_id: CellName, text: Text = "") -> Response:
    """The coefficient of a cell at every token of a text; token 0 is the first of the text."""
    cell = known_cell(request, cell_id)
    if not text:
        raise InputError("there is no text", "Expected one", "Add ?text=...")
    return as_json(await tried_of(request, cell, text))


@router.get("/cells/{cell_id}/try", include_in_schema=False)
async def try_page(request: Request, cell_id: CellName, text: Text = "") -> Response:
    """The same as a page."""
    cell, explorer = known_cell(request, cell_id), explorer_of(request)
    tried, problem = None, ""
    if text and explorer.model.state.state == "ready":
        try:
            tried = await tried_of(request, cell, text)
        except FfmemError as error:
            problem = f"{error.got}. {error.expected}."
    view = await run_in_threadpool(cell_view, explorer, cell, 1, False)
    status = 400 if problem else 200
    model = explorer.model.state
    return page(request, "try.html", status=status, view=view, text=text, tried=tried, problem=problem, model=model)


async def tried_of(request: Request, cell: CellId, text: str) -> "Tried":
    """The coefficient of a cell at every token of a text."""
    return await explorer_of(request).model.ask(lambda questions: questions.try_text(cell, text))


@router.get("/cells/{cell_id}/flatness.json")
async def flatness_json(request: Request, cell_id: CellName) -> Response:
    """How flat the distribution of a cell's value is, beside other cells of its layer."""
    return as_json(await _flatness(request, known_cell(request, cell_id)))


@router.get("/cells/{cell_id}/flatness", include_in_schema=False)
async def flatness_page(request: Request, cell_id: CellName) -> Response:
    """The same as a page."""
    cell = known_cell(request, cell_id)
    return page(request, "flatness.html", cell=cell, flatness=await _flatness(request, cell))


async def _flatness(request: Request, cell: CellId) -> "Flatness":
    explorer = explorer_of(request)
    place, _ = explorer.index.cells.place(cell)
    return await explorer.model.ask(
        lambda questions: questions.flatness(
            cell, explorer.kept(f"flatness {place}", lambda: questions.layer_flatness(place))
        )
    )
