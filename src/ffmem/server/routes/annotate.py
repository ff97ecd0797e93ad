"""Annotation: reading it, and the only writes there are."""

from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Path, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ffmem.annotations import batches
from ffmem.annotations.drafts import MAX_PATTERNS, Draft, draft_of
from ffmem.annotations.journal import Conflict, Saved
from ffmem.annotations.protocol import ADJUDICATED, check_name
from ffmem.annotations.rows import EXPORT, rows_to_json, to_csv
from ffmem.annotations.sheets import export_rows
from ffmem.annotations.store import load
from ffmem.errors import InputError
from ffmem.json_values import JsonObject
from ffmem.queries.names import places
from ffmem.server.answers import Missing, as_json, explorer_of, form, page
from ffmem.server.limits import MAX_BATCH
from ffmem.server.sharing.visitors import check_annotator
from ffmem.server.views.annotate import (
    annotations_view,
    check_writable,
    first_undone,
    invalid_of,
    journal_of,
    saved_json,
    work_view,
)
from ffmem.server.views.annotated import batch_of

router = APIRouter()

Batch = Annotated[str, Path(max_length=40, description="Name of a batch")]
Annotator = Annotated[str, Path(max_length=40, description="Name of an annotator")]
Number = Annotated[int, Path(ge=1, le=10**6, description="Number of a cell in the batch, from 1")]


@router.get("/annotate.json")
def annotations_json(request: Request) -> Response:
    """Batches with their progress, agreement between annotators, labels by layer."""
    return as_json(annotations_view(explorer_of(request)))


@router.get("/annotate", include_in_schema=False)
def annotations_page(request: Request) -> Response:
    """The same as a page."""
    return page(request, "annotate.html", view=annotations_view(explorer_of(request)))


@router.get("/annotate/export.json")
def export_json(request: Request) -> Response:
    """Everything that was annotated, in the form that `ffmem annotate import` reads."""
    index = explorer_of(request).index
    return as_json({"annotations": rows_to_json(export_rows(index, load(index)))})


@router.get("/annotate/export.csv")
def export_csv(request: Request) -> Response:
    """The same as CSV."""
    index = explorer_of(request).index
    text = to_csv(list(export_rows(index, load(index))), EXPORT)
    headers = {"content-disposition": 'attachment; filename="annotations.csv"'}
    return Response(text, media_type="text/csv; charset=utf-8", headers=headers)


@router.post("/annotate", include_in_schema=False)
async def draw_batch(request: Request) -> Response:
    """Draw a batch, as the form asks."""
    explorer = explorer_of(request)
    check_writable(explorer)
    asked = await form(request)
    try:
        numbers = {name: int(asked.get(name) or default) for name, default in _NUMBERS.items()}
    except ValueError as error:
        raise InputError(
            f"the form has a field that is not a number: {str(error)[:200]}",
            "Expected whole numbers",
            "Correct the form",
        ) from error
    if not 0 <= numbers["seed"] < 2**32:
        raise InputError(f"the seed is {numbers['seed']}", "Expected 0 to 2**32 - 1", "Choose another one")
    layers = places(explorer.index, asked.get("layer") or None)
    n_cells = len(layers) * numbers["per_layer"]
    if n_cells > MAX_BATCH:
        raise InputError(
            f"the batch would have {n_cells:,} cells",
            f"Expected at most {MAX_BATCH:,}",
            "Draw fewer, or from fewer layers",
        )
    drawn = await run_in_threadpool(
        batches.draw,
        explorer.index,
        asked.get("name", ""),
        layers=layers,
        per_layer=numbers["per_layer"],
        n_triggers=numbers["triggers"],
        sign=numbers["sign"],
        seed=numbers["seed"],
    )
    await run_in_threadpool(batches.save_batch, explorer.index, drawn)
    return RedirectResponse("/annotate", 303)


_NUMBERS = {"per_layer": batches.N_CELLS, "triggers": batches.N_TRIGGERS, "sign": 1, "seed": 0}


@router.get("/annotate/go", include_in_schema=False)
def begin(
    request: Request, batch: Annotated[str, Query(max_length=40)], annotator: Annotated[str, Query(max_length=40)]
) -> Response:
    """Where an annotator goes on."""
    number = first_undone(explorer_of(request), batch, annotator)
    return RedirectResponse(f"/annotate/{batch}/{annotator}/{number}", 303)


@router.get("/annotate/{batch}/{annotator}/{number}.json")
def work_json(request: Request, batch: Batch, annotator: Annotator, number: Number) -> Response:
    """One cell of a batch under its number, and what the annotator has said about it."""
    return as_json(_work(request, batch, annotator, number))


@router.get("/annotate/{batch}/{annotator}/{number}", include_in_schema=False)
def work_page(request: Request, batch: Batch, annotator: Annotator, number: Number) -> Response:
    """The same as a page."""
    return page(request, "annotate-cell.html", view=_work(request, batch, annotator, number), theirs=None)


@router.put("/annotate/{batch}/{annotator}/{number}.json")
def save_json(
    request: Request,
    batch: Batch,
    annotator: Annotator,
    number: Number,
    body: Annotated[JsonObject, Body(description="revision, patterns, marks, done")],
) -> Response:
    """Keep what an annotator says; 409 with the newer state if another tab was first."""
    try:
        return as_json(_save(request, batch, annotator, number, body))
    except Conflict as error:
        return _conflict(error, _batch(request, batch, annotator, number), number)


@router.post("/annotate/{batch}/{annotator}/{number}/undo.json")
def undo_json(
    request: Request,
    batch: Batch,
    annotator: Annotator,
    number: Number,
    body: Annotated[JsonObject, Body(description="revision")],
) -> Response:
    """Take the last change back."""
    return _step(request, batch, annotator, number, body, "undo")


@router.post("/annotate/{batch}/{annotator}/{number}/redo.json")
def redo_json(
    request: Request,
    batch: Batch,
    annotator: Annotator,
    number: Number,
    body: Annotated[JsonObject, Body(description="revision")],
) -> Response:
    """Make the change again that was taken back last."""
    return _step(request, batch, annotator, number, body, "redo")


@router.post("/annotate/{batch}/{annotator}/{number}", include_in_schema=False)
async def save_form(request: Request, batch: Batch, annotator: Annotator, number: Number) -> Response:
    """The same from a form, without scripts."""
    asked = await form(request)
    texts = {i: asked[f"text-{i}"] for i in range(1, MAX_PATTERNS + 2) if asked.get(f"text-{i}", "").strip()}
    new_number = {old: new for new, old in enumerate(texts, 1)}
    found = await run_in_threadpool(_batch, request, batch, annotator, number)
    body = {
        "revision": asked.get("revision", "0"),
        "patterns": [{"text": text, "class": asked.get(f"class-{old}", "")} for old, text in texts.items()],
        "marks": [
            [new for old, new in new_number.items() if f"mark-{trigger}-{old}" in asked]
            for trigger in range(1, len(found.cells[number - 1].triggers) + 1)
        ],
        "done": "done" in asked,
    }
    check_writable(explorer_of(request))
    try:
        await run_in_threadpool(_save, request, batch, annotator, number, body)
    except Conflict as error:
        return await run_in_threadpool(_both, request, batch, annotator, number, body, error.current)
    step = asked.get("go", "")
    going = step if 0 < len(step) < 7 and step.isdecimal() else str(number)
    return RedirectResponse(f"/annotate/{batch}/{annotator}/{going}", 303)


def _both(request: Request, batch: str, annotator: str, number: int, body: JsonObject, current: Saved) -> Response:
    """The page with what was sent, and what somebody else has saved; to send it once more is to decide."""
    view = _work(request, batch, annotator, number)
    mine = Saved(current.revision, draft_of(body, len(view.triggers)), False)
    return page(request, "annotate-cell.html", status=409, view=replace(view, saved=mine), theirs=current.draft)


def _work(request: Request, batch: str, annotator: str, number: int) -> Any:
    _batch(request, batch, annotator, number)
    return work_view(explorer_of(request), batch, annotator, number)


def _batch(request: Request, batch: str, annotator: str, number: int) -> batches.Batch:
    try:
        check_name(batch, "batch")
        check_name(annotator, "annotator")
        return batch_of(explorer_of(request), batch, number)
    except InputError as error:
        raise Missing from error


def _save(request: Request, batch: str, annotator: str, number: int, body: JsonObject) -> JsonObject:
    explorer = explorer_of(request)
    check_writable(explorer)
    check_annotator(annotator, ADJUDICATED)
    found = _batch(request, batch, annotator, number)
    draft: Draft = draft_of(body, len(found.cells[number - 1].triggers))
    saved = journal_of(explorer).save(found, annotator, number, _revision(body), draft)
    return saved_json(saved, invalid_of(found, number, saved.draft))


def _step(
    request: Request, batch: str, annotator: str, number: int, body: JsonObject, how: Literal["undo", "redo"]
) -> Response:
    explorer = explorer_of(request)
    check_writable(explorer)
    check_annotator(annotator, ADJUDICATED)
    found, journal = _batch(request, batch, annotator, number), journal_of(explorer)
    step = journal.undo if how == "undo" else journal.redo
    try:
        saved = step(found, annotator, number, _revision(body))
    except Conflict as error:
        return _conflict(error, found, number)
    return as_json(saved_json(saved, invalid_of(found, number, saved.draft)))


def _revision(body: JsonObject) -> int:
    try:
        return int(body["revision"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            "the change does not say on which revision it was made", "Expected a whole number", "Load the page again"
        ) from error


def _conflict(error: Conflict, batch: batches.Batch, number: int) -> Response:
    current = error.current
    return as_json(
        {"error": {"kind": "Conflict", "message": str(error)}}
        | {"current": saved_json(current, invalid_of(batch, number, current.draft))},
        409,
    )
