"""The studies beside the index, live."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from ffmem.errors import InputError
from ffmem.server.answers import Missing, as_json, explorer_of, page
from ffmem.server.explorer import Explorer
from ffmem.server.taken.of_lists import FIGURES_PARTS, check_found
from ffmem.server.taken.taking import MEDIA
from ffmem.server.views.figures import (
    FiguresView,
    figure_image,
    figure_pixels,
    figure_spec,
    figure_table,
    figures_view,
    patterns_table,
)
from ffmem.studies.charts import script

router = APIRouter()

Name = Annotated[str, Path(max_length=100, description="As /figures.json lists them")]
StudyKey = Annotated[
    str, Query(max_length=100, description="Of the results, as /figures.json lists them; the first if empty")
]


@router.get("/figures.json")
def figures_json(request: Request, study: StudyKey = "") -> Response:
    """The numbers of the study beside the paper's, and the names of its charts."""
    return as_json(view_of(request, study).to_json())


@router.get("/figures", include_in_schema=False)
def figures_page(request: Request, study: StudyKey = "") -> Response:
    """The same as a page."""
    return page(request, "figures.html", view=view_of(request, study))


@router.get("/figures/{name}.json")
def figure_json(request: Request, name: Name, study: StudyKey = "") -> Response:
    """A chart as Vega-Lite, with its numbers in it."""
    try:
        return as_json(figure_spec(explorer_of(request), name, study))
    except InputError as error:
        raise Missing from error


@router.get("/figures/{name}.svg", response_class=Response)
def figure_svg(request: Request, name: Name, study: StudyKey = "") -> Response:
    """A chart as a picture."""
    try:
        return Response(figure_image(explorer_of(request), name, study), media_type="image/svg+xml")
    except InputError as error:
        raise Missing from error


@router.get("/figures/{name}.csv", response_class=Response)
def figure_csv(request: Request, name: Name, study: StudyKey = "") -> Response:
    """The numbers of a chart or a table; claims and numbers are the tables that begin the page."""
    if name in FIGURES_PARTS:
        found = FIGURES_PARTS[name](view_of(request, study))
        return Response(check_found(found).file("csv"), media_type=MEDIA["csv"])
    return _csv(lambda explorer: figure_table(explorer, name, study), request)


@router.get("/figures/{name}.png", response_class=Response)
def figure_png(request: Request, name: Name, study: StudyKey = "") -> Response:
    """A chart as a picture of pixels."""
    try:
        return Response(figure_pixels(explorer_of(request), name, study), media_type=MEDIA["png"])
    except InputError as error:
        raise Missing from error


@router.get("/patterns/{name}.csv", response_class=Response)
def patterns_csv(request: Request, name: Name) -> Response:
    """All patterns of all cells of a layer."""
    return _csv(lambda explorer: patterns_table(explorer, name), request)


def view_of(request: Request, study: str) -> FiguresView:
    """A study, and which others there are."""
    try:
        return figures_view(explorer_of(request), study)
    except InputError as error:
        raise Missing from error


def _csv(table: Callable[[Explorer], bytes], request: Request) -> Response:
    try:
        found = table(explorer_of(request))
    except InputError as error:
        raise Missing from error
    return Response(found, media_type="text/csv; charset=utf-8")


@router.get("/vega.js", include_in_schema=False)
def vega(request: Request) -> Response:
    """The script that draws charts, from the installed charting package."""
    text = explorer_of(request).kept("vega", script)
    headers = {"cache-control": "max-age=86400"}
    return Response(text.encode(), media_type="text/javascript; charset=utf-8", headers=headers)
