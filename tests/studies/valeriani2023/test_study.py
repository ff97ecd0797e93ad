"""The study as a user runs it: controls beside it, judged claims, charts that can be drawn."""

from ffmem.studies.charts import spec
from ffmem.studies.report import report_of
from ffmem.studies.results import Results
from ffmem.studies.runner import findings_of


def test_controls_stand_beside_and_claims_are_judged(measured: Results) -> None:
    findings, report = findings_of(measured), report_of(measured)
    assert set(findings.controls) == {"untrained", "shuffled"} and not findings.controls_missing
    assert {one.name for one in report.sections} <= {"Dimension", "Topics", "Neighbours", "Scales", "Cells"}
    assert {"Dimension", "Topics", "Cells"} <= {one.name for one in report.sections}
    assert {claim.verdict for _, claim in report.claims} <= {"shown", "contradicted", "undecided"}
    assert dict(report.facts)["labels"] == "3 values of topic"
    series = {row["series"] for row in report.charts["dimension"].rows}
    assert {"sentences", "shuffled words", "untrained model", "shuffled model"} <= series
    for chart in report.charts.values():
        assert spec(chart)


def test_two_stacks_are_told_apart_and_topics_left_out(two_stacks: Results) -> None:
    report = report_of(two_stacks)
    series = {row["series"] for row in report.charts["dimension"].rows}
    assert {"sentences, enc", "sentences, dec"} <= series
    assert any("(the decoder)" in number.quantity for _, number in report.numbers)
    assert any(one.startswith("Topics") for one in report.left_out)
