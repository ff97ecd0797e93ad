"""The study as a user runs it: its control beside it, judged claims, and what it leaves out."""

from dataclasses import replace

from ffmem import Index
from ffmem.studies.report import report_of
from ffmem.studies.results import Results
from ffmem.studies.runner import findings_of
from tests.studies.wiegreffe2019.conftest import SMALL, run


def test_controls_stand_beside_and_claims_are_judged(diagnosed: Results) -> None:
    findings, report = findings_of(diagnosed), report_of(diagnosed)
    assert set(findings.controls) == {"untrained"}
    names = ["Section 3.1", "Addition", "Addition", "Section 3.2", "Section 3.3", "Section 4"]
    assert [one.name for one in report.sections] == names
    claims = [claim for section in report.sections for claim in section.claims]
    assert len(claims) >= 15 and {one.verdict for one in claims} <= {"shown", "contradicted", "undecided"}


def test_what_is_not_asked_for_is_told(labelled_index: Index) -> None:
    options = replace(SMALL, tuning_steps=0, positions=20, adversary_texts=1, adversary_steps=1, guide_documents=20)
    report = report_of(run(labelled_index, options, controls=False))
    assert "Section 4" not in [one.name for one in report.sections]
    told = " ".join(report.left_out)
    assert "--other MODEL" in told and "--tuning-steps" in told
