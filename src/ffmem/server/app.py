"""The explorer as an ASGI application."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

from anyio import to_thread
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from ffmem.errors import FfmemError, InputError
from ffmem.server import routes
from ffmem.server.access import Access
from ffmem.server.answers import Missing, Refused, failure
from ffmem.server.crowd import Crowd
from ffmem.server.explorer import Explorer
from ffmem.server.kept_answers import KeptAnswers
from ffmem.server.limits import N_THREADS
from ffmem.server.links import Links
from ffmem.server.model_thread import Busy, Cancelled
from ffmem.server.safety import LOOPBACK, Guard
from ffmem.server.sharing.settings import Sharing
from ffmem.server.warm import warm
from ffmem.server.wrong_values import wrong_values
from ffmem.version import __version__


def make_app(explorer: Explorer, hosts: Iterable[str] = LOOPBACK, sharing: Sharing | None = None) -> FastAPI:
    """The explorer over HTTP.

    Args:
        explorer: what is shown.
        hosts: names under which it may be asked.
        sharing: who else is let in; None: whoever reaches it, which only this machine may.
    """
    sharing = sharing or Sharing()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        to_thread.current_default_thread_limiter().total_tokens = N_THREADS
        warm(explorer)
        yield
        explorer.model.close()

    app = FastAPI(
        title="ffmem",
        version=__version__,
        description="Feed-forward memories of a Transformer: the pages of the explorer as JSON.",
        lifespan=lifespan,
        docs_url=None,  # its scripts come from another host
        redoc_url=None,
    )
    app.state.explorer, app.state.links = explorer, Links()
    for router in routes.ROUTERS:
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=str(files("ffmem.server").joinpath("static"))), name="static")
    for kind in (FfmemError, Missing, Refused, Busy, Cancelled):
        app.add_exception_handler(kind, failure)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.add_exception_handler(HTTPException, _no_such_page)
    app.add_middleware(KeptAnswers, state=explorer.state)
    app.add_middleware(Access, sharing=sharing)
    app.add_middleware(Crowd)
    app.add_middleware(Guard, hosts=tuple(hosts), proxy=sharing.proxy, embed_in=sharing.embed_in)  # asked first
    return app


def _not_understood(request: Request, error: Any) -> Response:
    """What the declared types of a route refuse, as an error of ours."""
    return failure(request, wrong_values(error.errors()))


def _no_such_page(request: Request, error: Any) -> Response:
    if error.status_code != 404:
        return (
            failure(
                request,
                InputError(
                    str(error.detail), "Expected a request that the explorer answers", "Follow a link of a page"
                ),
            )
            if (error.status_code < 500 and error.status_code != 405)
            else Response(str(error.detail), error.status_code, headers=error.headers)
        )
    missing = Missing()
    missing.__cause__ = InputError(
        f"there is no page {request.url.path[:200]!r}",
        "Expected an address that a link leads to",
        "Start at the overview: /",
    )
    return failure(request, missing)
