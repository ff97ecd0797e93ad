"""What a cell is called: told, and the writes of its form. A form works without scripts; safety.py says who may send one."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Body, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ffmem.errors import InputError
from ffmem.json_values import JsonObject
from ffmem.names import people
from ffmem.server.answers import as_json, explorer_of, form, page
from ffmem.server.routes.cells import CellName, known_cell
from ffmem.server.routes.cells import cell_context as context
from ffmem.server.sharing.visitors import author_of
from ffmem.server.views.annotate import check_writable
from ffmem.store.labels import Conflict

router = APIRouter()

Sign = Annotated[int, Query(ge=-1, le=1, description="Of the coefficients: 1, or -1 of gated cells")]
_CONFLICT = (
    "Not saved: somebody else has said something of this cell since it was shown here. Send yours again to keep it."
)


@router.get("/cells/{cell_id}/name.json")
def name_json(request: Request, cell_id: CellName, sign: Sign = 1) -> Response:
    """What a cell is called, and all that was ever said of it."""
    return as_json(people.history(explorer_of(request).index, known_cell(request, cell_id), sign))


@router.get("/cells/{cell_id}/name", include_in_schema=False)
def name_page(request: Request, cell_id: CellName, sign: Sign = 1) -> Response:
    """The same where the cell's page tells it."""
    people.history(explorer_of(request).index, known_cell(request, cell_id), sign)  # there may be no such sign
    return _to_cell(request, cell_id)


@router.post("/cells/{cell_id}/name.json")
def save_json(
    request: Request,
    cell_id: CellName,
    body: Annotated[
        JsonObject, Body(description="do (say, reject, unreject, settle), sign, revision; text, note, ...")
    ],
) -> Response:
    """Say what a cell is called, or reject or settle a label; 409 if somebody else was first."""
    try:
        sign = _save(request, cell_id, {name: _as_text(value) for name, value in body.items()})
    except Conflict as error:
        return as_json({"error": {"kind": "Conflict", "message": str(error)}}, 409)
    return as_json(people.history(explorer_of(request).index, known_cell(request, cell_id), sign))


@router.post("/cells/{cell_id}/name", include_in_schema=False)
async def save_form(request: Request, cell_id: CellName) -> Response:
    """The same from a form; what is refused comes back in it, with why."""
    check_writable(explorer_of(request))
    asked = await form(request)
    try:
        await run_in_threadpool(_save, request, cell_id, asked)
    except (Conflict, InputError) as error:
        is_late = isinstance(error, Conflict)
        told = await run_in_threadpool(context, request, cell_id, 25)
        problem = _CONFLICT if is_late else str(error)
        naming = {"problem": problem, "asked": asked}
        return page(request, "cell.html", status=409 if is_late else 400, **(told | {"naming": naming}))
    return _to_cell(request, cell_id)


def _to_cell(request: Request, cell_id: str) -> Response:
    address = request.app.state.links.cell(known_cell(request, cell_id))
    return RedirectResponse(f"{address}#named", 303)


def _save(request: Request, cell_id: str, asked: dict[str, str]) -> int:
    explorer = explorer_of(request)
    check_writable(explorer)
    index, cell = explorer.index, known_cell(request, cell_id)
    sign, on = _number(asked, "sign", 1), asked.get("revision", "")
    author, note, do = author_of(asked.get("author") or people.NOBODY), asked.get("note", ""), asked.get("do", "say")
    note = " ".join(note.split()) if do != "say" else note.replace("\r\n", "\n").strip()
    if do == "say":
        tags = tuple(one.strip() for one in asked.get("tags", "").split(",") if one.strip())
        people.say(index, cell, asked.get("text", ""), sign=sign, author=author, note=note, tags=tags, on=on)
        return sign
    verbs: dict[str, Callable[..., None]] = {
        "reject": people.reject,
        "unreject": people.unreject,
        "settle": people.settle,
    }
    if do not in verbs:
        raise InputError(f"the form asks to {do[:40]!r}", f"Expected say, {', '.join(verbs)}", "Load the page again")
    verbs[do](index, cell, sign=sign, author=author, note=note, label=_number(asked, "label", 0), on=on)
    return sign


def _number(asked: dict[str, str], name: str, default: int) -> int:
    value = asked.get(name, "")
    if len(value) > 18 or not value.removeprefix("-").isdecimal():
        if value == "":
            return default
        raise InputError(f"{name} is {value[:40]!r}", "Expected a whole number", "Load the page again")
    return int(value)


def _as_text(value: object) -> str:
    """A value of JSON as a form would have it."""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
