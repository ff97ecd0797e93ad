"""The report, its page, and what the exhibits say."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ffmem.analyses.intervals import Estimate
from ffmem.studies.alignment import choice, gains, layers, systems
from ffmem.studies.alignment.findings import ERROR_RATES, Row, study_in
from ffmem.studies.alignment.options import AlignmentOptions
from ffmem.studies.exhibit import Exhibit
from ffmem.studies.markdown import report_as_markdown
from ffmem.studies.report import report_of
from ffmem.studies.results import Findings, Results
from ffmem.studies.verdicts import Verdict, judged

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


def verdicts(exhibit: Exhibit[Findings], findings: Findings) -> list[Verdict]:
    return [one.verdict for one in judged([tuple(exhibit.claims(findings))])[0]]


N_PAIRS = 60


def with_rates(findings: Findings, folder: Path, rate_of: Callable[[Row], float], **changes: Any) -> Findings:
    """The study, if each of 60 pairs had ten links and each row this error rate, with noise that pairs have in common."""
    found, rng = study_in(findings), np.random.default_rng(0)
    common = rng.normal(0, 0.1, N_PAIRS)
    rows, columns = [], []
    for row in found.rows:
        errors = common + rng.normal(0, 0.02, N_PAIRS)
        errors += rate_of(row) - errors.mean()
        columns.append(10 * (1 - errors))
        value = rate_of(row)
        rows.append(
            replace(row, score=replace(row.score, error_rate=Estimate(value, value - 0.1, value + 0.1, N_PAIRS)))
        )
    header = {**findings.header, "key": "made"}
    above = np.stack(columns, axis=1)
    Results(folder, header).save_arrays(ERROR_RATES, {"above": above, "below": np.full_like(above, 10.0)})
    return Findings(header, folder, {**findings.values, ERROR_RATES: replace(found, rows=tuple(rows), **changes)})


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


@pytest.mark.parametrize(
    ("gains", "expected"),
    [((-0.1, -0.2, -0.02), "shown"), ((-0.1, -0.2, 0.002), "undecided"), ((-0.1, 0.2, -0.1), "contradicted")],
)
def test_norms_are_better_where_they_are_in_every_layer(
    findings: Findings, tmp_path: Path, gains: tuple[float, ...], expected: Verdict
) -> None:
    """Two points are beyond doubt on the same pairs, though each rate by itself is known to no more than three."""
    told = with_rates(findings, tmp_path, lambda row: 0.5 + (gains[row.layer] if row.measure == "norms" else 0.0))
    assert verdicts(GAINS, told) == [expected] * 2
    why = next(iter(GAINS.claims(told))).why
    assert f"L1 {100 * gains[1]:+.1f} (" in why and "on the same pairs" in why


def test_choices_and_layers_are_judged_by_their_error_rates(findings: Findings, tmp_path: Path) -> None:
    """A made-up study: L0 is best with AWI and has the highest norm, L2 is best with AWO; heads follow their layers."""
    best = {"AWI": 0, "AWO": 2}

    def rate_of(row: Row) -> float:
        return 0.2 + 0.2 * abs(row.layer - best[row.reading]) + (0.05 if row.reading == "AWO" else 0.0)

    def chosen(layer: int) -> Findings:
        return with_rates(findings, tmp_path, rate_of, layer=layer, head=(layer, 1))

    assert verdicts(LAYERS, chosen(0)) == ["shown", "shown"]
    assert "(AWI) errs in 20.0 % (L0)" in LAYERS.reading(chosen(0))
    assert verdicts(CHOICE, chosen(0))[:2] == ["shown", "shown"]
    assert verdicts(CHOICE, chosen(2))[:2] == ["contradicted", "contradicted"]
    best["AWI"], best["AWO"] = 2, 0
    assert verdicts(LAYERS, chosen(0))[0] == "contradicted"


def test_layers_that_are_as_good_leave_it_open_which_is_best(findings: Findings, tmp_path: Path) -> None:
    told = with_rates(findings, tmp_path, lambda row: 0.3, layer=0, head=(0, 1))
    assert verdicts(CHOICE, told)[:2] == ["undecided", "undecided"] and verdicts(LAYERS, told) == ["undecided"] * 2


def test_correlations_are_those_of_other_pairs(findings: Findings, tmp_path: Path) -> None:
    """Errors that rise with the norm of a head, or fall with it, or have nothing to do with it."""
    study = study_in(findings)
    norms = [study.mean_norm(row.layer, row.head) for row in study.heads("norms", "AWI")]
    middle, spread = float(np.mean(norms)), float(np.std(norms))
    for slope, expected in ((-1, ["shown", "contradicted"]), (1, ["contradicted", "shown"])):

        def rate_of(row: Row, slope: int = slope) -> float:
            return 0.5 + 0.1 * slope * (study.mean_norm(row.layer, row.head) - middle) / spread

        assert verdicts(CHOICE, with_rates(findings, tmp_path, rate_of))[2:] == expected


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
