"""How many are served at a time: who comes when the house is full is told so at once, and when to come back."""

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from ffmem.errors import InputError
from ffmem.server.answers import failure, wants_page
from ffmem.server.limits import MAX_INSIDE
from ffmem.server.links import Links
from ffmem.server.pages import render
from ffmem.server.safety import App, Receive, Scope, Send

RETRY_S = 2
"""After how many seconds somebody may come back."""


class Crowd:
    """Lets at most so many requests in at a time.

    Args:
        app: what they ask.
        most: of them.
    """

    def __init__(self, app: App, most: int = MAX_INSIDE) -> None:
        self._app, self._most, self._n_inside = app, most, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._n_inside >= self._most:
            await _full(Request(scope), self._most)(scope, receive, send)
            return
        self._n_inside += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._n_inside -= 1


def _full(request: Request, most: int) -> Response:
    if wants_page(request):
        answer: Response = HTMLResponse(render("full.html", Links(), retry_s=RETRY_S), 503)
    else:
        told = InputError(
            f"the explorer is answering {most} requests already", "Expected fewer at a time", "Try again in a moment"
        )
        answer = failure(request, told, status=503)
    answer.headers["retry-after"] = str(RETRY_S)
    return answer
