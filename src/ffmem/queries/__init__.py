"""One function for each question a user asks of an index; the command line, servers and notebooks go through these."""

from ffmem.queries.highlights import Highlight, highlights
from ffmem.queries.table import CellRow, SortKey, cell, cells, info

__all__ = ["CellRow", "Highlight", "SortKey", "cell", "cells", "highlights", "info"]
