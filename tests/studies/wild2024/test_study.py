"""The whole study of tiny models: every kind of cell, its page, its controls, and what it cannot be asked."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import ffmem
from ffmem import Index
from ffmem.studies.charts import spec
from ffmem.studies.page import html_of
from ffmem.studies.report import Report, report_of
from ffmem.studies.results import Findings
from ffmem.studies.study import study_named, study_names
from tests.studies.wild2024.conftest import copied, run

SECTIONS = {"Use by layer", "Energy", "Dead cells", "Moments", "Detectors", "Positional cells"}


def check(report: Report, left_out: set[str]) -> None:
    assert {section.name for section in report.sections} == SECTIONS - left_out
    for section in report.sections:
        assert not re.search(r"\bnan\b", section.reading) and section.numbers
    for name, number in report.numbers:
        assert number.text() != "nothing to estimate it from", (name, number.quantity)
        if number.unit == "%" and number.low is not None and "so much less" not in number.quantity:
            assert number.high is not None and 0 <= number.low <= number.ours <= number.high <= 1
    for table in report.tables.values():
        assert {tuple(row) for row in table.rows} == {tuple(table.rows[0])}, table.name
    for chart in report.charts.values():
        assert spec(chart) and chart.rows


def test_it_is_found_by_being_there() -> None:
    assert "wild2024" in study_names() and study_named("wild2024").paper == "Wild and Anderson, 2024"


def test_a_page_of_planted_cells(planted: tuple[Findings, Report]) -> None:
    pytest.importorskip("altair", reason="needs the extra report")
    _, report = planted
    check(report, set())
    page = html_of(report, {name: spec(chart) for name, chart in report.charts.items()})
    assert "13.3" in page and 'id="chart-moments-token"' in page and "a coefficient above 0" in page


def test_a_gated_model_is_cut_where_it_costs_a_hundredth_of_the_perplexity(gated: tuple[Findings, Report]) -> None:
    pytest.importorskip("altair", reason="needs the extra report")
    findings, report = gated
    check(report, {"Dead cells", "Moments"})
    assert [one.name for one in report.controls] == ["untrained", "shuffled"]
    assert findings.controls.keys() == {"untrained", "shuffled"}
    facts = dict(report.facts)
    assert "gated" in facts["cells"] and "the perplexity rises by" in facts["active"]
    page = html_of(report, {name: spec(chart) for name, chart in report.charts.items()})
    assert "no index of an earlier moment" in page and 'id="chart-use-untrained"' in page


@pytest.mark.parametrize("family", ["mixtral", "bert", "t5", "wikilm"])
def test_other_kinds_of_models(family: str, index_of: Callable[[str], Index], tmp_path: Path) -> None:
    left_out = {"Moments"} if family in ("wikilm", "t5") else {"Moments", "Dead cells"}
    check(report_of(run(copied(index_of(family), tmp_path / "index"))), left_out)


def test_it_goes_on_from_what_is_there(planted: tuple[Findings, Report], tmp_path: Path) -> None:
    """What was deleted is made again, as it was; nothing else is."""
    findings, _ = planted
    index = copied(findings.index, tmp_path / "index")
    own = run(index, positions=600).folder
    kept, before = (own / "use.json").read_bytes(), {path: path.stat().st_mtime_ns for path in own.glob("*.json")}
    (own / "use.json").unlink()
    again = run(ffmem.open_index(index.folder), positions=600)
    assert again.folder == own and (own / "use.json").read_bytes() == kept
    changed = {path.name for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert changed <= {"use.json", "costs.json", "study.json"}
