"""Section 4.2: shares and correlations by category."""

from dataclasses import replace

import numpy as np
import pytest

from ffmem.analyses.intervals import Estimate
from ffmem.studies.exhibit import Exhibit
from ffmem.studies.kobayashi2020.categories import CHAPTER
from ffmem.studies.kobayashi2020.findings import EXPERIMENT, attention_of
from ffmem.studies.results import Findings
from ffmem.studies.verdicts import Verdict, judged

SHARES, PAIRS = CHAPTER.exhibits
NOTHING = Estimate(float("nan"), float("nan"), float("nan"), 0)


N_TEXTS, N_BLOCKS = 60, 10


def around(value: float, half: float = 0.01) -> Estimate:
    return Estimate(value, value - half, value + half, 50)


def made(findings: Findings, gaps: list[float], correlations: list[Estimate]) -> Findings:
    """Of 60 documents whose gaps differ by 0.01, and blocks whose correlations differ by as much as their intervals say."""
    noise = np.random.default_rng(0).normal(0, 0.01, (N_TEXTS, len(gaps)))
    steps = np.linspace(-1, 1, N_BLOCKS) / 6
    by_text = replace(
        attention_of(findings).by_text,
        documents=list(range(N_TEXTS)),
        gaps=(np.array(gaps) + noise - noise.mean(0)).tolist(),
        correlations_without=[
            (one.value + (one.high - one.value) / 2.262 * np.roll(steps, n)).tolist()
            for n, one in enumerate(correlations)
        ],
    )
    found = replace(attention_of(findings), correlations=correlations, by_text=by_text)
    return replace(findings, values={EXPERIMENT: found})


def verdicts(exhibit: Exhibit[Findings], findings: Findings) -> list[Verdict]:
    return [one.verdict for one in judged([tuple(exhibit.claims(findings))])[0]]


def test_numbers_are_those_found(findings: Findings) -> None:
    found = attention_of(findings)
    shares = [(one.quantity, one.ours, one.low, one.high) for one in SHARES.numbers(findings)]
    assert shares == [
        (f"share of weight less share of norm, {name}", one.value, one.low, one.high)
        for name, one in zip(found.categories, found.weight_less_norm, strict=True)
    ]
    pairs = {one.quantity: (one.paper, one.ours) for one in PAIRS.numbers(findings)}
    assert pairs["Spearman of weight and ‖f(x)‖, [SEP]"] == ("~ -0.69", found.correlations[1].value)
    assert len(pairs) == 4


def test_claims_are_tested_on_the_same_texts(findings: Findings) -> None:
    """[CLS] as the paper has it, [SEP] the other way round, points not to be told from other tokens."""
    gaps = [0.2, -0.2, 0.0005, 0.0]
    correlations = [around(-0.5), around(0.5), around(-0.06, 0.05), around(-0.05)]
    told = made(findings, gaps, correlations)
    assert verdicts(SHARES, told) == ["shown", "contradicted", "undecided"]
    assert verdicts(PAIRS, told) == ["shown", "contradicted", "undecided"]
    first, *_, last = SHARES.claims(told)
    assert first.why.startswith("weight less norm +20.0 points (+19.") and last.test.effect == pytest.approx(0.0005)
    below_others = made(findings, gaps, [around(-0.5), around(-0.02), NOTHING, around(-0.05)])
    assert verdicts(PAIRS, below_others) == ["shown", "contradicted"]  # [SEP]: negative, yet above other tokens
    assert PAIRS.reading(below_others) == "[CLS] -0.50; [SEP] -0.02; other -0.05."


def test_the_gap_is_that_of_the_texts(findings: Findings) -> None:
    found = attention_of(findings)
    for place, (name, claim) in enumerate(zip(found.categories, SHARES.claims(findings), strict=False)):
        of_texts = np.array(found.by_text.gaps)[:, place]
        assert claim.statement.startswith(name) and claim.test.effect == pytest.approx(np.nanmean(of_texts))
        assert found.weight_less_norm[place].value == pytest.approx(np.nanmean(of_texts))
    assert len(found.by_text.documents) == len(found.by_text.gaps) == found.n_texts


def test_charts_have_a_row_for_each_estimate(findings: Findings) -> None:
    found = attention_of(findings)
    weights, norms, vectors = SHARES.charts(findings)
    for chart, columns in ((weights, found.weight_shares), (norms, found.norm_shares)):
        there = [one for layer in columns for one in layer if one.n]
        assert [row["value"] for row in chart.rows] == [one.value for one in there]
    assert len(vectors.rows) == 3 * 4 and not vectors.percent
    (bars,) = PAIRS.charts(findings)
    assert [(row["category"], row["low"]) for row in bars.rows] == [
        (name, one.low) for name, one in zip(found.categories, found.correlations, strict=True) if one.n
    ]
