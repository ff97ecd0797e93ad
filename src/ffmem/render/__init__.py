"""Results -> text for people. The only room that knows how things look in a terminal."""

from typing import TYPE_CHECKING

from ffmem.by_need import by_need

if TYPE_CHECKING:
    from ffmem.render.activation import activation
    from ffmem.render.alignment import alignment
    from ffmem.render.annotations import agreement, drawn, imported
    from ffmem.render.annotations import summary as annotations_summary
    from ffmem.render.ask import diff, found, promoting, search, similar
    from ffmem.render.atlas import atlas, atlas_plan
    from ffmem.render.attention import attention, one_map, patch_effect, patch_sweep
    from ffmem.render.cells import cell, cells
    from ffmem.render.circuit import circuit, task_pairs
    from ffmem.render.collections import (
        collection,
        collection_diff,
        collections,
        compared_collection,
        kept_collection,
        refreshed,
    )
    from ffmem.render.editing import edit
    from ffmem.render.explain import change_controls, explanation, intervention
    from ffmem.render.flow import flow
    from ffmem.render.index import info, summary, verification
    from ffmem.render.labels import label_plan, label_report
    from ffmem.render.names import history, label_counts, labels_read, labels_written
    from ffmem.render.plan import plan
    from ffmem.render.progress import progress, say, steps, study_progress
    from ffmem.render.rule_names import evaluation as rules_evaluation
    from ffmem.render.rule_names import naming, rule_names
    from ffmem.render.structure import structure
    from ffmem.render.study import study, table
    from ffmem.render.tables import exported, query, query_csv, views, views_page
    from ffmem.render.terminal import one_line
    from ffmem.render.trace import life

__all__ = [
    "activation",
    "agreement",
    "alignment",
    "annotations_summary",
    "atlas",
    "atlas_plan",
    "attention",
    "cell",
    "cells",
    "change_controls",
    "circuit",
    "collection",
    "collection_diff",
    "collections",
    "compared_collection",
    "diff",
    "drawn",
    "edit",
    "explanation",
    "exported",
    "flow",
    "found",
    "history",
    "imported",
    "info",
    "intervention",
    "kept_collection",
    "label_counts",
    "label_plan",
    "label_report",
    "labels_read",
    "labels_written",
    "life",
    "naming",
    "one_line",
    "one_map",
    "patch_effect",
    "patch_sweep",
    "plan",
    "progress",
    "promoting",
    "query",
    "query_csv",
    "refreshed",
    "rule_names",
    "rules_evaluation",
    "say",
    "search",
    "similar",
    "steps",
    "structure",
    "study",
    "study_progress",
    "summary",
    "table",
    "task_pairs",
    "verification",
    "views",
    "views_page",
]

by_need(__name__)
