"""Sentences, and the cells that they trigger."""

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from ffmem.errors import InputError
from ffmem.server.answers import Missing, as_json, explorer_of, page
from ffmem.server.views.sentence import SentenceView, sentence_view

router = APIRouter()

Number = Annotated[int, Path(ge=0, lt=2**32, description="Its number in the index")]


def _sentence(request: Request, sentence_id: int) -> SentenceView:
    try:
        return sentence_view(explorer_of(request), sentence_id)
    except InputError as error:
        raise Missing from error


@router.get("/sentences/{sentence_id}.json")
def sentence_json(request: Request, sentence_id: Number) -> Response:
    """A sentence, its tokens, and the cells that have it among their triggers."""
    return as_json(_sentence(request, sentence_id))


@router.get("/sentences/{sentence_id}", include_in_schema=False)
def sentence_page(request: Request, sentence_id: Number) -> Response:
    """The same as a page."""
    return page(request, "sentence.html", view=_sentence(request, sentence_id))
