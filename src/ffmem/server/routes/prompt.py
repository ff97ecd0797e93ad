"""A text of the user's own."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from ffmem.server.answers import as_json, explorer_of, page
from ffmem.server.routes.texts import asked_once, beside, text_state, with_text, with_token
from ffmem.server.views.completion import complete
from ffmem.server.views.prompt import PromptState, PromptView, empty_prompt
from ffmem.server.views.text import TextState

router = APIRouter()


def _state(
    shared: Annotated[TextState, Depends(text_state)],
    controls: Annotated[
        Literal["auto", "always", "never"],
        Query(description="Make the same changes with other cells too; auto: unless the text is long"),
    ] = "auto",
) -> PromptState:
    return PromptState(**with_token(shared).__dict__, controls=controls)


State = Annotated[PromptState, Depends(_state)]


@router.get("/prompt.json")
async def prompt_json(request: Request, state: State) -> Response:
    """Predictions layer by layer, the cells behind them, the exact sum behind a score, and what changes do."""
    return as_json(await answer(request, with_text(state)))


@router.get("/prompt", include_in_schema=False)
async def prompt_page(request: Request, state: State) -> Response:
    """The same as a page."""
    explorer = explorer_of(request)
    model = explorer.model.state
    view = empty_prompt(state, explorer.causal, model.why)
    if state.text and model.state == "ready":
        view = await answer(request, state)
    return page(request, "prompt.html", view=view, **await beside(request, state))


@router.get("/prompt/cells.json")
async def complete_json(
    request: Request, q: Annotated[str, Query(max_length=100, description="The beginning of a cell's id or name")] = ""
) -> Response:
    """Cells and collections to change, completed from what has been typed."""
    return as_json({"cells": await run_in_threadpool(complete, explorer_of(request).index, q)})


async def answer(request: Request, state: PromptState) -> PromptView:
    """What the model says of a prompt."""
    what = "a prompt with changes" if state.change else "a prompt"
    return await asked_once(request, what, state, lambda questions: questions.prompt(state))
