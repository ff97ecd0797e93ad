"""Search."""

from collections.abc import Iterator
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from ffmem.errors import InputError
from ffmem.queries.found_table import TableFormat, stream_found
from ffmem.queries.matches import FindSort
from ffmem.queries.question import typed_question
from ffmem.queries.question_keys import KEYS, META
from ffmem.server.answers import as_json, explorer_of, page
from ffmem.server.limits import MAX_QUERY, MAX_START
from ffmem.server.routes.cells import Limit
from ffmem.server.views.complete import complete
from ffmem.server.views.search import SORTS, Parts, Show, matched, search_view, understood
from ffmem.server.views.search_form import search_context

router = APIRouter()

Text = Annotated[
    str, Query(alias="q", max_length=MAX_QUERY, description="Words, /an expression/, key:value, or a cell")
]
Start = Annotated[int, Query(ge=0, le=MAX_START, description="So many are passed over first")]
Sort = Annotated[FindSort, Query(description="Which cells come first")]
Shown = Annotated[Show, Query(description="Cells, sentences, or both")]
At = Annotated[int | None, Query(ge=0, le=MAX_QUERY, description="Where in the question is typed; by default its end")]
_TYPES: dict[TableFormat, str] = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "parquet": "application/vnd.apache.parquet",
}


@router.get("/search.json", summary="Search for cells and sentences")
def search_json(
    request: Request,
    text: Text = "",
    limit: Limit = 20,
    start: Start = 0,
    sort: Sort = "auto",
    show: Shown = "both",
    whole: Annotated[bool, Query(description="All cells at once, as they are found, and no sentences")] = False,
) -> Response:
    """Cells by triggers, values, patterns, documents and what people said; sentences by text."""
    if whole:
        return _table(request, text, sort, "json")
    return as_json(search_view(explorer_of(request), text, limit, start, sort, show))


@router.get("/search.csv", summary="All cells that a search finds, as CSV")
def search_csv(request: Request, text: Text = "", sort: Sort = "auto") -> Response:
    """A row for each cell, with the first trigger that matches; as a spreadsheet opens it."""
    return _table(request, text, sort, "csv")


@router.get("/search.parquet", summary="All cells that a search finds, as Parquet")
def search_parquet(request: Request, text: Text = "", sort: Sort = "auto") -> Response:
    """The same rows as in CSV."""
    return _table(request, text, sort, "parquet")


@router.get("/search/complete.json", summary="What a half-typed question may become")
def complete_json(request: Request, text: Text = "", at: At = None) -> Response:
    """Keys, and values of them, for the part of a question that is being typed."""
    return as_json(complete(explorer_of(request), text, at))


@router.get("/search/filter", include_in_schema=False)
def search_filter(request: Request) -> Response:
    """The fields of the filter panel, as the question that they stand for."""
    fields = request.query_params
    of_meta = zip(fields.getlist("meta_field"), fields.getlist("meta_value"), strict=False)
    parts = [(f"{META}{name}", value) for name, value in of_meta if name]
    parts = [(key, fields.get(key, "")) for key in KEYS] + parts
    asked = typed_question(fields.get("words", ""), parts)[:MAX_QUERY]
    query = {"q": asked} | ({"sort": fields["sort"]} if fields.get("sort", "auto") in SORTS.keys() - {"auto"} else {})
    return RedirectResponse(f"{request.app.state.links.page('search')}?{urlencode(query)}", 303)


@router.get("/search", include_in_schema=False)
def search_page(
    request: Request,
    text: Text = "",
    limit: Limit = 20,
    start: Start = 0,
    sort: Sort = "auto",
    show: Shown = "both",
    parts: Parts = "auto",
) -> Response:
    """The same as a page; a cell's id leads to the cell. Of a large index sentences come first, cells when they are found."""
    explorer = explorer_of(request)
    view = search_view(explorer, text, limit, start, sort, show, parts)
    if view.question is not None and view.question.cell is not None:
        return RedirectResponse(request.app.state.links.cell(view.question.cell), 303)
    return page(request, "search.html", **search_context(explorer, view))


def _table(request: Request, text: str, sort: FindSort, form: TableFormat) -> Response:
    """All cells that are found, piece by piece.

    Raises:
        InputError: the question is not understood, or asks nothing.
    """
    explorer = explorer_of(request)
    asked = understood(explorer.index, text)
    if asked.question is None or asked.problem or asked.question.empty or asked.question.cell is not None:
        raise InputError(
            asked.problem or f"{text[:100]!r} asks for no cells",
            "Expected a question as the search box takes it",
            "Search on the page first, and take its address",
        )
    found = matched(explorer, asked, sort)
    pieces: Iterator[bytes] = stream_found(explorer.index, found, form, {"q": text})
    headers = {"content-disposition": f'attachment; filename="search.{form}"'}
    return StreamingResponse(pieces, media_type=_TYPES[form], headers=headers)
