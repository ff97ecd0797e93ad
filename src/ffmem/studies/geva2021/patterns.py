"""Figure 2 by machine: patterns among the triggers of every cell, held against chance and against held-out text."""

from collections.abc import Callable, Iterator

from ffmem.analyses.intervals import Estimate, proportion
from ffmem.analyses.patterns.kinds import CLASS_OF, Kind
from ffmem.analyses.patterns.results import (
    Label,
    LayerLikeness,
    LayerPatterns,
    Likenesses,
)
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Table
from ffmem.studies.geva2021.cell_patterns import PATTERNS
from ffmem.studies.geva2021.context import Geva2021
from ffmem.studies.geva2021.layers import average, line_rows, share, thirds, told_as
from ffmem.studies.geva2021.pattern_results import PatternsResult, ScoresResult
from ffmem.studies.results import Findings, plain
from ffmem.studies.study import Chapter, Experiment, StageListener
from ffmem.studies.verdicts import above


def _run(study: Geva2021, listen: StageListener) -> PatternsResult:
    # with it comes all that loads models and builds an index: seconds, for whoever only reads results
    from ffmem.studies.geva2021.pattern_run import run_patterns

    return run_patterns(study, listen)


def _result(findings: Findings) -> PatternsResult:
    return findings.get("patterns", PatternsResult)


def _sample(findings: Findings) -> str:
    result = _result(findings)
    units, triggers = (sum(layer.n_units for layer in result.layers), sum(layer.n_triggers for layer in result.layers))
    scored = f"; scored at {result.scores.n_prefixes:,} held-out prefixes" if result.scores else ""
    return f"{triggers:,} triggers of all {units:,} cells that ever fired (each sign of a gated cell counts as one){scored}"


def _reading(findings: Findings) -> str:
    result = _result(findings)
    covered = average(layer.coverage.value for layer in result.layers)
    told = f"{share(covered)} of the triggers have a pattern."
    if result.likeness is None:
        return told
    low, high = result.likeness.lift.bottom.value, result.likeness.lift.top.value
    if low != low or high != high:
        return told
    alike = _alike(result.likeness)
    return (
        f"{told} Triggers of one cell {alike} {low:.2f} times as often as prefixes with the same last token in the lowest "
        f"third of the layers, and {high:.2f} times in the highest."
    )


def _alike(likeness: Likenesses) -> str:
    return "share a topic" if likeness.by == "topic" else "have alike earlier words"


def _numbers(findings: Findings) -> Iterator[Number]:
    layers = _result(findings).layers
    covered = [layer.coverage.value for layer in layers]
    yield Number("triggers with a pattern, layer with the fewest", "65 % (by people)", min(covered))
    yield Number("triggers with a pattern, layer with the most", "80 % (by people)", max(covered))
    units = [layer.units_with_pattern for layer in layers]
    with_one = proportion(round(sum(one.value * one.n for one in units if one.n)), sum(one.n for one in units))
    yield Number.of("cells with a pattern", "100 % (by people)", with_one)
    per_cell = average(layer.patterns_per_unit.value for layer in layers)
    yield Number("patterns a cell", "3.6 (by people)", per_cell, unit="")
    for name, part in zip(("lowest", "highest"), thirds(layers), strict=True):
        semantic = average(layer.semantic.value for layer in part)
        yield Number(f"triggers with a semantic pattern, {name} third", "-", semantic)
    for control in _result(findings).controls:
        if CLASS_OF[control.kind] == "semantic" and control.smallest_lift == control.smallest_lift:
            smallest = control.smallest_lift
            yield Number(f"smallest lift of a {control.kind} that would be a pattern, times", "-", smallest, unit="")
    likeness = _result(findings).likeness
    if likeness is not None:
        for words, trend in (("token", likeness.lift), ("two tokens", likeness.lift_two_words)):
            name = f"triggers {_alike(likeness)}, over prefixes of the same last {words}"
            yield Number.of(f"{name}, lowest third", "-", trend.bottom, "times")
            yield Number.of(f"{name}, highest third", "-", trend.top, "times")


def _claims(findings: Findings) -> Iterator[Claim]:
    likeness = _result(findings).likeness
    if likeness is None or likeness.lift.contrast.value != likeness.lift.contrast.value:
        return
    contrast = likeness.lift.contrast
    yield Claim(
        "triggers of upper layers have more in common than their last word",
        above(told_as(contrast), unit="times"),
        f"they {_alike(likeness)} more often than prefixes of the same last token, times: lowest third "
        f"{_times(likeness.lift.bottom)}, highest third {_times(likeness.lift.top)}; the second less the first: "
        f"{_times(contrast)}; of the same last two tokens: {_times(likeness.lift_two_words.contrast)}",
    )


def _times(estimate: Estimate) -> str:
    return f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"


def _share_of_label(label: Label) -> Callable[[LayerPatterns], Estimate]:
    return lambda layer: layer.labels[label]


def _share_of_kind(kind: Kind) -> Callable[[LayerPatterns], Estimate]:
    return lambda layer: layer.units_with_kind[kind]


def _charts(findings: Findings) -> Iterator[Chart]:
    result = _result(findings)
    labels: tuple[Label, ...] = ("shallow", "shallow+semantic", "semantic", "not-covered")
    yield Chart(
        "labels",
        "Figure 2, by machine: the patterns of triggers.",
        "shares",
        line_rows(result.layers, {name: _share_of_label(name) for name in labels}),
        "triggers",
        order=labels,
    )
    kinds = result.layers[0].units_with_kind
    yield Chart(
        "pattern-kinds",
        "Which kinds of patterns cells have, after control.",
        "lines",
        line_rows(result.layers, {kind: _share_of_kind(kind) for kind in kinds}),
        "cells with such a pattern",
    )
    if result.likeness:
        yield from _likeness_charts(result.likeness)
    if result.scores:
        yield from _score_charts(result.scores)


def _likeness_charts(likeness: Likenesses) -> Iterator[Chart]:
    layers = likeness.layers
    series: dict[str, Callable[[LayerLikeness], Estimate]] = {
        "same last token": lambda layer: layer.lift,
        "same last two tokens": lambda layer: layer.lift_two_words,
    }
    rows = [row for row in line_rows(layers, series) if row["value"] is not None]
    if rows:
        caption = f"How much more often triggers of one cell {_alike(likeness)} than prefixes with the same last words."
        yield Chart("trigger-likeness", caption, "lines", rows, "lift", percent=False, from_zero=False)
    yield Chart(
        "units-above",
        "Cells whose triggers are more alike than each of 20 draws with the same last tokens; 4.8 % by chance.",
        "lines",
        line_rows(layers, {"cells": lambda layer: layer.above}),
        "cells",
    )


def _score_charts(scores: ScoresResult) -> Iterator[Chart]:
    rows = [
        {"layer": number, "name": one.layer, "series": one.kind} | plain(one.lift)
        for number, layer in enumerate(scores.layers)
        for one in layer
        if one.lift.value == one.lift.value
    ]
    caption = (
        "How many times as often unseen prefixes with the pattern are among the cell's strongest 1 % as others are."
    )
    if rows:
        yield Chart("pattern-lift", caption, "lines", rows, "lift on held-out prefixes", percent=False)
    rows = [
        {"layer": number, "name": one.layer, "series": one.kind} | plain(one.auc)
        for number, layer in enumerate(scores.layers)
        for one in layer
    ]
    caption = "Do patterns predict which unseen prefixes fire the cell? 0.5 is chance."
    yield Chart("pattern-scores", caption, "lines", rows, "AUC on held-out prefixes", percent=False, from_zero=False)


def _tables(findings: Findings) -> Iterator[Table]:
    columns = ("kind", "% of random cells with a pattern, by the rule of 3 alone", "% after control")
    rows = [
        dict(zip(columns, (one.kind, round(100 * one.before.value, 1), round(100 * one.after.value, 1)), strict=True))
        for one in _result(findings).chance
    ]
    yield Table("pattern-chance", "Chance, kind by kind", columns, rows, folded=True)
    likeness = _result(findings).likeness
    if likeness is not None:
        yield _likeness_table(likeness)


def _likeness_table(likeness: Likenesses) -> Table:
    rows = [
        {
            "layer": one.layer,
            "cells and signs": one.n_units,
            "alike": _rounded(one.coherence.value, 4),
            "lift": _rounded(one.lift.value, 4),
            "lift, same two words": _rounded(one.lift_two_words.value, 4),
            "above all draws, %": _rounded(100 * one.above.value, 1),
            "smallest lift": _rounded(one.smallest_lift, 2),
        }
        for one in likeness.layers
    ]
    caption = f"How often triggers {_alike(likeness)}"
    return Table("likeness-by-layer", caption, tuple(rows[0]), rows, folded=True)


def _rounded(value: float, digits: int) -> float | None:
    return round(value, digits) if value == value else None


def _notes(findings: Findings) -> Iterator[str]:
    why_not = _result(findings).why_not_semantic
    if why_not:
        yield f"No semantic patterns: {why_not}."
    yield f"All patterns of all cells lie beside this page, in the folder {PATTERNS}: a table in CSV for each layer."


CHAPTER = Chapter(
    order=2,
    experiments=lambda _: [Experiment("patterns", PatternsResult, _run)],
    results={"patterns": PatternsResult},
    exhibits=(
        Exhibit(
            order=2,
            name="Figure 2",
            title="What the triggers of a key have in common",
            question="Do the triggers of a cell share something, and is it their words or their topic?",
            definition="""
A pattern is what 3 or more of a cell's first 25 triggers share: the last token, an n-gram, the position (shallow), the shape
of the last token (lexical, counted as shallow here), the topic (semantic: the document's label where the text has labels, else
the cluster of the words before the last three). Repeats of a prefix count once, and of topics one trigger a document. Each is
tested against random prefixes of the same text, and where a word brings it with it against prefixes of other documents with the
same words: the last n tokens given all but the first of them, a position given the last token, a topic given the last token and
given the last two. The false discovery rate is held to 5 %. Lift: pairs of one cell's triggers from different documents that
share a topic (without labels: the cosine of the words before the last three) over pairs of random prefixes with the same last
words. A machine found these patterns: nobody has read the triggers.""",
            conclude="""
People find patterns that no machine looks for, and see some where a test sees chance: equal numbers are not to be
expected. A rate says nothing by itself: cells of a model that learnt nothing have shallow patterns as well, and the rate
of semantic ones depends on how many triggers a topic needs. The lift over prefixes of the same words depends on neither.
A pattern that triggers share need not be what fires the cell; scores on held-out prefixes say how well it predicts that.""",
            applies=lambda findings: "patterns" in findings.values,
            reading=_reading,
            sample=_sample,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
            tables=_tables,
            notes=_notes,
        ),
    ),
)
