"""HTTP: a file for each group of pages; the path of a page's data is its own with ``.json``."""

from ffmem.server.routes import (
    annotate,
    atlas,
    attention,
    cells,
    collections,
    diff,
    figures,
    flow,
    model,
    names,
    overview,
    prompt,
    search,
    sentences,
    take,
    try_text,
)

_PAGES = (
    overview, model, try_text, cells, atlas, names, sentences, search, prompt, attention, flow, annotate, collections,
    figures, diff, take,
)  # fmt: skip
ROUTERS = tuple(one.router for one in _PAGES)
"""In the order in which addresses are tried."""
