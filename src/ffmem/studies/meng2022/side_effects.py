"""What edits change that they are not for: all cells, and other text."""

from collections.abc import Iterator

import numpy as np

from ffmem.analyses.intervals import Sums, Uncertain, mean_ratio
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Table
from ffmem.studies.geva2021.layers import interval, share
from ffmem.studies.meng2022.conditions import ConditionResult
from ffmem.studies.meng2022.context import Meng2022
from ffmem.studies.meng2022.edits import WORDS, arrays_of, compared, found_of, one_of, title_of
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, no_experiments
from ffmem.studies.verdicts import above, below

_LEAST = 1e-7
"""Nats that stand for no divergence on a logarithmic axis."""


def changing(findings: Findings) -> list[ConditionResult]:
    """The ways that change the model."""
    return [one for one in found_of(findings) if one.way not in ("none", "prefix")]


def is_there(findings: Findings) -> bool:
    """Whether one is done."""
    return bool(changing(findings))


def _sums(findings: Findings, one: ConditionResult, column: int) -> Sums:
    """Of held-out text: sums over its documents, the mean over edits; 0: divergence, 1: loss, 2: another first choice."""
    text = arrays_of(findings, one)["text"].mean(0)
    return Sums(text[:, 2 * column : 2 * column + 1], text[:, 2 * column + 1 : 2 * column + 2])


def _reading(findings: Findings) -> str:
    rome = one_of(findings, "rome")
    if rome is None:
        return "Not yet done."
    return (
        f"An edit by rome at {rome.layer} moves {rome.moved:,.0f} values, and lies in {rome.touched:,.0f} of them; "
        f"held-out text diverges by {rome.divergence.value:.2g} nats a position, with another first choice at "
        f"{share(rome.other_top.value)}; of the strongest positions of all cells, {share(rome.overlap)} stay."
    )


def _sample(findings: Findings) -> str:
    done = changing(findings)
    return f"{done[0].divergence.n:,} positions of held-out text for each edit; intervals by drawing documents"


def _numbers(findings: Findings) -> Iterator[Number]:
    for one in compared(findings):
        if one in changing(findings):
            name = title_of(one)
            yield Number.of(f"divergence of held-out text: {name}", "-", one.divergence, "nats")
            yield Number.of(f"loss on it, more than before: {name}", "-", one.loss, "nats")
            yield Number.of(f"another first choice there: {name}", "-", one.other_top)
            yield Number(f"cells that the change lies in: {name}", "-", one.touched, unit="cells")
            yield Number(f"strongest positions of all cells that stay: {name}", "-", one.overlap)


def _claims(findings: Findings) -> Iterator[Claim]:
    rome, other, tuned = (one_of(findings, way) for way in ("rome", "random cells", "tune"))
    if rome is None:
        return
    first = mean_ratio(_sums(findings, rome, 2))
    yield Claim(
        "one edit by rome leaves other text alone: fewer than 1 in 20 first choices are others",
        below(first, 0.05),
        f"another first choice: {interval(first.estimate)}",
    )
    for way, statement in (
        (other, "C spares other text: rome diverges from the model less than the same change of random cells"),
        (tuned, "an edit by rome diverges from the model on other text less than bounded fine-tuning"),
    ):
        if way is not None:
            found = mean_ratio(_sums(findings, way, 0), _sums(findings, rome, 0))
            yield Claim(
                statement,
                above(found, unit="nats"),
                f"nats a position: rome {rome.divergence.value:.2g}, {WORDS[way.way]} {way.divergence.value:.2g}; the second "
                f"less the first: {_nats(found)}",
            )


def _nats(found: Uncertain) -> str:
    low, high = found.interval()
    return f"{found.value:+.2g} ({low:+.2g} to {high:+.2g})"


def _charts(findings: Findings) -> Iterator[Chart]:
    rows = [
        {
            "middle": float(np.log10(max(one.divergence.value, _LEAST))),
            "name": title_of(one),
            "series": one.way,
            "value": one.score.value,
            "low": one.score.low,
            "high": one.score.high,
            "n": one.n_facts,
        }
        for one in changing(findings)
    ]
    yield Chart(
        "edit-against-side-effect",
        "A dot a way and layer: how well edits do what they are for, and how far other text diverges.",
        "scatter",
        rows,
        "score: harmonic mean of efficacy, paraphrase, neighbourhood",
        x_title="divergence of held-out text, powers of ten of nats a position",
        order=tuple(way for way in WORDS if way in {one.way for one in changing(findings)}),
    )


def _tables(findings: Findings) -> Iterator[Table]:
    rows = [
        {
            "way": WORDS[one.way],
            "layer": one.layer,
            "values that move": round(one.moved, 1),
            "cells it lies in": round(one.touched, 1),
            "length of the change, %": round(100 * one.norm, 3),
            "change of activity, points": round(100 * one.rate, 4),
            "strongest positions that stay, %": round(100 * one.overlap, 2),
            "divergence, nats": float(f"{one.divergence.value:.3g}"),
            "loss, nats": float(f"{one.loss.value:.3g}"),
            "another first choice, %": round(100 * one.other_top.value, 2),
        }
        for one in changing(findings)
    ]
    yield Table("side-effects", "All ways and layers: means over edits", tuple(rows[0]), rows, side_by_side=True)


CHAPTER: Chapter[Meng2022] = Chapter(
    order=2,
    experiments=no_experiments,
    results={},
    exhibits=(
        Exhibit(
            order=3,
            name="Side effects",
            title="What else does an edit change?",
            question="How many cells does an edit change, what do they do then, and what becomes of other text?",
            definition="""
Over all cells of the model: whose value is another; in how many cells the change lies, (sum of |dv|^2)^2 / sum of |dv|^4; by
how much the share of positions at which a cell is active (m above 0) changes on held-out text; how many of the ten positions at
which it is strongest, by |m|, stay among its ten. No key moves, so cells of the edited layer and below do what they did. On the
text: KL of the changed distribution from the model's own, the loss, and where another token is the most probable.""",
            conclude="""
The text is a sample, and not what the fact is about: an edit may do more on text about its subject. Cells may do the same at
these positions and something else at others.""",
            applies=is_there,
            reading=_reading,
            sample=_sample,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
            tables=_tables,
        ),
    ),
)
