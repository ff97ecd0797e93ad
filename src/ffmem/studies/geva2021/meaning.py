"""The paper's main finding, put to the test: upper layers hold semantic patterns, lower ones shallow ones."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ffmem.analyses.intervals import Estimate
from ffmem.analyses.meaning.results import LayerMeaning, Meaning, Measure
from ffmem.errors import InputError
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Table, percent
from ffmem.studies.geva2021.layers import share
from ffmem.studies.geva2021.study import Geva2021
from ffmem.studies.results import Findings, plain
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.verdicts import every, exceeds, falls_below, in_order

Rows = list[dict[str, Any]]
_STACK: tuple[Measure, ...] = ("token", "n-grams", "position", "earlier words", "unexplained")
_MOST_BY_CHANCE = 0.05
"""Of what earlier words tell in the highest third, the share that shuffled ones may tell."""


@dataclass(frozen=True)
class MeaningResult:
    """What decides coefficients, by layer and depth."""

    meaning: Meaning | None
    """None if it could not be asked."""
    why_not: str | None


def _run(study: Geva2021, listen: StageListener) -> MeaningResult:
    # with it comes all that loads models: seconds, for whoever only reads results
    from ffmem.analyses.meaning.measure import measure_meaning

    begin, options = Stage("meaning", 0, 0), study.options
    try:
        found = measure_meaning(
            study.index,
            study.model,
            study.results.folder,
            n_positions=options.meaning_positions,
            n_cells=options.meaning_cells,
            n_transplanted=options.transplanted,
            seed=options.seed,
            on_stage=lambda name, done, n: listen(replace(begin, experiment=f"meaning, {name}", done=done, total=n)),
        )
    except InputError as error:  # a text that is too small leaves the rest of a study as it is
        return MeaningResult(None, error.got)
    return MeaningResult(found, None)


def _meaning(findings: Findings) -> Meaning:
    found = findings.get("meaning", MeaningResult).meaning
    assert found is not None
    return found


def _applies(findings: Findings) -> bool:
    return "meaning" in findings.values and findings.get("meaning", MeaningResult).meaning is not None


def _sample(findings: Findings) -> str:
    found = _meaning(findings)
    return (
        f"{found.n_positions:,} positions of {found.n_sentences:,} sentences of {found.n_documents:,} documents; up to "
        f"{found.n_cells:,} cells of each layer; contexts replaced at {found.n_transplanted:,} positions"
    )


def _context(found: Meaning) -> str:
    return "earlier words" if found.causal else "the other words of the sentence"


def _stack_reading(findings: Findings) -> str:
    found = _meaning(findings)
    parts = [found.layers[place].measures for place in (0, -1)]
    if any("token" not in one for one in parts):
        return "No cell of the lowest or the highest layer is active often enough to say."
    (low_token, low_near), (high_token, high_near) = (
        (one["token"].value, one["n-grams"].value + one["position"].value) for one in parts
    )
    return (
        f"In the lowest layer the last token tells {share(low_token)} of the variance of a coefficient, n-grams and position "
        f"add {share(low_near)}; in the highest it is {share(high_token)} and {share(high_near)}."
    )


def _stack_numbers(findings: Findings) -> Iterator[Number]:
    found = _meaning(findings)
    names: Mapping[Measure, str] = {
        "token": "variance that the last token tells",
        "n-grams": "variance that the last two and three tokens add",
        "kept": "coefficient kept in another context",
    }
    for measure, name in names.items():
        if measure in found.trends:
            trend = found.trends[measure]
            yield Number.of(f"{name}, lowest third", "-", trend.bottom)
            yield Number.of(f"{name}, highest third", "-", trend.top)


def _stack_claims(findings: Findings) -> Iterator[Claim]:
    found = _meaning(findings)
    told = [name for name in _shallow_measures(found) if name in found.trends]
    if told:
        contrasts = [found.trends[name].contrast for name in told]
        words = {"token": "variance told by the last token", "kept": "coefficient kept in another context"}
        yield Claim(
            "lower layers are shallower: upper ones depend less on the last words",
            every(*(falls_below(one, 0) for one in contrasts)),
            "; ".join(
                f"{words[name]}, highest less lowest third: {_points(one)}"
                for name, one in zip(told, contrasts, strict=True)
            ),
        )


def _shallow_measures(found: Meaning) -> Sequence[Measure]:
    return ("token", "kept") if "kept" in found.trends else ("token",)


def _points(estimate: Estimate) -> str:
    """A difference of shares, in points."""
    low, high = percent(estimate.low), percent(estimate.high)
    return f"{percent(estimate.value)} points ({low} to {high})"


def _stack_charts(findings: Findings) -> Iterator[Chart]:
    found = _meaning(findings)
    context = _context(found)
    yield Chart(
        "variance-parts",
        "What a coefficient is made of: the share of its variance on text that nothing was fitted to.",
        "shares",
        [
            {"layer": place, "name": layer.layer, "series": context if name == "earlier words" else name}
            | {end: max(0.0, value) for end, value in _ends(layer.measures[name]).items()}
            for place, layer in enumerate(found.layers)
            for name in _STACK
            if name in layer.measures
        ],
        "variance of coefficients",
        order=tuple(context if name == "earlier words" else name for name in _STACK),
    )
    kept = [*_rows(found.layers, "kept", "cells"), *_rows(found.directions, "kept", "random directions")]
    if kept:
        yield Chart(
            "kept-in-other-context",
            "What is left of a coefficient when all but the last two words are another text's.",
            "lines",
            kept,
            "share of the coefficient",
        )


def _ends(estimate: Estimate) -> dict[str, float]:
    return {name: getattr(estimate, name) for name in ("value", "low", "high")}


def _rows(layers: Sequence[LayerMeaning], measure: Measure, series: str) -> Rows:
    return [
        {"layer": place, "name": layer.layer, "series": series} | plain(layer.measures[measure])
        for place, layer in enumerate(layers)
        if measure in layer.measures and layer.measures[measure].value == layer.measures[measure].value
    ]


def _depth_reading(findings: Findings) -> str:
    found = _meaning(findings)
    if "earlier words" not in found.trends:
        return "No cells of some layer are active often enough to say."
    trend = found.trends["earlier words"]
    beside = ""
    if "earlier words" in found.of_directions:
        turned = found.of_directions["earlier words"]
        beside = (
            f"; of random directions of the same stream, {share(turned.bottom.value)} and {share(turned.top.value)}"
        )
    return (
        f"Beyond the last three tokens and the position, {_context(found)} tell {share(trend.bottom.value)} of the variance of "
        f"coefficients in the lowest third of the layers, and {share(trend.top.value)} in the highest{beside}."
    )


def _depth_numbers(findings: Findings) -> Iterator[Number]:
    found = _meaning(findings)
    context = _context(found)
    names: Mapping[Measure, tuple[str, str]] = {
        "earlier words": (f"variance that {context} add", "%"),
        "topic": ("variance that the topic adds", "%"),
        "lift": ("strongest positions as alike as others of the same last token, times", ""),
        "lift, same two words": ("strongest positions as alike as others of the same last two tokens, times", ""),
        "kept more with the same topic": ("coefficient kept more in a context of the same topic", "%"),
    }
    for measure, (name, unit) in names.items():
        if measure in found.trends:
            trend = found.trends[measure]
            yield Number.of(f"{name}, lowest third", "-", trend.bottom, unit)
            yield Number.of(f"{name}, highest third", "-", trend.top, unit)
            if measure in found.of_directions:
                turned = found.of_directions[measure].top
                yield Number.of(f"{name}, highest third of random directions", "-", turned, unit)
    if "earlier words" in found.trends:
        correlation = found.trends["earlier words"].correlation
        yield Number.of(f"rank correlation of depth with the variance that {context} add", "-", correlation, "")
    yield Number("lift that a cell's triggers must have to stand above all draws", "-", found.smallest_lift, unit="")


def _depth_claims(findings: Findings) -> Iterator[Claim]:
    found = _meaning(findings)
    context = _context(found)
    if "earlier words" in found.trends:
        trend, shuffled = found.trends["earlier words"], found.trends["earlier words, shuffled"].top.value
        steady = [exceeds(trend.correlation, 0)] if len(found.layers) > 2 else []
        verdict = every(exceeds(trend.contrast, 0), *steady)
        if verdict == "shown":
            verdict = in_order(abs(shuffled) <= _MOST_BY_CHANCE * trend.top.value)
        yield Claim(
            "meaning grows with depth: upper layers depend more on words further back",
            verdict,
            f"variance that {context} add, highest less lowest third: {_points(trend.contrast)}; rank correlation with depth "
            f"{_plain(trend.correlation)}; shuffled {context} tell {share(shuffled)} in the highest third{_beside(found)}",
        )
    if "earlier words" in found.differences:
        difference = found.differences["earlier words"]
        yield Claim(
            "in the highest layers there is more meaning in the cells than in random directions of their stream",
            exceeds(difference, 0),
            f"variance that {context} add in the highest third, cells less random directions: {_points(difference)}",
        )


def _beside(found: Meaning) -> str:
    """What topics and triggers say of the same, where there are labels."""
    told = []
    if "topic" in found.trends:
        told.append(f"the topic, highest less lowest third: {_points(found.trends['topic'].contrast)}")
    if "kept more with the same topic" in found.trends:
        told.append(
            f"a transplanted context of the same topic: {_points(found.trends['kept more with the same topic'].contrast)}"
        )
    if "lift" in found.trends:
        told.append(f"lift of triggers: {_plain(found.trends['lift'].contrast)} times")
    return "".join(f"; {one}" for one in told)


def _plain(estimate: Estimate) -> str:
    return f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"


def _depth_charts(findings: Findings) -> Iterator[Chart]:
    found = _meaning(findings)
    context = _context(found)
    shares: Sequence[tuple[str, Measure, str, str]] = (
        (
            "earlier-words",
            "earlier words",
            f"What {context} tell of coefficients beyond the last three tokens and the position.",
            "variance of coefficients",
        ),
        (
            "topic",
            "topic",
            "What the topic of the document tells of coefficients beyond the last three tokens and the position.",
            "variance of coefficients",
        ),
        (
            "same-topic-kept",
            "kept more with the same topic",
            "What a transplanted context of the same topic keeps more of a coefficient than one of another topic.",
            "share of the coefficient",
        ),
    )
    for name, measure, caption, title in shares:
        rows = [*_rows(found.layers, measure, "cells"), *_rows(found.directions, measure, "random directions")]
        shuffled: Measure | None = {"earlier words": "earlier words, shuffled", "topic": "topic, shuffled"}.get(measure)  # type: ignore[assignment]
        if shuffled:
            rows += _rows(found.layers, shuffled, "cells, shuffled")
        if rows:
            yield Chart(name, caption, "lines", rows, title)
    rows = [
        *_rows(found.layers, "lift", "same last token"),
        *_rows(found.layers, "lift, same two words", "same last two tokens"),
        *_rows(found.directions, "lift", "random directions, same last token"),
    ]
    if rows:
        alike = "share a topic" if found.likeness == "topic" else "have alike earlier words"
        caption = f"How much more often the strongest positions of a cell {alike} than others with the same last words."
        yield Chart("trigger-lift", caption, "lines", rows, "lift", percent=False, from_zero=False)
    rows = [
        {"middle": size.n_positions, "from": size.n_positions, "to": size.n_positions, "series": name}
        | plain(size.contrasts[measure])
        for size in found.sizes
        for measure, name in (("earlier words", context), ("topic", "topic"))
        if measure in size.contrasts
    ]
    if rows:
        yield Chart(
            "meaning-by-size",
            "The highest less the lowest third of the layers, from fewer documents.",
            "points",
            rows,
            "variance of coefficients",
            x_title="positions",
        )


def _depth_tables(findings: Findings) -> Iterator[Table]:
    found = _meaning(findings)
    rows: Rows = []
    for series, layers in (("cells", found.layers), ("random directions", found.directions)):
        for layer in layers:
            told = {name: _rounded(one.value) for name, one in layer.measures.items()}
            rows.append({"layer": layer.layer, "of": series, "cells": layer.n_cells} | told)
    names = tuple(dict.fromkeys(name for row in rows for name in row))
    rows = [{name: row.get(name) for name in names} for row in rows]
    yield Table("meaning-by-layer", "Every measure of every layer", names, rows, folded=True)


def _rounded(value: float) -> float | None:
    return round(value, 5) if value == value else None


def _notes(findings: Findings) -> Iterator[str]:
    for reason in _meaning(findings).left_out:
        yield f"Left out: {reason}."


def _no_meaning(findings: Findings) -> bool:
    return "meaning" in findings.values and not _applies(findings)


CHAPTER = Chapter(
    order=2.5,
    experiments=lambda _: [Experiment("meaning", MeaningResult, _run)],
    results={"meaning": MeaningResult},
    exhibits=(
        Exhibit(
            order=2.3,
            name="Section 3",
            title="What a coefficient is made of",
            question="How much of a cell's coefficient do the last words decide, and how much is left for what came before?",
            definition="""
The variance of each cell's coefficient over random positions is split: the last token first, then what the last two and three
tokens add, then the position in the sentence, then earlier words (their vector by latent semantic analysis of this text, a
ridge regression). Every part is fitted on some documents and told on others, and shrunk where it is seen seldom. Transplants:
all but the last two tokens are replaced by as long a beginning of another document's sentence, and the coefficient is measured
again at each cell's strongest positions; nothing is fitted. Intervals draw documents anew.""",
            conclude="""
What is unexplained is not noise: it is what these plain parts miss, order and grammar among it. A network that learnt nothing
depends on the last words as well: the fall with depth counts beside an untrained model.""",
            applies=_applies,
            reading=_stack_reading,
            sample=_sample,
            numbers=_stack_numbers,
            claims=_stack_claims,
            charts=_stack_charts,
            notes=_notes,
        ),
        Exhibit(
            order=2.4,
            name="Section 3",
            title="Does meaning grow with depth?",
            question="Beyond the last words, do cells of upper layers depend more on topic and on words further back?",
            definition="""
What topic and earlier words tell of the variance of coefficients beyond last token, n-grams and position. The strongest 25
positions of each cell and sign, one a document: how much more often two of them share a topic (without labels: how alike their
earlier words are) than random positions with the same last token, or the same last two. Transplants of a context of the same
topic against another one. Random directions: the same cells with keys turned by one random rotation of the stream, as often
active; shuffled: topics of other documents, earlier words of other sentences.""",
            conclude="""
A rise over layers says that the stream at these layers holds more of what was said before; that the keys select for it is
said only by the difference from random directions. The parts are small: most of a coefficient is the last words or is not
explained. Topic here is a label or a bag of words, not all that people call meaning.""",
            applies=_applies,
            reading=_depth_reading,
            sample=_sample,
            numbers=_depth_numbers,
            claims=_depth_claims,
            charts=_depth_charts,
            tables=_depth_tables,
        ),
        Exhibit(
            order=2.4,
            name="Section 3",
            title="What a coefficient is made of",
            question="How much of a cell's coefficient do the last words decide, and how much is left for what came before?",
            definition="The variance of coefficients, split into last words, position, topic and words further back.",
            conclude="Nothing here: it was not measured.",
            applies=_no_meaning,
            reading=lambda findings: f"Left out: {findings.get('meaning', MeaningResult).why_not}.",
            sample=lambda _: "none",
        ),
    ),
)
