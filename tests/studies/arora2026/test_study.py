"""The study as a whole: its page has all exhibits, and those of the control beside."""

from pathlib import Path

from ffmem.studies.arora2026.study import STUDY
from ffmem.studies.page import write_page
from ffmem.studies.report import report_of
from ffmem.studies.results import Findings, Results
from ffmem.studies.study import study_named


def test_all_exhibits_are_there_with_the_control_beside(circuit_findings: Findings) -> None:
    assert study_named("arora2026") is STUDY
    assert [one.name for one in STUDY.exhibits(circuit_findings)] == ["Task", "Curves", "Single cells", "Stability"]
    assert set(circuit_findings.controls) == {"untrained"} and not circuit_findings.controls_missing
    facts = dict(STUDY.facts(circuit_findings))
    assert facts["cells"] == "48" and facts["task"].startswith("induction, pairs ")
    assert "Heads are not taken out" in " ".join(STUDY.left_out(circuit_findings))
    assert STUDY.title(circuit_findings).endswith(": induction")


def test_the_page_is_written(circuit_results: Results, tmp_path: Path) -> None:
    report = report_of(circuit_results)
    page = write_page(report, tmp_path).read_text()
    for told in ("How many cells carry it?", "Is it the same circuit in other words?", "about 100", "untrained"):
        assert told in page, told
