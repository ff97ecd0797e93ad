"""Every table and picture of every page as a file: rows as CSV and JSON, pictures as SVG and PNG.

An address is that of the page, a slash, the name of the part, and the form; its query is that of the page.
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from ffmem.errors import InputError
from ffmem.queries.diff import Change
from ffmem.queries.similar import Likeness
from ffmem.server.answers import Missing, explorer_of
from ffmem.server.recent import Recent
from ffmem.server.routes import atlas, attention, cells, collections, diff, flow, prompt, sentences, try_text
from ffmem.server.routes.cells import CellName, Layer, Limit, Triggers, known_cell
from ffmem.server.routes.texts import with_text
from ffmem.server.taken.of_atlas import atlas_cells, atlas_picture
from ffmem.server.taken.of_cell import CELL_PARTS, near, tried
from ffmem.server.taken.of_lists import (
    ANNOTATE_PARTS,
    COLLECTION_PARTS,
    FLOW_PARTS,
    OVERVIEW_PARTS,
    SENTENCE_PARTS,
    check_found,
    differing,
)
from ffmem.server.taken.of_text import ATTENTION_PARTS, MAP_PARTS, PROMPT_PARTS
from ffmem.server.taken.taking import MEDIA, FileForm, Taken
from ffmem.server.views.annotate import annotations_view
from ffmem.server.views.atlas import atlas_view
from ffmem.server.views.attention import AttentionState, MapState
from ffmem.server.views.overview import overview_view
from ffmem.server.views.prompt import PromptState
from ffmem.studies import charts

router = APIRouter()

_N_KEPT = 128
"""Files that are kept, since to draw one takes a while."""
Form = Annotated[FileForm, Path(description="The picture as svg or png, the rows behind it as csv or json")]
RowForm = Annotated[Literal["csv", "json"], Path(description="The rows as csv or json")]


def _part(parts: dict[str, Any]) -> Any:
    return Path(max_length=60, description=f"What of the page: {', '.join(parts)}")


def _chosen(parts: dict[str, Callable[[Any], Taken]], name: str) -> Callable[[Any], Taken]:
    if name not in parts:
        raise Missing from InputError(
            f"there is no part {name[:60]!r}", f"Expected one of: {', '.join(parts)}", "Take the address from the page"
        )
    return parts[name]


def _file(request: Request, what: str, form: FileForm, make: Callable[[], Taken]) -> Response:
    """The file, made once as long as nothing beside the index has changed."""
    explorer = explorer_of(request)
    recent: Recent[bytes] = explorer.kept("recent files", lambda: Recent(_N_KEPT))
    question = (request.url.path, request.url.query, explorer.state())
    found = recent.find(question)
    if found is None:
        try:
            found = recent.keep(question, check_found(make()).file(form))
        except InputError as error:
            raise Missing from error
    headers = {"content-disposition": f'inline; filename="{what}.{form}"'}
    return Response(found, media_type=MEDIA[form], headers=headers)


@router.get("/index/{overview_part}.{form}", response_class=Response)
def overview_file(request: Request, overview_part: Annotated[str, _part(OVERVIEW_PARTS)], form: Form) -> Response:
    """A table of the overview as a file."""
    make = _chosen(OVERVIEW_PARTS, overview_part)
    return _file(request, overview_part, form, lambda: make(overview_view(explorer_of(request))))


@router.get("/cells/{cell_id}/try.{form}", response_class=Response, summary="A text tried on a cell, as a file")
async def tried_file(request: Request, cell_id: CellName, form: Form, text: try_text.Text = "") -> Response:
    """The coefficient of a cell at every token of a text."""
    cell = known_cell(request, cell_id)
    if not text:
        raise InputError("there is no text", "Expected one", "Add ?text=...")
    found = await try_text.tried_of(request, cell, text)
    return await run_in_threadpool(_file, request, f"{cell}-tried", form, lambda: tried(found))


@router.get("/cells/{cell_id}/similar.csv", response_class=Response, summary="The cells nearest to a cell, as CSV")
async def similar_file(request: Request, cell_id: CellName, by: Likeness = "triggers", limit: Limit = 20) -> Response:
    """The cells nearest to a cell, in the order of the page."""
    view = await cells.similar_of(request, cell_id, by, limit)
    return await run_in_threadpool(_file, request, f"{view.cell}-similar", "csv", lambda: near(view))


@router.get("/cells/{cell_id}/{cell_part}.{form}", response_class=Response)
def cell_file(
    request: Request,
    cell_id: CellName,
    cell_part: Annotated[str, _part(CELL_PARTS)],
    form: Form,
    triggers: Triggers = 10_000,
) -> Response:
    """A table or picture of the page of a cell as a file; of triggers, as many of each sign as are asked for."""
    make = _chosen(CELL_PARTS, cell_part)
    cell = known_cell(request, cell_id)
    return _file(request, f"{cell}-{cell_part}", form, lambda: make(cells.view_of(request, cell_id, triggers)))


@router.get("/sentences/{sentence_id}/{sentence_part}.{form}", response_class=Response)
def sentence_file(
    request: Request,
    sentence_id: sentences.Number,
    sentence_part: Annotated[str, _part(SENTENCE_PARTS)],
    form: Form,
    at: sentences.At = None,
    start: sentences.Start = 0,
) -> Response:
    """A table or picture of the page of a sentence as a file."""
    make = _chosen(SENTENCE_PARTS, sentence_part)
    view = sentences.view_of(request, sentence_id, at, start)
    return _file(request, f"sentence-{sentence_id}-{sentence_part}", form, lambda: make(view))


@router.get("/prompt/{prompt_part}.{form}", response_class=Response)
async def prompt_file(
    request: Request, prompt_part: Annotated[str, _part(PROMPT_PARTS)], form: Form, state: prompt.State
) -> Response:
    """A table or picture of the page of a prompt as a file."""
    make = _chosen(PROMPT_PARTS, prompt_part)
    asked: PromptState = with_text(state)
    view = await prompt.answer(request, asked)
    return await run_in_threadpool(_file, request, f"prompt-{prompt_part}", form, lambda: make(view))


@router.get("/map/{map_part}.{form}", response_class=Response)
async def map_file(
    request: Request,
    map_part: Annotated[str, _part(MAP_PARTS)],
    form: Form,
    state: Annotated[MapState, Depends(attention.map_state)],
) -> Response:
    """A table or picture of the page of a map as a file."""
    make = _chosen(MAP_PARTS, map_part)
    view = await attention.map_of(request, with_text(state))
    return await run_in_threadpool(_file, request, f"map-{map_part}", form, lambda: make(view))


@router.get("/attention/{attention_part}.{form}", response_class=Response)
async def attention_file(
    request: Request,
    attention_part: Annotated[str, _part(ATTENTION_PARTS)],
    form: Form,
    state: Annotated[AttentionState, Depends(attention.attention_state)],
) -> Response:
    """A table or picture of the page of attention as a file."""
    make = _chosen(ATTENTION_PARTS, attention_part)
    view = await attention.attention_of(request, with_text(state))
    return await run_in_threadpool(_file, request, f"attention-{attention_part}", form, lambda: make(view))


@router.get("/flow/{flow_part}.{row_form}", response_class=Response)
async def flow_file(
    request: Request, flow_part: Annotated[str, _part(FLOW_PARTS)], row_form: RowForm, state: flow.State
) -> Response:
    """The parts of a flow as a file; its picture is /flow.svg and /flow.png."""
    make = _chosen(FLOW_PARTS, flow_part)
    view = await flow.answer(request, with_text(state))
    return await run_in_threadpool(_file, request, f"flow-{flow_part}", row_form, lambda: make(view))


@router.get("/annotate/{annotate_part}.{form}", response_class=Response)
def annotate_file(request: Request, annotate_part: Annotated[str, _part(ANNOTATE_PARTS)], form: Form) -> Response:
    """Labels by layer, or agreement between annotators, as a file."""
    make = _chosen(ANNOTATE_PARTS, annotate_part)
    return _file(request, annotate_part, form, lambda: make(annotations_view(explorer_of(request))))


@router.get("/collections/{name}/{collection_part}.{row_form}", response_class=Response)
def collection_file(
    request: Request,
    name: collections.Name,
    collection_part: Annotated[str, _part(COLLECTION_PARTS)],
    row_form: RowForm,
    limit: collections.Limit = 1_000,
) -> Response:
    """The cells of a collection as a file."""
    make = _chosen(COLLECTION_PARTS, collection_part)
    view = collections.view_of(request, name, limit)
    return _file(request, f"{name}-{collection_part}", row_form, lambda: make(view))


@router.get("/diff.csv", response_class=Response, summary="The cells that differ most, as CSV")
def diff_file(
    request: Request,
    other: diff.Other = None,
    by: Change = "triggers",
    layer: Layer = None,
    limit: Limit = 50,
    start: diff.Start = 0,
) -> Response:
    """The rows of the page of differences, with all digits."""
    return _file(request, "diff", "csv", lambda: differing(diff.view_of(request, other, by, layer, limit, start)))


@router.get("/flow.png", response_class=Response, summary="The picture of a flow as PNG")
async def flow_png(request: Request, state: flow.State) -> Response:
    """The picture of /flow.svg in pixels, two for each of its own."""
    drawn = bytes((await flow.flow_svg(request, state)).body).decode()
    pixels = await run_in_threadpool(charts.png, drawn)
    headers = {"content-disposition": 'inline; filename="flow.png"'}
    return Response(pixels, media_type=MEDIA["png"], headers=headers)


@router.get("/atlas.{form}", response_class=Response, summary="The picture of all cells as a file")
def atlas_file(
    request: Request,
    form: Annotated[Literal["svg", "png", "csv"], Path(description="The picture as svg or png, its points as csv")],
    by: atlas.By = "first",
    colour: atlas.ColourName = "layer",
    text: atlas.Text = "",
    within: atlas.Outline = "",
) -> Response:
    """The picture with its legend, or its points as rows; with an outline, the cells in it."""
    explorer = explorer_of(request)
    view = atlas_view(explorer, by=by, colour=colour, q=text, outline=within)
    if form == "csv":
        return _file(request, "atlas", "csv", lambda: atlas_cells(explorer, view))
    drawn = atlas_picture(explorer, view)
    made = drawn.encode() if form == "svg" else charts.png(drawn)
    headers = {"content-disposition": f'inline; filename="atlas.{form}"'}
    return Response(made, media_type=MEDIA[form], headers=headers)
