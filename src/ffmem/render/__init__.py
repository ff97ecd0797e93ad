"""Results -> text for people. The only room that knows how things look in a terminal."""

from ffmem.render.cells import cell, cells
from ffmem.render.index import info, summary, verification
from ffmem.render.progress import progress, say
from ffmem.render.terminal import one_line

__all__ = ["cell", "cells", "info", "one_line", "progress", "say", "summary", "verification"]
