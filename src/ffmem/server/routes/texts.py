"""What every view of a text is asked with."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from fastapi import Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from ffmem.errors import InputError
from ffmem.server.answers import ask_model, explorer_of
from ffmem.server.limits import MAX_CHANGES, MAX_NEW_TOKENS, MAX_PROMPT
from ffmem.server.recent import Recent
from ffmem.server.views.chips import chips
from ffmem.server.views.examples import examples
from ffmem.server.views.text import TextState, one_for_each_cell

if TYPE_CHECKING:
    from ffmem.server.model_questions import ModelQuestions

Answer = TypeVar("Answer")
Change = Annotated[str, Query(max_length=1_000)]
_LONGEST_TOKEN = 200
_N_ANSWERS = 8
"""Answers that are kept, so that what a reader takes away of a page asks the model nothing."""


def text_state(
    text: Annotated[str, Query(max_length=MAX_PROMPT, description="Read as one input")] = "",
    target: Annotated[
        str, Query(max_length=MAX_PROMPT, description="One token to explain; of an encoder-decoder, its decoder's text")
    ] = "",
    against: Annotated[str, Query(max_length=_LONGEST_TOKEN, description="A second token")] = "",
    layer: Annotated[str, Query(max_length=40, description="The layer that is shown in full")] = "",
    at: Annotated[
        int | None, Query(ge=0, le=2**31, description="A token of the text: 0 is its first, special ones left out")
    ] = None,
    change: Annotated[
        list[Change],
        Query(max_length=MAX_CHANGES, description="L9.12*0, L9.12=5, L9.12+1@-1; of one cell the last counts"),
    ] = [],  # noqa: B006 (FastAPI copies it)
    where: Annotated[Literal["all", "last"], Query(description="At which tokens changes hold")] = "all",
    new: Annotated[int, Query(ge=0, le=MAX_NEW_TOKENS, description="Tokens to write on where cells are changed")] = 20,
) -> TextState:
    """The parameters that all views of a text share.

    Raises:
        InputError: there are too many changes.
    """
    each = tuple(one.strip() for some in change for one in some.split(",") if one.strip())
    if len(each) > MAX_CHANGES:
        raise InputError(
            f"{len(each)} changes are asked for", f"Expected at most {MAX_CHANGES}", "Change a collection: @NAME*0"
        )
    return TextState(text, target, against, layer.strip(), at, one_for_each_cell(each), where, new)


def with_token(state: TextState) -> TextState:
    """The same, if its target can be a token.

    Raises:
        InputError: it is too long.
    """
    if len(state.target) > _LONGEST_TOKEN:
        raise InputError(
            f"the target has {len(state.target):,} characters",
            f"Expected one token, of at most {_LONGEST_TOKEN}",
            "Give one token",
        )
    return state


def with_text(state: Any) -> Any:
    """The same, if there is a text.

    Raises:
        InputError: there is none.
    """
    if not state.text:
        raise InputError("there is no text", "Expected one", "Add ?text=...")
    return state


async def beside(request: Request, state: TextState) -> dict[str, Any]:
    """What stands in the frame of every view: changes as chips, and examples where there is no text yet."""
    explorer = explorer_of(request)
    shown = await run_in_threadpool(chips, explorer.index, state.change)
    return {
        "model": explorer.model.state,
        "asked": state,
        "chips": shown,
        "examples": () if state.text else examples(explorer),
    }


async def asked_once(
    request: Request, what: str, state: TextState, question: "Callable[[ModelQuestions], Answer]"
) -> Answer:
    """The model's answer; one that was given lately is given again while nothing beside the index has changed.

    Args:
        request: see `ask_model`.
        what: likewise.
        state: what is asked.
        question: is given the model.
    """
    explorer = explorer_of(request)
    recent: Recent[Answer] = explorer.kept("recent answers", lambda: Recent(_N_ANSWERS))
    key = (type(state), state, explorer.state())
    found = recent.find(key)
    return found if found is not None else recent.keep(key, await ask_model(request, what, question))
