"""A text of the user's own."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from ffmem.errors import InputError
from ffmem.server.answers import as_json, explorer_of, page
from ffmem.server.limits import MAX_CHANGES, MAX_NEW_TOKENS, MAX_PROMPT
from ffmem.server.views.prompt import PromptState, PromptView, empty_prompt

router = APIRouter()

Token = Annotated[str, Query(max_length=200)]
Change = Annotated[str, Query(max_length=100)]


def _state(
    text: Annotated[str, Query(max_length=MAX_PROMPT, description="Read as one input")] = "",
    target: Annotated[str, Query(max_length=200, description="One token to explain")] = "",
    against: Annotated[str, Query(max_length=200, description="A second one")] = "",
    layer: Annotated[str, Query(max_length=40, description="Whose cells are shown, with at")] = "",
    at: Annotated[int | None, Query(ge=0, le=2**31, description="A token of the text")] = None,
    change: Annotated[list[Change], Query(max_length=MAX_CHANGES, description="L9.12*0, L9.12=5, L9.12+1@-1")] = [],  # noqa: B006 (FastAPI copies it)
    where: Annotated[Literal["all", "last"], Query(description="At which tokens changes hold")] = "all",
    new: Annotated[int, Query(ge=0, le=MAX_NEW_TOKENS, description="Tokens to write on")] = 20,
) -> PromptState:
    changes = tuple(dict.fromkeys(one.strip() for one in change if one.strip()))
    return PromptState(text, target, against, layer.strip(), at, changes, where, new)


State = Annotated[PromptState, Depends(_state)]


@router.get("/prompt.json")
async def prompt_json(request: Request, state: State) -> Response:
    """Predictions layer by layer, the cells behind them, the exact sum behind a score, and what changes do."""
    if not state.text:
        raise InputError("there is no text", "Expected one", "Add ?text=...")
    return as_json(await _answer(request, state))


@router.get("/prompt", include_in_schema=False)
async def prompt_page(request: Request, state: State) -> Response:
    """The same as a page."""
    explorer = explorer_of(request)
    model = explorer.model.state
    if not state.text or model.state != "ready":
        return page(request, "prompt.html", view=empty_prompt(state, explorer.causal, model.why), model=model)
    return page(request, "prompt.html", view=await _answer(request, state), model=model)


async def _answer(request: Request, state: PromptState) -> PromptView:
    return await explorer_of(request).model.ask(lambda questions: questions.prompt(state))
