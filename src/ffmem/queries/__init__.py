"""One function for each question a user asks of an index; the command line, servers and notebooks go through these."""

from typing import TYPE_CHECKING

from ffmem.by_need import by_need

if TYPE_CHECKING:
    from ffmem.queries.diff import CellDiff, Change, Diff, diff
    from ffmem.queries.export import Exported, export
    from ffmem.queries.find import Found, FoundCell, find
    from ffmem.queries.highlights import Highlight, highlights
    from ffmem.queries.look_up import cell, info
    from ffmem.queries.marks import Within
    from ffmem.queries.matches import FindSort
    from ffmem.queries.named import NameQuestion
    from ffmem.queries.promotes import Promoting, PromotingCell, promotes
    from ffmem.queries.relations import RELATIONS
    from ffmem.queries.search import SearchResult, SentenceHit, Syntax, marked, search
    from ffmem.queries.similar import Likeness, Similar, SimilarCell, similar
    from ffmem.queries.sql import QueryResult, query
    from ffmem.queries.table import CellRow, SortKey, cells

__all__ = [
    "RELATIONS",
    "CellDiff",
    "CellRow",
    "Change",
    "Diff",
    "Exported",
    "FindSort",
    "Found",
    "FoundCell",
    "Highlight",
    "Likeness",
    "NameQuestion",
    "Promoting",
    "PromotingCell",
    "QueryResult",
    "SearchResult",
    "SentenceHit",
    "Similar",
    "SimilarCell",
    "SortKey",
    "Syntax",
    "Within",
    "cell",
    "cells",
    "diff",
    "export",
    "find",
    "highlights",
    "info",
    "marked",
    "promotes",
    "query",
    "search",
    "similar",
]

by_need(__name__)
