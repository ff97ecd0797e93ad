"""The study as a user runs it: controls beside it, and judged claims."""

from ffmem.studies.charts import spec
from ffmem.studies.report import report_of
from ffmem.studies.results import Results
from ffmem.studies.runner import findings_of


def test_controls_stand_beside_and_claims_are_judged(softmax_study: Results) -> None:
    findings, report = findings_of(softmax_study), report_of(softmax_study)
    assert set(findings.controls) == {"untrained", "shuffled"}
    assert [one.title for one in report.sections] == [
        "How many memories does a position use?",
        "How much weight do memories have?",
        "Context and memories in one map",
        "Do values agree with keys?",
        "Perplexity at equal parameters",
    ]
    claims = [claim for section in report.sections for claim in section.claims]
    assert not [one for one in claims if "active at" in one.statement], "active has another limit for each kind"
    assert len(claims) == 6 and {one.verdict for one in claims} <= {"shown", "contradicted", "undecided"}
    assert all(spec(chart) for section in report.sections for chart in section.charts)


def test_a_page_to_give_away_has_no_map_of_a_sentence(softmax_study: Results) -> None:
    report = report_of(softmax_study)
    given = report.without_text()
    gone = set(report.charts) - set(given.charts)
    assert gone == {name for name in report.charts if name.startswith("softmax-map-")} and len(gone) >= 3


def test_no_verdict_on_architectures_is_said(softmax_study: Results) -> None:
    section = report_of(softmax_study).sections[-1]
    assert any("No verdict on architectures" in note for note in section.notes)
    assert all("these models" in claim.statement for claim in section.claims)
