"""Results -> text for people. The only room that knows how things look in a terminal."""

from ffmem.render.activation import activation
from ffmem.render.ask import diff, found, promoting, search, similar
from ffmem.render.cells import cell, cells
from ffmem.render.index import info, summary, verification
from ffmem.render.plan import plan
from ffmem.render.progress import merging, progress, say
from ffmem.render.terminal import one_line

__all__ = [
    "activation",
    "cell",
    "cells",
    "diff",
    "found",
    "info",
    "merging",
    "one_line",
    "plan",
    "progress",
    "promoting",
    "say",
    "search",
    "similar",
    "summary",
    "verification",
]
