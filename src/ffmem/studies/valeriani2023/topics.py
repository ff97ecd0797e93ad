"""Where neighbours share a topic: at the minimum after the peak of the dimension, or at the peak?"""

from collections.abc import Iterator

import numpy as np

from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Row, percent
from ffmem.studies.geva2021.layers import points
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, no_experiments
from ffmem.studies.valeriani2023.dimension import has_text, sample, stacks_with_peak
from ffmem.studies.valeriani2023.findings import (
    READ,
    REDUCED,
    TEXT,
    WORDS,
    Geometry,
    blind_draws,
    geometry,
    line_rows_of,
    profile,
    titled,
    with_controls,
)
from ffmem.studies.verdicts import above


def _has_labels(findings: Findings) -> bool:
    return geometry(findings).n_labels > 0


def _reading(findings: Findings) -> str:
    found = geometry(findings)
    if not _has_labels(findings):
        return "The documents of this text do not say what they are about, so that nothing can be said of topics."
    parts = []
    for stack in found.stacks():
        shares, dimension = (profile(findings, TEXT, "o", which, stack) for which in ("labelled", "dimension"))
        best = shares.peak
        least = (
            "" if dimension.minimum is None else f", and its minimum after that in {dimension.names[dimension.minimum]}"
        )
        parts.append(
            f"Neighbours share their {found.label_field} most in {shares.names[best]}: "
            f"{percent(shares.values[best])} % of {found.k}, by chance {percent(found.chance)} %, by words alone "
            f"{percent(found.blind.value)} %. The dimension has its peak in {dimension.names[dimension.peak]}{least}."
        )
    return " ".join(parts)


def _sample(findings: Findings) -> str:
    found = geometry(findings)
    if not _has_labels(findings):
        return sample(findings)
    return (
        f"{sample(findings)}; {found.n_labels} values of {found.label_field}, {found.k} neighbours of other documents"
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    found = geometry(findings)
    if not _has_labels(findings):
        return
    several = len(found.stacks()) > 1
    for stack, places in found.stacks().items():
        shares, dimension = (profile(findings, TEXT, "o", which, stack) for which in ("labelled", "dimension"))
        at = {"lowest layer": 0, "peak of the dimension": dimension.peak, "highest layer": len(places) - 1}
        if dimension.minimum is not None:
            at["minimum after the peak"] = dimension.minimum
        for where, number in at.items():
            estimate = found.clouds["o"][places[number]].labelled
            yield Number.of(
                titled(stack, f"neighbours with the same {found.label_field}, {where}", several), "-", estimate
            )
        yield Number(titled(stack, "depth at which they are most", several), "-", (shares.peak + 1) / len(places))
    yield Number.of(f"neighbours with the same {found.label_field} by words alone, without a model", "-", found.blind)
    yield Number(f"pairs with the same {found.label_field}: chance", "-", found.chance)


def _claims(findings: Findings) -> Iterator[Claim]:
    if not _has_labels(findings):
        return
    found = geometry(findings)
    several = len(found.stacks()) > 1
    for stack in stacks_with_peak(found):
        for kind, where in READ.items():
            yield from _claims_of(findings, kind, where, stack, several)


def _claims_of(findings: Findings, kind: str, where: str, stack: str, several: bool) -> Iterator[Claim]:
    shares, dimension = (profile(findings, TEXT, kind, which, stack) for which in ("labelled", "dimension"))
    peak, least = dimension.peak, dimension.minimum
    if least is not None:
        more = shares.less(least, peak)
        yield Claim(
            titled(
                stack, f"neighbours share a topic more at the minimum after the peak than at the peak{where}", several
            ),
            above(more),
            f"{shares.names[least]} less {shares.names[peak]}: {points(more)}",
        )
    more = shares.means_less([peak], [place for place in range(len(shares.names)) if place != peak])
    yield Claim(
        titled(stack, f"neighbours share a topic more at the peak than elsewhere{where} (arXiv 2405.15471)", several),
        above(more),
        f"{shares.names[peak]} less the mean of the other layers: {points(more)}",
    )
    over = shares.most_over(geometry(findings).blind.value, blind_draws(findings))
    yield Claim(
        titled(
            stack, f"neighbours in the best layer share a topic more than neighbours by words alone{where}", several
        ),
        above(over),
        f"{shares.names[shares.peak]} less words alone: {points(over)}",
    )


def _of_largest(found: Geometry, which: str, series: str) -> list[Row]:
    """Lines as shares of their own largest, so that two of other units can stand on one axis."""
    rows = line_rows_of(found, "o", which, series)
    largest: dict[str, float] = {}
    for row in rows:
        largest[row["series"]] = max(largest.get(row["series"], 0.0), row["value"])

    def part(row: Row, name: str) -> float | None:
        return None if row[name] is None else row[name] / largest[row["series"]]

    return [{**row, **{name: part(row, name) for name in ("value", "low", "high")}} for row in rows]


def _charts(findings: Findings) -> Iterator[Chart]:
    if not _has_labels(findings):
        return
    found = geometry(findings)
    rows = line_rows_of(found, "o", "labelled", "sentences")
    if WORDS in findings.values:
        rows += line_rows_of(geometry(findings, WORDS), "o", "labelled", "shuffled words")
    rows += with_controls(findings, TEXT, "o", "labelled")
    n_layers = max(len(places) for places in found.stacks().values())
    for series, value in (("words alone", found.blind.value), ("chance", found.chance)):
        rows += [
            {"layer": n, "name": str(n), "series": series, "value": value, "low": value, "high": value, "n": found.n_points}
            for n in range(n_layers)
        ]  # fmt: skip
    caption = f"Neighbours (k = {found.k}, of other documents) with the same {found.label_field}."
    yield Chart("topics", caption, "lines", rows, "neighbours with the same label")
    both = [*_of_largest(found, "dimension", "dimension"), *_of_largest(found, "labelled", "same label")]
    caption = "Dimension of o and neighbours with the same label, each as a share of its own largest."
    yield Chart("dimension-and-topics", caption, "lines", both, "share of the largest")
    kinds = [
        row
        for kind in found.clouds
        if kind != REDUCED
        for row in line_rows_of(found, kind, "labelled", kind)
    ]  # fmt: skip
    caption = "The same for all kinds of points."
    yield Chart("topics-of-kinds", caption, "lines", kinds, "neighbours with the same label")


def _notes(findings: Findings) -> Iterator[str]:
    if not _has_labels(findings):
        yield (
            "Labels are the field topic, label or category of documents, where each has one: the corpus topics, for example, "
            "or a file of JSON lines with such a field."
        )
        return
    found = geometry(findings)
    most = found.n_points / found.n_labels
    if np.isfinite(found.chance) and most < 2 * found.k:
        yield f"A label has {most:.0f} points on average, so that {found.k} neighbours cannot all share one: shares are low."


CHAPTER = Chapter(
    order=2,
    experiments=no_experiments,
    results={},
    exhibits=(
        Exhibit(
            order=2,
            name="Topics",
            title="When do neighbours become semantic?",
            question="In which layer are sentences that are near each other about the same thing?",
            definition="""
The share of a sentence's k nearest neighbours, among sentences of other documents, whose document has the same label; every
sentence counts alike, as in the paper. Chance is the share among all sentences of other documents. By words alone: neighbours
by how often each token is in a sentence, rare ones weighing more, without any model. Two readings are tested: Valeriani et al.
see labels best at the relative minimum of the dimension after its peak; of five language models another paper (arXiv
2405.15471) says that abstraction begins at the peak.""",
            conclude="""
Where sentences of one topic lie together. That a topic could not be read off another layer by a trained classifier is not
said, nor that the model uses it.""",
            applies=has_text,
            reading=_reading,
            sample=_sample,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
            notes=_notes,
        ),
    ),
)
