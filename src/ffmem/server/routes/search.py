"""Search."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ffmem.server.answers import as_json, explorer_of, page
from ffmem.server.limits import MAX_QUERY
from ffmem.server.routes.cells import Limit
from ffmem.server.views.search import search_view

router = APIRouter()

Text = Annotated[
    str, Query(alias="q", max_length=MAX_QUERY, description="Words, /an expression/, key:value, or a cell")
]


@router.get("/search.json")
def search_json(request: Request, text: Text = "", limit: Limit = 20) -> Response:
    """Cells by triggers, values, patterns and annotations; sentences by text."""
    return as_json(search_view(explorer_of(request), text, limit))


@router.get("/search", include_in_schema=False)
def search_page(request: Request, text: Text = "", limit: Limit = 20) -> Response:
    """The same as a page; a cell's id leads to the cell."""
    view = search_view(explorer_of(request), text, limit)
    if view.question is not None and view.question.cell is not None:
        return RedirectResponse(request.app.state.links.cell(view.question.cell), 303)
    return page(request, "search.html", view=view, limit=limit)
