"""Section 4.2: shares and correlations by category."""

from dataclasses import replace

from ffmem.analyses.intervals import Estimate
from ffmem.studies.kobayashi2020.categories import CHAPTER
from ffmem.studies.kobayashi2020.findings import EXPERIMENT, attention_of
from ffmem.studies.results import Findings

SHARES, PAIRS = CHAPTER.exhibits
NOTHING = Estimate(float("nan"), float("nan"), float("nan"), 0)


def around(value: float, half: float = 0.01) -> Estimate:
    return Estimate(value, value - half, value + half, 50)


def made(findings: Findings, gaps: list[Estimate], correlations: list[Estimate]) -> Findings:
    found = replace(attention_of(findings), weight_less_norm=gaps, correlations=correlations)
    return replace(findings, values={EXPERIMENT: found})


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


def test_claims_by_intervals(findings: Findings) -> None:
    """[CLS] as the paper has it, [SEP] the other way round, points not to be told from other tokens."""
    gaps = [around(0.2), around(-0.2), around(0.005), around(0.0)]
    correlations = [around(-0.5), around(0.5), around(-0.06, 0.05), around(-0.05)]
    told = made(findings, gaps, correlations)
    assert [one.verdict for one in SHARES.claims(told)] == ["shown", "contradicted", "undecided"]
    assert [one.verdict for one in PAIRS.claims(told)] == ["shown", "contradicted", "undecided"]
    assert "weight less norm +20.0 points (+19.0 to +21.0)" in next(iter(SHARES.claims(told))).why
    below_others = made(findings, gaps, [around(-0.5), around(-0.02), NOTHING, around(-0.05)])
    verdicts = {one.statement.split(":")[0]: one.verdict for one in PAIRS.claims(below_others)}
    assert verdicts == {"[CLS]": "shown", "[SEP]": "contradicted"}  # negative, yet above other tokens
    assert PAIRS.reading(below_others) == "[CLS] -0.50; [SEP] -0.02; other -0.05."


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
