"""The whole study of tiny models: every kind of cell, its page, its controls, and what it cannot be asked."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import ffmem
from ffmem import Index
from ffmem.studies.charts import spec
from ffmem.studies.controls import Made
from ffmem.studies.page import html_of
from ffmem.studies.report import Report, report_of
from ffmem.studies.results import Findings, Results
from ffmem.studies.study import study_named, study_names
from tests.studies.geva2022.conftest import run

SECTIONS = [
    "Saturation", "Dominant sub-updates", "Promotion", "Concepts", "Entropy cells", "Frequency cells",
    "Prediction and suppression",
]  # fmt: skip


def check(report: Report) -> None:
    assert [section.name for section in report.sections] == SECTIONS
    for section in report.sections:
        assert not re.search(r"\bnan\b", section.reading) and section.numbers
    for name, number in report.numbers:
        assert number.text() != "nothing to estimate it from", (name, number.quantity)
        if number.unit == "%" and number.low is not None and name not in ("Entropy cells", "Frequency cells"):
            assert number.high is not None and 0 <= number.low <= number.ours <= number.high <= 1.5
    for chart in report.charts.values():
        assert spec(chart) and chart.rows


def test_it_is_found_by_being_there() -> None:
    assert "geva2022" in study_names()
    assert study_named("geva2022").paper.startswith("Geva, Caciularu, Wang and Goldberg")


def test_a_page_with_its_controls_beside(gated: tuple[Findings, Report]) -> None:
    _, report = gated
    pytest.importorskip("altair", reason="needs the extra report")
    check(report)
    assert [one.name for one in report.controls] == ["untrained", "shuffled"]
    for one in report.controls:
        assert {item for item, _ in one.numbers} == set(SECTIONS)
    facts = dict(report.facts)
    assert "gated" in facts["cells"] and "update cells" not in facts["control: untrained"]
    page = html_of(report, {name: spec(chart) for name, chart in report.charts.items()})
    assert "55.1 %" in page and "no other model is given" in page and 'id="chart-promotion-untrained"' in page


@pytest.mark.parametrize("family", ["gpt2", "gemma2", "mixtral"])
def test_other_kinds_of_models(family: str, index_of: Callable[[str], Index], tmp_path: Path) -> None:
    folder = shutil.copytree(index_of(family).folder, tmp_path / "index", ignore=shutil.ignore_patterns("results"))
    check(report_of(run(ffmem.open_index(folder))))


def test_it_goes_on_from_what_is_there(updates_of: Callable[[str], Results], tmp_path: Path) -> None:
    """What was deleted is made again, as it was; nothing else is."""
    done = updates_of("llama")
    folder = shutil.copytree(done.folder.parents[1], tmp_path / "index")
    index = ffmem.open_index(folder)
    own = folder / "results" / done.key
    kept = (own / "confidence.json").read_bytes()
    before = {path.name: path.stat().st_mtime_ns for path in own.glob("*.json")}
    (own / "confidence.json").unlink()
    again = run(index)
    assert again.folder == own and (own / "confidence.json").read_bytes() == kept
    changed = {path.name for path in own.glob("*.json") if path.stat().st_mtime_ns != before[path.name]}
    assert changed <= {"confidence.json", "costs.json", "study.json"}
    assert again.load("controls", dict[str, Made]).keys() == {"untrained", "shuffled"}
