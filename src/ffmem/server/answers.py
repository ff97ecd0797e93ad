"""Questions -> answers over HTTP: a page or JSON, and every error as one body."""

from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from ffmem.errors import FfmemError, InputError, ModelError, StoreError
from ffmem.json_values import json_text
from ffmem.server.explorer import Explorer
from ffmem.server.links import Links
from ffmem.server.model_thread import Busy
from ffmem.server.pages import render

_STATUS: dict[type[Exception], int] = {InputError: 400, ModelError: 422, StoreError: 503, Busy: 503}
"""From class to status; the first that an error is one of."""


class Missing(Exception):  # noqa: N818 (named for what it tells: the error is the one that it wraps)
    """There is no such thing; wraps the error that says so."""


def explorer_of(request: Request) -> Explorer:
    """The explorer that is asked."""
    explorer: Explorer = request.app.state.explorer
    return explorer


def page(request: Request, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
    """A page; `here` is its own address. Half a character, as names of folders may have, stands as its number."""
    links: Links = request.app.state.links
    query = request.url.query
    here = request.url.path + (f"?{query}" if query else "")
    text = render(template, links, explorer=explorer_of(request), here=here, **context)
    return HTMLResponse(text.encode("utf-8", "backslashreplace"), status_code=status)


def as_json(value: Any, status: int = 200) -> Response:
    """JSON, as `to_json` has it."""
    return Response(json_text(value).encode("utf-8", "backslashreplace"), status, media_type="application/json")


def failure(request: Request, error: Exception) -> Response:
    """An error as the asker wants it: one JSON body, or a page."""
    cause = error.__cause__ if isinstance(error, Missing) and error.__cause__ else error
    status = 404 if isinstance(error, Missing) else next((s for c, s in _STATUS.items() if isinstance(cause, c)), 500)
    if isinstance(cause, Busy):
        told = {
            "got": "the model is busy with other questions",
            "expected": "fewer questions at a time",
            "mend": "Try again in a moment",
        }
    elif isinstance(cause, FfmemError):
        told = {"got": cause.got, "expected": cause.expected, "mend": cause.mend}
    else:
        told = {"got": str(cause), "expected": "", "mend": ""}
    wants_page = not request.url.path.endswith(".json") and "text/html" in request.headers.get("accept", "")
    if wants_page:
        return page(request, "error.html", status=status, error=told)
    kind = "Busy" if isinstance(cause, Busy) else type(cause).__name__
    answer = as_json({"error": {"kind": kind, "message": str(cause)} | told}, status)
    if isinstance(cause, Busy):
        answer.headers["retry-after"] = "1"
    return answer
