"""Results -> text for people. The only room that knows how things look in a terminal."""

from ffmem.render.activation import activation
from ffmem.render.alignment import alignment
from ffmem.render.annotations import agreement, drawn, imported
from ffmem.render.annotations import summary as annotations_summary
from ffmem.render.ask import diff, found, promoting, search, similar
from ffmem.render.attention import attention, one_map, patch_effect, patch_sweep
from ffmem.render.cells import cell, cells
from ffmem.render.explain import explanation, intervention
from ffmem.render.index import info, summary, verification
from ffmem.render.plan import plan
from ffmem.render.progress import progress, say, steps, study_progress
from ffmem.render.structure import structure
from ffmem.render.study import study, table
from ffmem.render.tables import exported, query, query_csv, views, views_page
from ffmem.render.terminal import one_line

__all__ = [
    "activation",
    "agreement",
    "alignment",
    "annotations_summary",
    "attention",
    "cell",
    "cells",
    "diff",
    "drawn",
    "explanation",
    "exported",
    "found",
    "imported",
    "info",
    "intervention",
    "one_line",
    "one_map",
    "patch_effect",
    "patch_sweep",
    "plan",
    "progress",
    "promoting",
    "query",
    "query_csv",
    "say",
    "search",
    "similar",
    "steps",
    "structure",
    "study",
    "study_progress",
    "summary",
    "table",
    "verification",
    "views",
    "views_page",
]
