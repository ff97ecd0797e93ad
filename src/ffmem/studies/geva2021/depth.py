"""The paper's main finding, put to the test: upper layers hold semantic patterns, lower ones shallow ones."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from ffmem.analyses.intervals import Estimate
from ffmem.analyses.meaning.results import Meaning, Measure
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Table
from ffmem.studies.geva2021.context import Geva2021
from ffmem.studies.geva2021.layers import share, told_as
from ffmem.studies.geva2021.meaning import Rows, applies, context_of, meaning_of, measure_rows, points, sample
from ffmem.studies.results import Findings, plain
from ffmem.studies.study import Chapter, no_experiments
from ffmem.studies.verdicts import above, every

_MOST_BY_CHANCE = 0.05
"""Of what earlier words tell in the highest third, the share that shuffled ones may tell."""


def _reading(findings: Findings) -> str:
    found = meaning_of(findings)
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
        f"Beyond the last three tokens and the position, {context_of(found)} tell {share(trend.bottom.value)} of the variance "
        f"of coefficients in the lowest third of the layers, and {share(trend.top.value)} in the highest{beside}."
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    found = meaning_of(findings)
    context = context_of(found)
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


def _claims(findings: Findings) -> Iterator[Claim]:
    found = meaning_of(findings)
    context = context_of(found)
    if "earlier words" in found.trends:
        trend, shuffled = found.trends["earlier words"], found.trends["earlier words, shuffled"].top.value
        steady = [above(told_as(trend.correlation), unit="in rank correlation")] if len(found.layers) > 2 else []
        test = every(above(told_as(trend.contrast)), *steady)
        if not abs(shuffled) <= _MOST_BY_CHANCE * trend.top.value:
            test = replace(test, p_shown=1.0)  # what shuffled words tell as well is none of what they mean
        yield Claim(
            "meaning grows with depth: upper layers depend more on words further back",
            test,
            f"variance that {context} add, highest less lowest third: {points(trend.contrast)}; rank correlation with depth "
            f"{_plain(trend.correlation)}; shuffled {context} tell {share(shuffled)} in the highest third{_beside(found)}",
        )
    if "earlier words" in found.differences:
        difference = found.differences["earlier words"]
        yield Claim(
            "in the highest layers there is more meaning in the cells than in random directions of their stream",
            above(told_as(difference)),
            f"variance that {context} add in the highest third, cells less random directions: {points(difference)}",
        )


def _beside(found: Meaning) -> str:
    """What topics and triggers say of the same, where there are labels."""
    told = []
    if "topic" in found.trends:
        told.append(f"the topic, highest less lowest third: {points(found.trends['topic'].contrast)}")
    if "kept more with the same topic" in found.trends:
        told.append(
            f"a transplanted context of the same topic: {points(found.trends['kept more with the same topic'].contrast)}"
        )
    if "lift" in found.trends and found.trends["lift"].contrast.value == found.trends["lift"].contrast.value:
        told.append(f"lift of triggers: {_plain(found.trends['lift'].contrast)} times")
    return "".join(f"; {one}" for one in told)


def _plain(estimate: Estimate) -> str:
    return f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"


def _charts(findings: Findings) -> Iterator[Chart]:
    found = meaning_of(findings)
    context = context_of(found)
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
        rows = [
            *measure_rows(found.layers, measure, "cells"),
            *measure_rows(found.directions, measure, "random directions"),
        ]
        shuffled: Measure | None = {"earlier words": "earlier words, shuffled", "topic": "topic, shuffled"}.get(measure)  # type: ignore[assignment]
        if shuffled:
            rows += measure_rows(found.layers, shuffled, "cells, shuffled")
        if rows:
            yield Chart(name, caption, "lines", rows, title)
    rows = [
        *measure_rows(found.layers, "lift", "same last token"),
        *measure_rows(found.layers, "lift, same two words", "same last two tokens"),
        *measure_rows(found.directions, "lift", "random directions, same last token"),
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


def _tables(findings: Findings) -> Iterator[Table]:
    found = meaning_of(findings)
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


CHAPTER: Chapter[Geva2021] = Chapter(
    order=2.6,
    experiments=no_experiments,
    results={},
    exhibits=(
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
            applies=applies,
            reading=_reading,
            sample=sample,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
            tables=_tables,
        ),
    ),
)
