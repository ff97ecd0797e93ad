"""The second paper: mixing ratios."""

from dataclasses import replace

import pytest

from ffmem.analyses.intervals import Estimate
from ffmem.studies.kobayashi2020.findings import EXPERIMENT, attention_of
from ffmem.studies.kobayashi2020.mixing import CHAPTER
from ffmem.studies.results import Findings

(EXHIBIT,) = CHAPTER.exhibits


def estimates(*values: float) -> list[Estimate]:
    return [Estimate(value, value - 0.01, value + 0.01, 12) for value in values]


def test_means_over_layers_and_the_steps_of_the_claim(findings: Findings) -> None:
    found = attention_of(findings)
    mixing = {
        "Attn-W": estimates(0.9, 0.8, 1.0),
        "AttnRes-W": estimates(0.4, 0.4, 0.4),
        "Attn-N": estimates(0.8, 0.7, 0.6),
        "AttnRes-N": estimates(0.3, 0.2, 0.1),
    }
    told = replace(findings, values={EXPERIMENT: replace(found, mixing=mixing)})
    ours = {one.quantity: (one.paper, one.ours) for one in EXHIBIT.numbers(told) if one.quantity.startswith("mixing")}
    assert ours == {
        "mixing ratio, Attn-W": ("96.4 %", pytest.approx(0.9)),
        "mixing ratio, AttnRes-W": ("48.2 %", pytest.approx(0.4)),
        "mixing ratio, Attn-N": ("85.3 %", pytest.approx(0.7)),
        "mixing ratio, AttnRes-N": ("22.3 %", pytest.approx(0.2)),
    }
    (claim,) = EXHIBIT.claims(told)
    assert claim.verdict == "shown"
    assert claim.why == "Attn-W 90.0 %, Attn-N 70.0 %, AttnRes-W 40.0 %, AttnRes-N 20.0 %"
    grows = {**mixing, "AttnRes-N": estimates(0.5, 0.5, 0.5)}
    (claim,) = EXHIBIT.claims(replace(findings, values={EXPERIMENT: replace(found, mixing=grows)}))
    assert claim.verdict == "undecided"
    (chart,) = EXHIBIT.charts(told)
    assert len(chart.rows) == 12 and chart.rows[3]["series"] == "AttnRes-N" and chart.rows[3]["value"] == 0.3


def test_correlations_with_frequency(findings: Findings) -> None:
    found = attention_of(findings)
    numbers = {one.quantity: one for one in EXHIBIT.numbers(findings)}
    for variant, one in found.frequency_mixing.items():
        assert numbers[f"Spearman of frequency rank and {variant}"].ours == one.value
    assert numbers["Spearman of frequency rank and AttnResLn-N"].paper == "-.544"
