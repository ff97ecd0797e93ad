"""Attention of a text of the user's own, and the one map of attention and memories."""

from typing import Annotated, Literal, TypeVar

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from ffmem.errors import InputError
from ffmem.server.answers import as_json, explorer_of, page
from ffmem.server.limits import MAX_HEADS, MAX_PROMPT
from ffmem.server.views.attention import AttentionState, AttentionView, MapState, MapView

router = APIRouter()

State = TypeVar("State", AttentionState, MapState)

Text = Annotated[str, Query(max_length=MAX_PROMPT, description="Read as one input")]
Layer = Annotated[str, Query(max_length=40, description="The one that is shown in full")]
Head = Annotated[str, Query(max_length=60)]


def _attention_state(
    text: Text = "",
    target: Annotated[str, Query(max_length=MAX_PROMPT, description="What a decoder is given")] = "",
    layer: Layer = "",
    bias: Annotated[Literal["inside", "constant"], Query(description="Where the bias of W_V goes")] = "inside",
    heads: Annotated[list[Head], Query(max_length=MAX_HEADS, description="L3.H5 or L3, patched together")] = [],  # noqa: B006 (FastAPI copies it)
    by: Annotated[Literal["uniform", "norms"], Query(description="What takes the place of weights")] = "uniform",
) -> AttentionState:
    named = tuple(dict.fromkeys(one for some in heads for one in some.replace(",", " ").split()))
    if len(named) > MAX_HEADS:
        raise InputError(f"{len(named)} heads are named", f"Expected at most {MAX_HEADS}", "Name whole layers")
    return AttentionState(text, target, layer.strip(), bias, named, by)


def _map_state(
    text: Text = "",
    target: Annotated[str, Query(max_length=200, description="The token whose score is shared out")] = "",
    at: Annotated[int | None, Query(ge=0, le=2**31, description="A token of the text, special ones counted")] = None,
    by: Annotated[Literal["norm", "logit"], Query(description="The unit")] = "logit",
    layer: Layer = "",
) -> MapState:
    return MapState(text, target, at, by, layer.strip())


@router.get("/attention.json")
async def attention_json(request: Request, state: Annotated[AttentionState, Depends(_attention_state)]) -> Response:
    """Weights and norms of one layer over a text, what each layer looks at most, and what patching heads does."""
    return as_json(await _attention(request, _with_text(state)))


@router.get("/attention", include_in_schema=False)
async def attention_page(request: Request, state: Annotated[AttentionState, Depends(_attention_state)]) -> Response:
    """The same as a page."""
    model = explorer_of(request).model.state
    decodes = explorer_of(request).index.manifest.model.two_stacks
    view = AttentionView(state, decodes, (("model", model.why),) if model.why else ())
    if state.text and model.state == "ready":
        view = await _attention(request, state)
    return page(request, "attention.html", view=view, model=model)


@router.get("/map.json")
async def map_json(request: Request, state: Annotated[MapState, Depends(_map_state)]) -> Response:
    """What every token and every cell added to one position, in one unit, and which token fired which cell.

    Tokens have their parts by the attention of each layer alone: what earlier layers had moved between tokens counts for the
    token where it stood.
    """
    return as_json(await _map(request, _with_text(state)))


@router.get("/map", include_in_schema=False)
async def map_page(request: Request, state: Annotated[MapState, Depends(_map_state)]) -> Response:
    """The same as a page."""
    model = explorer_of(request).model.state
    view = MapView(state, (("model", model.why),) if model.why else ())
    if state.text and model.state == "ready":
        view = await _map(request, state)
    return page(request, "map.html", view=view, model=model)


def _with_text(state: State) -> State:
    if not state.text:
        raise InputError("there is no text", "Expected one", "Add ?text=...")
    return state


async def _attention(request: Request, state: AttentionState) -> AttentionView:
    return await explorer_of(request).model.ask(lambda questions: questions.attention(state))


async def _map(request: Request, state: MapState) -> MapView:
    return await explorer_of(request).model.ask(lambda questions: questions.map(state))
