"""Figure 2 by machine: patterns among the triggers of every cell, held against chance and against held-out text."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from ffmem.analyses.intervals import Estimate, Uncertain, proportion
from ffmem.analyses.patterns.kinds import Kind
from ffmem.analyses.patterns.results import ChanceRate, Control, KindScore, Label, LayerPatterns, Patterns, Scores
from ffmem.analyses.student import student_quantile
from ffmem.errors import InputError
from ffmem.models.transformer import Transformer
from ffmem.store.files import atomic_write
from ffmem.store.reader import Index
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Table
from ffmem.studies.geva2021.cell_patterns import PATTERNS
from ffmem.studies.geva2021.context import Geva2021
from ffmem.studies.geva2021.layers import average, interval, line_rows, points, share, thirds
from ffmem.studies.results import Findings, as_csv, plain
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.verdicts import above


@dataclass(frozen=True)
class ScoresResult:
    """How well patterns predict where cells fire in held-out text."""

    n_prefixes: int
    layers: tuple[tuple[KindScore, ...], ...]
    """Kind by kind."""


@dataclass(frozen=True)
class PatternsResult:
    """What triggers have in common. The patterns themselves lie in tables of their own: see `cell_patterns`."""

    semantic: str | None
    """Where semantic patterns come from; None if there are none."""
    why_not_semantic: str | None
    layers: tuple[LayerPatterns, ...]
    controls: tuple[Control, ...]
    chance: tuple[ChanceRate, ...]
    scores: ScoresResult | None
    """None if the index holds no text back."""


def _run(study: Geva2021, listen: StageListener) -> PatternsResult:
    # with them comes all that loads models and builds an index: seconds, for whoever only reads results
    from ffmem.analyses.patterns.measure import measure_patterns
    from ffmem.analyses.patterns.scoring import score_patterns

    index, options = study.index, study.options
    begin = Stage("patterns", 0, 2 * index.n_layers)
    encoder, why_not = _encoder(index)
    patterns = measure_patterns(
        index,
        semantic="auto" if encoder or index.text.document_labels() else "none",
        encoder=encoder,
        seed=options.seed,
        on_layer=lambda place: listen(replace(begin, done=place + 1)),
        on_sentences=lambda done, n: listen(Stage("patterns, sentences embedded", done, n)),
    )
    scores = None
    if index.text.n_sentences < index.text.n_all_sentences:
        scores = score_patterns(
            index,
            study.model,
            patterns,
            n_prefixes=options.scored_positions,
            n_units=options.scored_cells or None,
            encoder=encoder,
            seed=options.seed,
            on_layer=lambda place: listen(replace(begin, done=index.n_layers + place + 1)),
        )
    _write_tables(study, patterns, scores)
    return PatternsResult(
        semantic=patterns.meaning.kind if patterns.meaning else None,
        why_not_semantic=why_not,
        layers=patterns.layers,
        controls=patterns.controls,
        chance=patterns.chance,
        scores=None if scores is None else ScoresResult(scores.n_prefixes, scores.layers),
    )


def _encoder(index: Index) -> tuple[Transformer | None, str | None]:
    """The model that embeds sentences, if one is needed; or why there is none."""
    if index.text.document_labels():
        return None, None
    from ffmem.models.registry import load_model  # brings transformers, for whoever only reads results

    try:
        return load_model("minilm"), None
    except InputError as error:
        return None, f"documents have no topics, and {error.got}"


def _write_tables(study: Geva2021, patterns: Patterns, scores: Scores | None) -> None:
    folder = study.results.folder / PATTERNS
    folder.mkdir(exist_ok=True)
    for place, layer in enumerate(study.index.cells.layers):
        rows = [one.to_json() for one in patterns.accepted(study.index, place, scores=scores)]
        atomic_write(folder / f"{layer.name}.csv", as_csv(rows))


def _result(findings: Findings) -> PatternsResult:
    return findings.get("patterns", PatternsResult)


def _sample(findings: Findings) -> str:
    result = _result(findings)
    units, triggers = (sum(layer.n_units for layer in result.layers), sum(layer.n_triggers for layer in result.layers))
    scored = f"; scored at {result.scores.n_prefixes:,} held-out prefixes" if result.scores else ""
    return f"{triggers:,} triggers of all {units:,} cells that ever fired (each sign of a gated cell counts as one){scored}"


def _reading(findings: Findings) -> str:
    layers = _result(findings).layers
    covered = average(layer.coverage.value for layer in layers)
    low, high = (average(layer.semantic.value for layer in part) for part in thirds(layers))
    return (
        f"{share(covered)} of the triggers have a pattern; {share(low)} have a semantic one in the lowest third of the layers, "
        f"and {share(high)} in the highest."
    )


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


def _claims(findings: Findings) -> Iterator[Claim]:
    result = _result(findings)
    if result.semantic is None:
        return
    low, high = (_cautious([layer.semantic for layer in part]) for part in thirds(result.layers))
    gain = Uncertain(high.value - low.value, high.error + low.error, min(high.n_groups, low.n_groups), high.n)
    yield Claim(
        "upper layers have more semantic patterns",
        above(gain),
        f"triggers with one: lowest third {interval(low.estimate)}, highest third {interval(high.estimate)}; the second "
        f"less the first: {points(gain)}",
    )
    shallow = _cautious([layer.labels["shallow"] for layer in thirds(result.layers)[0]])
    yield Claim(
        "lower layers are mostly shallow",
        above(shallow, 0.5),
        f"lowest third: triggers with shallow patterns alone {interval(shallow.estimate)}, to be above one half",
    )


def _cautious(layers: Sequence[Estimate]) -> Uncertain:
    """Their mean, as uncertain as if all were off in the same direction: cells of several layers fire on the same text."""
    some = [one for one in layers if one.n]
    error = average((one.high - one.low) / 2 for one in some) / student_quantile(0.975, _MANY)
    return Uncertain(average(one.value for one in some), error, _MANY + 1 if some else 0, sum(one.n for one in some))


_MANY = 1000
"""Degrees of freedom of intervals over many cells."""


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
    if result.scores:
        rows = [
            {"layer": number, "name": one.layer, "series": one.kind} | plain(one.auc)
            for number, layer in enumerate(result.scores.layers)
            for one in layer
        ]
        caption = "Do patterns predict which unseen prefixes fire the cell? 0.5 is chance."
        yield Chart(
            "pattern-scores", caption, "lines", rows, "AUC on held-out prefixes", percent=False, from_zero=False
        )


def _tables(findings: Findings) -> Iterator[Table]:
    columns = ("kind", "% of random cells with a pattern, by the rule of 3 alone", "% after control")
    rows = [
        dict(zip(columns, (one.kind, round(100 * one.before.value, 1), round(100 * one.after.value, 1)), strict=True))
        for one in _result(findings).chance
    ]
    yield Table("pattern-chance", "Chance, kind by kind", columns, rows, folded=True)


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
a cluster of sentence embeddings). Repeats of a sentence count once. Each is tested against random prefixes of the same text,
with control of the false discovery rate at 5 %. A machine found these patterns: nobody has read the triggers.""",
            conclude="""
People find patterns that no machine looks for, and see some where a test sees chance: equal numbers are not to be
expected. The order of the layers, and shallow against semantic, can be compared. A pattern that triggers share need
not be what fires the cell; the score on held-out prefixes says how well it predicts that.""",
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
