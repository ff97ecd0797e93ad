"""The report, its page, and what the exhibits say."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from ffmem.analyses.intervals import Estimate
from ffmem.studies.alignment import choice, gains, layers, systems
from ffmem.studies.alignment.findings import ERROR_RATES, study_in
from ffmem.studies.alignment.options import AlignmentOptions
from ffmem.studies.exhibit import Exhibit
from ffmem.studies.markdown import report_as_markdown
from ffmem.studies.report import report_of
from ffmem.studies.results import Findings, Results

CHARTS = ["norms-less-weights", "error-rates", "head-error-rates", "error-rate-by-norm"]
(GAINS,), (LAYERS,), (CHOICE,), (SYSTEMS,) = (module.CHAPTER.exhibits for module in (gains, layers, choice, systems))


def rate(findings: Findings, place: str, reading: str, measure: str) -> float:
    """From the plain JSON, by name."""
    rows = study_in(findings).to_json()["rows"]
    return next(
        float(row["aer"]) for row in rows if (row["place"], row["reading"], row["measure"]) == (place, reading, measure)
    )


def numbers(exhibit: Exhibit[Findings], findings: Findings) -> dict[str, tuple[str, float]]:
    return {one.quantity: (one.paper, one.ours) for one in exhibit.numbers(findings)}


def verdicts(exhibit: Exhibit[Findings], findings: Findings) -> list[str]:
    return [one.verdict for one in exhibit.claims(findings)]


def test_numbers_beside_the_papers(findings: Findings) -> None:
    ours = numbers(GAINS, findings)
    rates = [rate(findings, f"L{layer}", "AWI", "norms") for layer in range(3)]
    assert ours["error rate, mean over layers, AWI norms"] == ("60.5 %", pytest.approx(sum(rates) / 3))
    assert ours["error rate, best layer, AWI norms"] == ("25.0 %", min(rates))
    assert ours["error rate, best layer, AWO weights"][0] == "47.7 %"
    chosen = study_in(findings).to_json()
    ours = numbers(CHOICE, findings)
    for what, place in chosen["highest_mean_norm"].items():
        paper = {"layer": "83.0 %", "head": "87.1 %"}[what]
        expected = (paper, rate(findings, place, "AWO", "norms"))
        assert ours[f"error rate, {what} of highest mean norm, AWO norms"] == expected
    awi = next(one for one in chosen["correlations"] if one["reading"] == "AWI")
    assert ours["Spearman of error rate and mean norm, heads, AWI norms"] == ("-0.44", awi["spearman"])
    assert ours["Pearson of the same, AWI norms"] == ("-0.52", awi["pearson"])
    assert numbers(SYSTEMS, findings)["error rate, other"][1] == study_in(findings).others[0].score.error_rate.value


def test_norms_are_better_where_every_interval_says_so(findings: Findings) -> None:
    def with_gains(*values: float) -> Findings:
        found = study_in(findings)
        made = tuple(
            replace(one, difference=Estimate(values[one.layer], values[one.layer] - 0.01, values[one.layer] + 0.01, 5))
            for one in found.gains
        )
        return replace(findings, values={ERROR_RATES: replace(found, gains=made)})

    assert verdicts(GAINS, with_gains(-0.1, -0.2, -0.02)) == ["shown"] * 2
    assert verdicts(GAINS, with_gains(-0.1, -0.2, 0.005)) == ["undecided"] * 2
    assert verdicts(GAINS, with_gains(-0.1, 0.2, -0.1)) == ["contradicted"] * 2
    assert "with AWI by -20.0 to +0.5 points" in GAINS.reading(with_gains(-0.1, -0.2, 0.005))


def test_choices_and_layers_are_judged_by_their_error_rates(findings: Findings) -> None:
    """A made-up study: L0 is best with AWI and has the highest norm, L2 is best with AWO; heads follow their layers."""
    found = study_in(findings)
    best = {"AWI": 0, "AWO": 2}

    def with_rates(chosen: int) -> Findings:
        rows = []
        for row in found.rows:
            value = 0.2 + 0.2 * abs(row.layer - best[row.reading]) + (0.05 if row.reading == "AWO" else 0.0)
            score = replace(row.score, error_rate=Estimate(value, value - 0.01, value + 0.01, 5))
            rows.append(replace(row, score=score))
        made = replace(found, rows=tuple(rows), layer=chosen, head=(chosen, 1))
        return replace(findings, values={ERROR_RATES: made})

    assert verdicts(LAYERS, with_rates(0)) == ["shown", "shown"]
    assert "(AWI) errs in 20.0 % (L0)" in LAYERS.reading(with_rates(0))
    assert verdicts(CHOICE, with_rates(0))[:2] == ["shown", "shown"]
    assert verdicts(CHOICE, with_rates(2))[:2] == ["contradicted", "contradicted"]
    best["AWI"], best["AWO"] = 2, 0
    assert verdicts(LAYERS, with_rates(0))[0] == "undecided"


def test_correlations_bear_out_or_leave_open(findings: Findings) -> None:
    found = study_in(findings)
    for sign, expected in ((-1, ["shown", "undecided"]), (1, ["undecided", "shown"])):
        made = tuple(replace(one, spearman=sign * 0.5) for one in found.correlations)
        told = replace(findings, values={ERROR_RATES: replace(found, correlations=made)})
        assert verdicts(CHOICE, told)[2:] == expected


def test_the_page_opens_with_every_section_and_chart(results: Results, tmp_path: Path) -> None:
    pytest.importorskip("altair", reason="needs the extra report")
    from ffmem.studies.page import write_page

    report = report_of(results)
    assert [one.name for one in report.sections] == ["5, norms", "5, layers", "5, choice", "5, systems"]
    assert list(report.charts) == CHARTS and list(report.tables) == ["gains", "rows", "others"]
    page = write_page(report, tmp_path).read_text()
    for section in report.sections:
        assert f'<section id="{section.anchor}">' in page
    for name in CHARTS:
        assert f'id="chart-{name}"' in page
        assert (tmp_path / "figures" / f"{name}.svg").read_bytes().startswith(b"<svg")
    rows = list(csv.DictReader((tmp_path / "figures" / "rows.csv").read_text().splitlines()))
    assert len(rows) == 3 * 5 * 4 and float(rows[0]["aer"]) == study_in_report(results, rows[0])
    points = list(csv.DictReader((tmp_path / "figures" / "error-rate-by-norm.csv").read_text().splitlines()))
    assert len(points) == 2 * 12 and {one["series"] for one in points} == {"AWI", "AWO"}


def study_in_report(results: Results, row: dict[str, str]) -> float:
    from ffmem.studies.runner import findings_of

    return rate(findings_of(results), row["place"], row["reading"], row["measure"])


def test_a_document_has_sizes_numbers_claims_and_tables(results: Results, options: AlignmentOptions) -> None:
    report = report_of(results)
    text = report_as_markdown([report, replace(report, title="Another", sections=report.sections[:1])])
    lines = text.splitlines()
    assert lines[0] == "## What was studied"
    assert "| read | 5 pairs of source, target | 5 pairs of source, target |" in lines
    assert sum(line.startswith("| 5, choice | error rate, layer of highest mean norm") for line in lines) == 4
    assert all(line.endswith("| - |") for line in lines if line.startswith("| 5, choice"))
    assert "## Another" in lines and sum(line.startswith("| L2.H3 |") for line in lines) == 4
    assert options.source.endswith("source")
