"""The flow of a prediction over a text of the user's own."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from ffmem.errors import InputError
from ffmem.render.flow_svg import as_file
from ffmem.server.answers import as_json, ask_model, explorer_of, page
from ffmem.server.limits import MAX_PINS
from ffmem.server.recent import Recent
from ffmem.server.routes.texts import beside, text_state, with_text, with_token
from ffmem.server.views.flow import FlowAnswer, FlowState, FlowView, flow_view
from ffmem.server.views.text import TextState

router = APIRouter()

Pin = Annotated[str, Query(max_length=60)]


def _state(
    shared: Annotated[TextState, Depends(text_state)],
    share: Annotated[float | None, Query(ge=0, le=1, description="How much of the sum of all sizes is drawn")] = None,
    pin: Annotated[list[Pin], Query(max_length=MAX_PINS, description="L9.203, L3.H5@2")] = [],  # noqa: B006 (FastAPI copies it)
) -> FlowState:
    pins = tuple(dict.fromkeys(one.strip() for one in pin if one.strip()))
    return FlowState(**with_token(shared).__dict__, share=share, pin=pins)


State = Annotated[FlowState, Depends(_state)]


@router.get("/flow.json")
async def flow_json(request: Request, state: State) -> Response:
    """The exact sum behind a prediction: heads by the token that they read, cells, biases; and what made pinned cells fire.

    Every part is first-order: what it adds by itself to the score of the target.
    """
    return as_json(await answer(request, with_text(state)))


@router.get("/flow.svg")
async def flow_svg(request: Request, state: State) -> Response:
    """The picture of the same sum, as a file to keep."""
    view = await answer(request, with_text(state))
    if view.flow is None:
        raise InputError(
            f"there is no picture: {view.problems[0][1] if view.problems else 'nothing was found'}",
            "Expected a text and a token that the model can be asked about",
            "See the page: /flow",
        )
    drawn = view.picture(explorer_of(request), request.app.state.links, standalone=True)
    return Response(
        as_file(drawn), media_type="image/svg+xml", headers={"content-disposition": 'inline; filename="flow.svg"'}
    )


@router.get("/flow", include_in_schema=False)
async def flow_page(request: Request, state: State) -> Response:
    """The same as a page."""
    model = explorer_of(request).model.state
    view = FlowView(state, (("model", model.why),) if model.why else ())
    if state.text and model.state == "ready":
        view = await answer(request, state)
    return page(request, "flow.html", view=view, **await beside(request, state))


async def answer(request: Request, state: FlowState) -> FlowView:
    """What the model says; it is asked once while only what is drawn changes."""
    explorer = explorer_of(request)
    recent: Recent[FlowAnswer] = explorer.kept("recent flows", Recent)
    found = recent.find(state.question)
    if found is None:
        found = await ask_model(request, "the flow of a prediction", lambda questions: questions.flow(state))
        recent.keep(state.question, found)
    view = flow_view(state, found)
    if recent.find(view.state.question) is None:  # links from the page name the token that was meant
        recent.keep(view.state.question, found)
    return view
