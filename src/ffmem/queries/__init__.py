"""One function for each question a user asks of an index; the command line, servers and notebooks go through these."""

from ffmem.queries.export import Exported, export
from ffmem.queries.highlights import Highlight, highlights
from ffmem.queries.relations import RELATIONS
from ffmem.queries.sql import QueryResult, query
from ffmem.queries.table import CellRow, SortKey, cell, cells, info

__all__ = [
    "RELATIONS",
    "CellRow",
    "Exported",
    "Highlight",
    "QueryResult",
    "SortKey",
    "cell",
    "cells",
    "export",
    "highlights",
    "info",
    "query",
]
