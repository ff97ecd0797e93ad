"""Questions -> answers over HTTP: a page or JSON, and every error as one body."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from ffmem.errors import FfmemError, InputError, ModelError, StoreError
from ffmem.json_values import json_text
from ffmem.server.embedding import is_bare
from ffmem.server.explorer import Explorer
from ffmem.server.limits import MAX_FIELDS
from ffmem.server.links import Links
from ffmem.server.model_thread import Busy, Cancelled
from ffmem.server.on_page import on_page
from ffmem.server.pages import render
from ffmem.server.sharing.visitors import VISITOR, author_of

if TYPE_CHECKING:
    from ffmem.server.model_questions import ModelQuestions

Result = TypeVar("Result")
_STATUS: dict[type[Exception], int] = {InputError: 400, ModelError: 422, StoreError: 503, Busy: 503, Cancelled: 409}
"""From class to status; the first that an error is one of."""


_LOOK_S = 0.5
"""How often it is looked whether who asked the model still waits."""


class Missing(Exception):  # noqa: N818 (named for what it tells: the error is the one that it wraps)
    """There is no such thing; wraps the error that says so."""


class Refused(Exception):  # noqa: N818 (as above)
    """The visitor may not do this; wraps the error that says so."""


def explorer_of(request: Request) -> Explorer:
    """The explorer that is asked."""
    explorer: Explorer = request.app.state.explorer
    return explorer


async def ask_model(request: Request, what: str, question: "Callable[[ModelQuestions], Result]") -> Result:
    """The model's answer to a question of a page; if who asked goes away, the question ends.

    Args:
        request: whose header `x-ffmem-job` may give the question a name, to cancel it by.
        what: the kind of question, for those who wait.
        question: is given the model.
    """
    job = request.headers.get("x-ffmem-job", "")[:64]
    asked = asyncio.ensure_future(explorer_of(request).model.ask(question, what=what, job=job))
    try:
        while not (await asyncio.wait({asked}, timeout=_LOOK_S))[0]:
            if await request.is_disconnected():
                raise Cancelled
        return asked.result()
    finally:
        asked.cancel()


def page(request: Request, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
    """A page; `here` is its own address. Half a character, as names of folders may have, stands as its number."""
    links: Links = request.app.state.links
    query = request.url.query
    here = request.url.path + (f"?{query}" if query else "")
    context |= {"visitor": VISITOR.get(), "is_bare": is_bare(request)}
    text = render(template, links, explorer=explorer_of(request), here=here, **context)
    return HTMLResponse(text.encode("utf-8", "backslashreplace"), status_code=status)


async def form(request: Request, joined: str = "") -> dict[str, str]:
    """Fields of a form; of a name that stands there twice the last, and of the name `joined` all.

    Who has logged in is the author, whatever was typed.

    Raises:
        InputError: there are too many.
    """
    text = (await request.body()).decode("utf-8", "replace")
    try:
        fields = parse_qs(text, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise InputError(
            "the form has too many fields", f"Expected at most {MAX_FIELDS:,}", "Send only the fields of the page"
        ) from error
    found = {name: " ".join(values) if name == joined else values[-1] for name, values in fields.items()}
    return found | ({"author": author_of("")} if VISITOR.get() is not None else {})


def as_json(value: Any, status: int = 200) -> Response:
    """JSON, as `to_json` has it."""
    return Response(json_text(value).encode("utf-8", "backslashreplace"), status, media_type="application/json")


def wants_page(request: Request) -> bool:
    """Whether the asker reads pages, and asks for one."""
    return not request.url.path.endswith(".json") and "text/html" in request.headers.get("accept", "")


def failure(request: Request, error: Exception, status: int | None = None) -> Response:
    """An error as the asker wants it: one JSON body, or a page that says what to do there.

    Args:
        request: what was asked.
        error: what went wrong.
        status: if not the one of its class.
    """
    cause = error.__cause__ if isinstance(error, Missing | Refused) and error.__cause__ else error
    if status is None:
        wrapped = {Missing: 404, Refused: 403}.get(type(error))
        status = wrapped or next((s for c, s in _STATUS.items() if isinstance(cause, c)), 500)
    if isinstance(cause, Busy):
        told = {
            "got": "the model is busy with other questions",
            "expected": "fewer questions at a time",
            "mend": "Try again in a moment",
        }
    elif isinstance(cause, Cancelled):
        told = {"got": "the question was cancelled", "expected": "", "mend": "Ask again"}
    elif isinstance(cause, FfmemError):
        told = {"got": cause.got, "expected": cause.expected, "mend": cause.mend}
    else:
        told = {"got": str(cause), "expected": "", "mend": ""}
    if wants_page(request):
        answer: Response = page(request, "error.html", status=status, error=on_page(told, request.url.path))
    else:
        kind = "Busy" if isinstance(cause, Busy) else type(cause).__name__
        answer = as_json({"error": {"kind": kind, "message": str(cause)} | told}, status)
    if isinstance(cause, Busy):
        answer.headers["retry-after"] = "1"
    return answer
