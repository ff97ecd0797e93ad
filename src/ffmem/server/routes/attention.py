"""Attention of a text of the user's own, and the one map of attention and memories."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from ffmem.errors import InputError
from ffmem.server.answers import as_json, explorer_of, page
from ffmem.server.limits import MAX_HEADS
from ffmem.server.routes.texts import asked_once, beside, text_state, with_text, with_token
from ffmem.server.views.attention import AttentionState, AttentionView, MapState, MapView
from ffmem.server.views.text import TextState

router = APIRouter()

Head = Annotated[str, Query(max_length=60)]


def attention_state(
    shared: Annotated[TextState, Depends(text_state)],
    bias: Annotated[Literal["inside", "constant"], Query(description="Where the bias of W_V goes")] = "inside",
    heads: Annotated[list[Head], Query(max_length=MAX_HEADS, description="L3.H5 or L3, patched together")] = [],  # noqa: B006 (FastAPI copies it)
    by: Annotated[Literal["uniform", "norms"], Query(description="What takes the place of weights")] = "uniform",
) -> AttentionState:
    """What is asked of attention."""
    named = tuple(dict.fromkeys(one for some in heads for one in some.replace(",", " ").split()))
    if len(named) > MAX_HEADS:
        raise InputError(f"{len(named)} heads are named", f"Expected at most {MAX_HEADS}", "Name whole layers")
    return AttentionState(**shared.__dict__, bias=bias, heads=named, by=by)


def map_state(
    shared: Annotated[TextState, Depends(text_state)],
    by: Annotated[Literal["norm", "logit"], Query(description="The unit")] = "logit",
) -> MapState:
    """What is asked of a map."""
    return MapState(**with_token(shared).__dict__, by=by)


@router.get("/attention.json")
async def attention_json(request: Request, state: Annotated[AttentionState, Depends(attention_state)]) -> Response:
    """Weights and norms of one layer over a text, what each layer looks at most, and what patching heads does."""
    return as_json(await attention_of(request, with_text(state)))


@router.get("/attention", include_in_schema=False)
async def attention_page(request: Request, state: Annotated[AttentionState, Depends(attention_state)]) -> Response:
    """The same as a page."""
    model = explorer_of(request).model.state
    decodes = explorer_of(request).index.manifest.model.two_stacks
    view = AttentionView(state, decodes, (("model", model.why),) if model.why else ())
    if state.text and model.state == "ready":
        view = await attention_of(request, state)
    return page(request, "attention.html", view=view, **await beside(request, state))


@router.get("/map.json")
async def map_json(request: Request, state: Annotated[MapState, Depends(map_state)]) -> Response:
    """What every token and every cell added to one position, in one unit, and which token fired which cell.

    Tokens have their parts by the attention of each layer alone: what earlier layers had moved between tokens counts for the
    token where it stood.
    """
    return as_json(await map_of(request, with_text(state)))


@router.get("/map", include_in_schema=False)
async def map_page(request: Request, state: Annotated[MapState, Depends(map_state)]) -> Response:
    """The same as a page."""
    model = explorer_of(request).model.state
    view = MapView(state, (("model", model.why),) if model.why else ())
    if state.text and model.state == "ready":
        view = await map_of(request, state)
    return page(request, "map.html", view=view, **await beside(request, state))


async def attention_of(request: Request, state: AttentionState) -> AttentionView:
    """What the model says of attention in a text."""
    return await asked_once(request, "attention of a text", state, lambda questions: questions.attention(state))


async def map_of(request: Request, state: MapState) -> MapView:
    """What the model says of a token of a text."""
    return await asked_once(request, "the map of a text", state, lambda questions: questions.map(state))
