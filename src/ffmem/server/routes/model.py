"""The model that all pages share: its state, and questions that are taken back."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from ffmem.server.answers import as_json, explorer_of

router = APIRouter()
Job = Annotated[str, Query(max_length=64, description="What the header x-ffmem-job of a question said")]


@router.get("/model.json")
async def model_json(request: Request, job: Job = "") -> Response:
    """Whether the model can be asked, what it is answering, for how long, and how many questions wait."""
    return as_json(explorer_of(request).model.state_for(job))


@router.delete("/model.json")
async def cancel_json(request: Request, job: Job) -> Response:
    """Take a question back: it ends before the model's next layer, or is not asked at all."""
    return as_json({"cancelled": explorer_of(request).model.cancel(job)})
