"""The whole study of a tiny model: its page, its claims, its control."""

import re

import pytest

from ffmem.studies.charts import spec
from ffmem.studies.markdown import report_as_markdown
from ffmem.studies.page import html_of
from ffmem.studies.report import report_of
from ffmem.studies.results import Results
from ffmem.studies.study import study_named, study_names
from tests.studies.meng2022.conftest import RunEdits


def test_it_is_found_by_being_there() -> None:
    assert "meng2022" in study_names()
    assert study_named("meng2022").paper == "Meng, Bau, Andonian and Belinkov, NeurIPS 2022"


def test_a_page_with_its_numbers_claims_pictures_and_control(edit_results: Results) -> None:
    pytest.importorskip("altair", reason="needs the extra report")
    report = report_of(edit_results)
    assert [one.name for one in report.sections] == ["Facts", "Edits", "Side effects"]
    assert [one.name for one in report.controls] == ["untrained"]
    for section in report.sections:
        assert not re.search(r"\bnan\b", section.reading) and section.numbers
    numbers = {number.quantity: number.paper for _, number in report.numbers}
    assert numbers["paraphrase: rome, L0"] == "96.4" and numbers["score: as it is"] == "30.5"
    assert len(report.claims) == 8
    picture = report.charts["edit-against-side-effect"]
    assert len(picture.rows) == 7
    assert all(0 <= row["low"] <= row["value"] <= row["high"] <= 1 for row in picture.rows)
    page = html_of(report, {name: spec(chart) for name, chart in report.charts.items()})
    assert "facts" in dict(report.facts) and "All ways and layers" in page
    assert "| rome" in report_as_markdown([report]) or "rome, L0" in report_as_markdown([report])


def test_the_same_call_again_only_reads(edit_results: Results, run_edits: RunEdits) -> None:
    stages = []
    again = run_edits(edit_results.folder, listen=stages.append, controls=True)
    assert again.key == edit_results.key
    assert stages and all((one.done, one.total) == (1, 1) for one in stages)
