"""Sentences, and the cells that they trigger."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from ffmem.errors import InputError
from ffmem.server.answers import Missing, as_json, explorer_of, page
from ffmem.server.views.sentence import SentenceView, sentence_view

router = APIRouter()

Number = Annotated[int, Path(ge=0, lt=2**32, description="Its number in the index")]


At = Annotated[int | None, Query(ge=0, lt=2**32, description="Only cells that fire on this token, from 0")]
Start = Annotated[int, Query(ge=0, le=2**31, description="So many cells are passed over first")]


def view_of(request: Request, sentence_id: int, at: int | None, start: int) -> SentenceView:
    """A sentence, and its cells."""
    try:
        return sentence_view(explorer_of(request), sentence_id, at, start)
    except InputError as error:
        raise Missing from error


@router.get("/sentences/{sentence_id}.json")
def sentence_json(request: Request, sentence_id: Number, at: At = None, start: Start = 0) -> Response:
    """A sentence, its tokens, and the cells that have it among their triggers."""
    return as_json(view_of(request, sentence_id, at, start))


@router.get("/sentences/{sentence_id}", include_in_schema=False)
def sentence_page(request: Request, sentence_id: Number, at: At = None, start: Start = 0) -> Response:
    """The same as a page."""
    return page(request, "sentence.html", view=view_of(request, sentence_id, at, start))
