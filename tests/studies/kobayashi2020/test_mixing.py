"""The second paper: mixing ratios."""

from dataclasses import replace

import numpy as np
import pytest

from ffmem.analyses.attention.mixing import MixingVariant
from ffmem.analyses.intervals import Estimate
from ffmem.studies.kobayashi2020.findings import EXPERIMENT, attention_of
from ffmem.studies.kobayashi2020.mixing import CHAPTER
from ffmem.studies.results import Findings
from ffmem.studies.verdicts import judged

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
    (chart,) = EXHIBIT.charts(told)
    assert len(chart.rows) == 12 and chart.rows[3]["series"] == "AttnRes-N" and chart.rows[3]["value"] == 0.3


def with_texts(findings: Findings, levels: dict[MixingVariant, float]) -> Findings:
    """Sixty documents, alike in all variants but for a little."""
    rng = np.random.default_rng(0)
    common = rng.normal(0, 0.2, 60)
    mixing = {name: (level + common + rng.normal(0, 0.02, 60)).tolist() for name, level in levels.items()}
    found = attention_of(findings)
    by_text = replace(found.by_text, documents=list(range(60)), mixing=mixing)
    told = {name: estimates(level) for name, level in levels.items()}
    return replace(findings, values={EXPERIMENT: replace(found, mixing=told, by_text=by_text)})


@pytest.mark.parametrize(
    ("steps", "verdict"),
    [((0.9, 0.7, 0.4, 0.2), "shown"), ((0.9, 0.7, 0.2, 0.4), "contradicted"), ((0.9, 0.7, 0.4, 0.397), "undecided")],
)
def test_every_step_is_tested_on_the_same_texts(findings: Findings, steps: tuple[float, ...], verdict: str) -> None:
    """Texts differ by 0.2, and their steps by 0.03: a step of 0.2 is beyond doubt, one of 0.003 is not."""
    names: tuple[MixingVariant, ...] = ("Attn-W", "Attn-N", "AttnRes-W", "AttnRes-N")
    told = with_texts(findings, dict(zip(names, steps, strict=True)))
    ((claim,),) = judged([tuple(EXHIBIT.claims(told))])
    assert claim.verdict == verdict and claim.why.startswith("Attn-W 90.0 %, Attn-N 70.0 %")


def test_correlations_with_frequency(findings: Findings) -> None:
    found = attention_of(findings)
    numbers = {one.quantity: one for one in EXHIBIT.numbers(findings)}
    for variant, one in found.frequency_mixing.items():
        assert numbers[f"Spearman of frequency rank and {variant}"].ours == one.value
    assert numbers["Spearman of frequency rank and AttnResLn-N"].paper == "-.544"
