"""Results -> text for people. The only room that knows how things look in a terminal."""

from ffmem.render.activation import activation
from ffmem.render.cells import cell, cells
from ffmem.render.index import info, summary, verification
from ffmem.render.progress import merging, progress, say

__all__ = ["activation", "cell", "cells", "info", "merging", "progress", "say", "summary", "verification"]
