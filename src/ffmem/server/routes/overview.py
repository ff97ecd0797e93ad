"""The overview."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ffmem.server.answers import as_json, explorer_of, page
from ffmem.server.views.overview import overview_view

router = APIRouter()


@router.get("/index.json")
def overview_json(request: Request) -> Response:
    """What the index is, and its layers in numbers."""
    return as_json(overview_view(explorer_of(request)))


@router.get("/", include_in_schema=False)
def overview_page(request: Request) -> Response:
    """The same as a page."""
    explorer = explorer_of(request)
    return page(request, "overview.html", view=overview_view(explorer, wait=not explorer.warming))
