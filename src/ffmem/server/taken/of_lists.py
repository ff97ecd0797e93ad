"""What pages of layers and lists have to take away: overview, sentences, differences, annotations, collections, figures."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from ffmem.annotations.protocol import LABELS
from ffmem.errors import InputError
from ffmem.json_values import JsonObject
from ffmem.server.taken.taking import Taken, bars, named, visible
from ffmem.server.views.annotate import AnnotationsView
from ffmem.server.views.collections import CollectionView
from ffmem.server.views.diff import DiffView
from ffmem.server.views.figures import FiguresView
from ffmem.server.views.flow import FlowView
from ffmem.server.views.overview import OverviewView
from ffmem.server.views.sentence import SentenceView
from ffmem.studies.exhibit import Chart, Row

if TYPE_CHECKING:
    from ffmem.annotations.summary import LayerSummary

_LAYER = ("layer", "n_cells", "active_fraction", "n_dead", "agreement_rate", "n_compared", "largest")


def overview_layers(view: OverviewView) -> Taken:
    """The layers in numbers, the last one first, as the overview has them."""
    shown = view.layers[::-1]
    labels = LABELS if any(one.labels for one in shown) else ()
    rows = tuple(
        {name: getattr(one.row, name) for name in _LAYER} | {name: (one.labels or {}).get(name) for name in labels}
        for one in shown
    )
    drawn = bars(((one.row.layer, one.row.active_fraction) for one in shown), panel="active", percent=True)
    if any(one.row.agreement_rate is not None for one in shown):
        rates = ((one.row.layer, one.row.agreement_rate or 0.0) for one in shown)
        drawn += bars(rates, panel="agreement", percent=True)
    for label in labels:
        found = ((one.row.layer, (one.labels or {}).get(label, 0.0)) for one in shown)
        drawn += bars(found, panel="patterns of triggers", series=label, percent=True)
    drawn += bars(((one.row.layer, one.row.largest) for one in shown), panel="largest coefficient")
    chart = Chart("layers", "The layers.", "panels", drawn, "layer", "")
    return Taken("layers", (*_LAYER, *labels), rows, chart)


OVERVIEW_PARTS: dict[str, Callable[[OverviewView], Taken]] = {"layers": overview_layers}
"""Parts of the overview, by their names in its addresses."""


def sentence_cells(view: SentenceView) -> Taken:
    """The cells that have a sentence among their triggers, those of the page."""
    rows = tuple(
        {"cell": one.cell, "name": named(one.name), "sign": one.sign, "token_number": one.position}
        | {"token": view.tokens[one.position], "coefficient": one.coefficient, "rank": one.rank}
        for one in view.cells
    )
    return Taken("cells", ("cell", "name", "sign", "token_number", "token", "coefficient", "rank"), rows)


def sentence_tokens(view: SentenceView) -> Taken:
    """The tokens of a sentence, and how many cells have each as a trigger."""
    rows: tuple[JsonObject, ...] = tuple(
        {"token_number": at, "token": token, "n_cells": n}
        for at, (token, n) in enumerate(zip(view.tokens, view.n_by_token, strict=False))
    )
    drawn = bars((f"{row['token_number']} {visible(row['token'])}", row["n_cells"]) for row in rows[:200])
    chart = Chart("tokens", "Cells that fire on each token.", "panels", drawn, "", "cells") if drawn else None
    return Taken("tokens", ("token_number", "token", "n_cells"), rows, chart)


SENTENCE_PARTS: dict[str, Callable[[SentenceView], Taken]] = {"cells": sentence_cells, "tokens": sentence_tokens}
"""Parts of the page of a sentence, by their names in its addresses."""


def differing(view: DiffView) -> Taken:
    """The cells that differ most between two indexes."""
    columns = (
        "cell", "name", "trigger_overlap", "promoted_overlap", "active_here", "active_there", "active_difference",
        "mean_here", "mean_there", "mean_difference",
    )  # fmt: skip
    rows = tuple(
        {"cell": one.cell, "name": named(one.name), "trigger_overlap": one.trigger_overlap}
        | {"promoted_overlap": one.promoted_overlap, "active_difference": one.active_difference}
        | {"active_here": one.active_fractions[0], "active_there": one.active_fractions[1]}
        | {"mean_here": one.means[0], "mean_there": one.means[1], "mean_difference": one.mean_difference}
        for one in (view.diff.rows if view.diff else ())
    )
    return Taken("diff", columns, rows)


def annotated_labels(view: AnnotationsView) -> Taken:
    """Labels of triggers by layer, by people, and by machine where a study has looked."""
    ends = tuple(f"{label}_{end}" for label in LABELS for end in ("low", "high"))
    columns = ("layer", "n_cells", *LABELS, *ends, *(f"{label}_by_machine" for label in LABELS))
    columns += ("coverage", "coverage_low", "coverage_high", "patterns_per_cell")
    found = view.summary
    if found is None:
        return Taken("labels", columns, ())
    shown = [found.all_layers, *reversed(found.layers)]
    rows = tuple(_label_row(one, view.machine.get(one.layer, {})) for one in shown)
    drawn = [
        row
        for label in LABELS
        for row in bars(
            ((one.layer, one.shares[label].value) for one in shown), panel="by people", series=label, percent=True
        )
    ]
    if view.machine:
        drawn += [
            row
            for label in LABELS
            for row in bars(
                ((one.layer, view.machine.get(one.layer, {}).get(label, 0.0)) for one in shown),
                panel="by machine", series=label, percent=True,
            )
        ]  # fmt: skip
    return Taken("labels", columns, rows, Chart("labels", "Labels by layer.", "panels", drawn, "layer", ""))


def _label_row(one: "LayerSummary", machine: dict[str, float]) -> Row:
    """Of one cell nothing is known of others, so that it has no interval."""
    known = one.n_cells > 1
    row: dict[str, object] = {"layer": one.layer, "n_cells": one.n_cells, "coverage": one.coverage.value}
    row |= {"coverage_low": one.coverage.low if known else None, "coverage_high": one.coverage.high if known else None}
    row["patterns_per_cell"] = one.patterns_per_cell.value
    for label in LABELS:
        share = one.shares[label]
        row |= {label: share.value, f"{label}_low": share.low if known else None}
        row |= {f"{label}_high": share.high if known else None, f"{label}_by_machine": machine.get(label)}
    return row


def agreement(view: AnnotationsView) -> Taken:
    """How far pairs of annotators agree."""
    columns = ("annotators", "n_cells", "alpha", "n_patterns", "matched_fraction", "same_class_fraction")
    found = view.agreement.pairs if view.agreement else ()
    return Taken("agreement", columns, tuple({name: getattr(one, name) for name in columns} for one in found))


ANNOTATE_PARTS: dict[str, Callable[[AnnotationsView], Taken]] = {"labels": annotated_labels, "agreement": agreement}
"""Parts of the page of batches, by their names in its addresses."""


def items(view: CollectionView) -> Taken:
    """The cells of a collection, and what was said of them."""
    rows = tuple(
        {"cell": line.item.cell, "sign": line.item.sign, "name": named(line.name), "fires_on": line.fires_on}
        | {"promotes": line.promotes, "active_fraction": line.active_fraction, "strongest": line.strongest}
        | {"notes": "; ".join(f"{note.author}: {note.text}" if note.author else note.text for note in line.item.notes)}
        | {"tags": line.item.tags}
        for line in view.lines
    )
    columns = ("cell", "sign", "name", "fires_on", "promotes", "active_fraction", "strongest", "notes", "tags")
    return Taken("items", columns, rows)


COLLECTION_PARTS: dict[str, Callable[[CollectionView], Taken]] = {"items": items}
"""Parts of the page of a collection, by their names in its addresses."""


def flow_parts(view: FlowView) -> Taken:
    """The parts that are drawn, and the rest of each layer: together the whole score."""
    columns, drawn = ("part", "kind", "name", "number"), view.drawn
    if drawn is None or view.flow is None:
        return Taken("parts", columns, ())
    rows: list[Row] = [
        {"part": one.name, "kind": one.kind, "name": named(one.cell.name) if one.cell else None, "number": one.share}
        for one in drawn.shown
    ]
    layers = view.flow.sum.layers
    rows += [
        {"part": f"{layers[one.layer].layer}.rest", "kind": "rest", "number": one.share}
        for one in reversed(drawn.rests)
    ]
    rows += [{"part": one.name, "kind": one.kind, "number": one.share} for one in drawn.ends]
    return Taken("parts", columns, tuple(rows))


FLOW_PARTS: dict[str, Callable[[FlowView], Taken]] = {"parts": flow_parts}
"""Parts of the page of the flow, by their names in its addresses."""


def claims(view: FiguresView) -> Taken:
    """What the paper saw, and whether it holds here."""
    report = view.report
    columns = ("in", "statement", "verdict", "why", *(f"in_{one.name}" for one in (report.controls if report else ())))
    rows = tuple(
        {"in": name, "statement": one.statement, "verdict": one.verdict, "why": one.why}
        | {f"in_{there.name}": there.claims[name, one.statement].verdict for there in report.controls
           if (name, one.statement) in there.claims}
        for name, one in report.claims
    ) if report else ()  # fmt: skip
    return Taken("claims", columns, rows)


def numbers(view: FiguresView) -> Taken:
    """The paper's numbers beside ours, with the ends of the intervals."""
    rows = tuple(
        {"in": name, "quantity": one.quantity, "paper": one.paper, "here": one.ours, "low": one.low, "high": one.high}
        | {"unit": one.unit}
        for name, one in (view.report.numbers if view.report else ())
    )
    return Taken("numbers", ("in", "quantity", "paper", "here", "low", "high", "unit"), rows)


FIGURES_PARTS: dict[str, Callable[[FiguresView], Taken]] = {"claims": claims, "numbers": numbers}
"""Parts of the page of a study, by their names in its addresses."""


def check_found(taken: Taken) -> Taken:
    """The same, if there is anything in it.

    Raises:
        InputError: there is not.
    """
    if not taken.rows:
        raise InputError(
            f"there is no {taken.name!r} here to take away",
            "Expected a page that shows it",
            "Take the address from the page, where it stands below the picture or table",
        )
    return taken
