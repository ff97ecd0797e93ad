"""Results -> text for people. The only room that knows how things look in a terminal."""

from ffmem.render.cells import cell, cells
from ffmem.render.index import info, summary, verification
from ffmem.render.progress import progress, say, say_writing
from ffmem.render.tables import exported, query, query_csv, views, views_page

__all__ = [
    "cell",
    "cells",
    "exported",
    "info",
    "progress",
    "query",
    "query_csv",
    "say",
    "say_writing",
    "summary",
    "verification",
    "views",
    "views_page",
]
