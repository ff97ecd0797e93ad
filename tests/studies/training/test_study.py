"""The whole study of a made-up training: its page, its control, other kinds of models, and what it refuses."""

import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import ffmem
from ffmem import Index
from ffmem.studies.charts import spec
from ffmem.studies.page import html_of
from ffmem.studies.report import Report, report_of
from ffmem.studies.results import Results
from ffmem.studies.study import study_names
from tests.studies.training.conftest import run

SECTIONS = ["Settling", "Triggers", "Agreement", "Lives", "Drift", "Seeds", "Cells"]


def check(report: Report, sections: Sequence[str]) -> None:
    assert [section.name for section in report.sections] == sections
    for section in report.sections:
        assert not re.search(r"\bnan\b", f"{section.reading} {section.sample}"), section.name
    for name, number in report.numbers:
        if number.unit == "%" and number.low is not None and number.low == number.low:
            assert number.high is not None and number.low <= number.ours <= number.high, (name, number)
        assert number.text() != "nothing to estimate it from", (name, number.quantity)
    for chart in report.charts.values():
        assert chart.rows and spec(chart)


def test_a_page_with_its_control_beside(report: Report) -> None:
    assert "training" in study_names()
    check(report, SECTIONS)
    (control,) = report.controls
    assert control.name == "shuffled" and {item for item, _ in control.numbers} == {
        "Triggers",
        "Agreement",
        "Lives",
        "Drift",
    }
    page = html_of(report, {name: spec(chart) for name, chart in report.charts.items()})
    assert (
        "step 1,000" in page
        and "first moment is not step 0" not in page
        and 'id="chart-trigger-overlap-shuffled"' in page
    )
    assert "Names: the last moment has none" in page


@pytest.mark.parametrize("family", ["llama", "mixtral", "bert"])
def test_other_kinds_of_models(family: str, training_of: Callable[[str], Sequence[Index]], tmp_path: Path) -> None:
    *_, before, last = training_of(family)
    index = ffmem.open_index(shutil.copytree(last.folder, tmp_path / "index"))
    found = report_of(run([before], index))
    causal = last.manifest.model.predicts_next_token
    check(found, [one for one in SECTIONS if one != "Seeds" and (causal or one != "Agreement")])
    assert any("causal language models only" in one for one in found.left_out) is not causal
    assert "The first moment is not step 0: what was learned before it is not seen." in found.left_out


def test_it_goes_on_from_what_is_there(
    traced: Results, training_of: Callable[[str], Sequence[Index]], tmp_path: Path
) -> None:
    """What was deleted is made again, as it was; nothing else is."""
    *earlier, last = training_of("wikilm")
    index = ffmem.open_index(shutil.copytree(traced.folder.parents[1], tmp_path / "index"))
    own = index.folder / "results" / traced.key
    kept = (own / "lives.json").read_bytes()
    before = {path.name: path.stat().st_mtime_ns for path in own.glob("*.json")}
    (own / "lives.json").unlink()
    again = run(earlier, index, seed_other=str(last.folder))
    assert again.folder == own and (own / "lives.json").read_bytes() == kept
    changed = {path.name for path in own.glob("*.json") if path.stat().st_mtime_ns != before[path.name]}
    assert changed <= {"lives.json", "costs.json", "study.json"}
