"""Section 4.2: how much special tokens and punctuation add, against the weight that they get."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict

import numpy as np

from ffmem.analyses.intervals import Estimate, Sums, Uncertain, mean_ratio, numbered
from ffmem.analyses.resampling import jackknifed
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number
from ffmem.studies.kobayashi2020.findings import (
    OTHER,
    POINTS,
    AttentionFindings,
    attention_of,
    is_there,
    sample_of,
)
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, no_experiments
from ffmem.studies.verdicts import above, below, every

_UNIT = "of Spearman's correlation"
_PAPER_CORRELATIONS = {"[CLS]": "~ -0.34", "[SEP]": "~ -0.69", POINTS: "~ -0.25", OTHER: "~ -0.06"}


def _by_category(
    values: Callable[[AttentionFindings], list[Estimate]], findings: Findings
) -> list[tuple[str, Estimate]]:
    found = attention_of(findings)
    return list(zip(found.categories, values(found), strict=True))


def _gaps(findings: Findings) -> list[tuple[str, Estimate]]:
    return _by_category(lambda found: found.weight_less_norm, findings)


def _correlations(findings: Findings) -> list[tuple[str, Estimate]]:
    """Of the categories that have pairs."""
    return [(name, one) for name, one in _by_category(lambda found: found.correlations, findings) if one.n]


def _claimed(findings: Findings) -> list[str]:
    """The categories that the paper speaks of, as far as the texts have them."""
    found, there = attention_of(findings), dict(_correlations(findings))
    return [name for name in (*found.special, POINTS) if name in there]


def _share_reading(findings: Findings) -> str:
    gaps = ", ".join(f"{name} {100 * one.value:+.1f}" for name, one in _gaps(findings))
    return f"Share of weight less share of norm, in points, mean over layers: {gaps}."


def _share_numbers(findings: Findings) -> Iterator[Number]:
    for name, one in _gaps(findings):
        yield Number.of(f"share of weight less share of norm, {name}", "-", one)


def _share_claims(findings: Findings) -> Iterator[Claim]:
    for name in _claimed(findings):
        gap = _gap(findings, name)
        low, high = gap.interval()
        yield Claim(
            f"{name}: its share of what is added is smaller than its share of weight",
            above(gap),
            f"weight less norm {100 * gap.value:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f}), mean over layers",
        )


def _gap(findings: Findings, name: str) -> Uncertain:
    """Share of weight less share of norm, of the texts that have the category."""
    found = attention_of(findings)
    groups, n_groups = numbered(np.array(found.by_text.documents))
    values = np.array(found.by_text.gaps)[:, found.categories.index(name)]
    return mean_ratio(Sums.of(values, groups, n_groups).differences)


def _share_charts(findings: Findings) -> Iterator[Chart]:
    found = attention_of(findings)

    def rows(columns: Sequence[Sequence[Estimate | float]]) -> list[dict[str, object]]:
        return [
            dict(row)
            for layer, values in enumerate(columns)
            for name, value in zip(found.categories, values, strict=True)
            for row in found.rows(layer, name, value)
        ]

    yield Chart(
        "weight-shares",
        "How much weight (alpha) queries give to each category of tokens.",
        "lines",
        rows(found.weight_shares),
        "share of weight",
    )
    yield Chart(
        "norm-shares",
        "How much each category of tokens adds: its share of ‖alpha f(x)‖.",
        "lines",
        rows(found.norm_shares),
        "share of ‖α f(x)‖",
    )
    yield Chart(
        "transformed-norms",
        "‖f(x)‖ of each category, as a multiple of the mean over all tokens of the layer.",
        "lines",
        rows(found.transformed_norms),
        "‖f(x)‖ / mean of the layer",
        percent=False,
    )


def _pair_reading(findings: Findings) -> str:
    return "; ".join(f"{name} {one.value:.2f}" for name, one in _correlations(findings)) + "."


def _pair_numbers(findings: Findings) -> Iterator[Number]:
    for name, one in _by_category(lambda found: found.correlations, findings):
        paper = _PAPER_CORRELATIONS.get(name, "-")
        yield Number.of(f"Spearman of weight and ‖f(x)‖, {name}", paper, one, unit="")


def _pair_claims(findings: Findings) -> Iterator[Claim]:
    found = attention_of(findings)
    correlations, without = dict(_correlations(findings)), found.by_text.correlations_without
    other, other_without = correlations.get(OTHER), without[found.categories.index(OTHER)]
    for name in _claimed(findings):
        one, parts = correlations[name], without[found.categories.index(name)]
        tests = [below(jackknifed(one.value, parts, one.n), unit=_UNIT)]
        beside = ""
        if other is not None:
            lead = jackknifed(
                other.value - one.value, [a - b for a, b in zip(other_without, parts, strict=True)], one.n
            )
            low, high = lead.interval()
            tests.append(above(lead, unit=_UNIT))
            beside = f"; other tokens {other.value:.2f}, which is more by {lead.value:.2f} ({low:.2f} to {high:.2f})"
        yield Claim(
            f"{name}: where it gets much weight its vector is short, more so than with other tokens",
            every(*tests),
            f"Spearman {one.value:.2f} ({one.low:.2f} to {one.high:.2f}){beside}",
        )


def _pair_charts(findings: Findings) -> Iterator[Chart]:
    yield Chart(
        "correlations",
        "Spearman's correlation of weight and ‖f(x)‖, by category of the source.",
        "bars",
        [{"category": name} | asdict(one) for name, one in _correlations(findings)],
        "Spearman's ρ of α and ‖f(x)‖",
        percent=False,
        order=attention_of(findings).categories,
    )


CHAPTER = Chapter(
    order=2,
    experiments=no_experiments,
    results={},
    exhibits=(
        Exhibit(
            order=4.21,
            name="4.2",
            title="Weight against norm, by category of tokens",
            question="Do special tokens and punctuation add as much as their weight says?",
            definition="""For each text and head: the sum over tokens of a category of alpha (of ‖alpha f(x)‖), mean
                over queries; norms as a share of those of all tokens. Mean over heads, then over the texts that have
                the category.""",
            conclude="""Where a category's weight is far above its norm, attention to it is near to doing nothing. A
                norm has no direction: vectors that cancel one another count in full.""",
            applies=is_there,
            reading=_share_reading,
            sample=sample_of,
            numbers=_share_numbers,
            claims=_share_claims,
            charts=_share_charts,
        ),
        Exhibit(
            order=4.22,
            name="4.2",
            title="Do large weights meet short vectors?",
            question="Is a large weight taken back by a short f(x)?",
            definition="""Spearman's rank correlation of alpha^h_ij and ‖f^h(x_j)‖ over all pairs, heads and layers,
                by the category of the source. Both are counted into bins 9 % wide; no pair is kept.""",
            conclude="Pairs of one text are not independent: the interval leaves out a tenth of the texts at a time.",
            applies=is_there,
            reading=_pair_reading,
            sample=sample_of,
            numbers=_pair_numbers,
            claims=_pair_claims,
            charts=_pair_charts,
        ),
    ),
)
