"""Bare pages, for frames in other pages: which pages there are, and who may show them."""

import re

from starlette.requests import Request

from ffmem.server.safety import READING

_PAGES = re.compile(r"/cells/[^/]+(?<!\.json)|/flow|/figures")
_PARTS = re.compile(r"/figures/[^/]+\.(svg|json)|/vega\.js")
"""What a page of figures fetches."""


def is_bare(request: Request) -> bool:
    """Whether a page is asked for that may be shown in a frame, without header and footer."""
    asked = request.query_params.getlist("embed") == ["1"]
    return asked and request.method in READING and _PAGES.fullmatch(request.url.path) is not None


def is_part_of_bare(request: Request) -> bool:
    """Whether what a bare page fetches is asked for."""
    return request.method in READING and _PARTS.fullmatch(request.url.path) is not None
