"""The study as a user runs it: controls beside it, and judged claims."""

from ffmem.studies.report import report_of
from ffmem.studies.results import Results
from ffmem.studies.runner import findings_of


def test_controls_stand_beside_and_claims_are_judged(truncated: Results) -> None:
    findings, report = findings_of(truncated), report_of(truncated)
    assert set(findings.controls) == {"untrained", "shuffled"}
    assert [one.name for one in report.sections] == ["Table 2", "Addition"]
    claims = [claim for section in report.sections for claim in section.claims]
    assert len(claims) >= 3 and {one.verdict for one in claims} <= {"shown", "contradicted", "undecided"}
