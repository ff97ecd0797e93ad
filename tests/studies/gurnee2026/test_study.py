"""The study as a user runs it: a control beside it, and judged claims."""

from ffmem.studies.report import report_of
from ffmem.studies.results import Results
from ffmem.studies.runner import findings_of
from ffmem.studies.study import study_names


def test_the_control_stands_beside_and_claims_are_judged(read: Results) -> None:
    findings, report = findings_of(read), report_of(read)
    assert "gurnee2026" in study_names() and set(findings.controls) == {"untrained"}
    assert [one.name for one in report.sections] == ["Table", "States", "Values", "Effects", "Jacobian"]
    claims = [claim for section in report.sections for claim in section.claims]
    assert len(claims) >= 8 and {one.verdict for one in claims} <= {"shown", "contradicted", "undecided"}
    assert len({one.statement for one in claims}) == len(claims)
