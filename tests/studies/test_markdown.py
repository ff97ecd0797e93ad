"""Reports side by side."""

from dataclasses import replace

from ffmem.studies.exhibit import Claim, Number
from ffmem.studies.markdown import claims_table, costs_table, markdown, numbers_table, report_as_markdown
from ffmem.studies.report import Report, Section
from ffmem.studies.verdicts import Test

SECTION = Section(
    "Figure 1",
    "t",
    "q",
    "d",
    "c",
    "r",
    "s",
    (Number("a | b", "5 %", 0.5),),
    (Claim("it holds", Test(1, 0.1, 40, 1e-9, 1), "5 > 4", "shown"),),
    (),
    (),
    (),
)
REPORT = Report(
    study="toy",
    key="k",
    model="m",
    corpus="c",
    options={},
    kicker="kick",
    paper="paper",
    title="one",
    intro="i",
    note="n",
    facts=(),
    left_out=(),
    sections=(SECTION,),
    costs=(("a", 1200.4), ("b", 0.6)),
)
OTHER = replace(
    REPORT,
    title="two",
    costs=(("b", 3.0),),
    sections=(replace(SECTION, numbers=(Number("a | b", "5 %", 0.25), Number("new", "-", 2, unit="")), claims=()),),
)


def test_what_one_report_lacks_is_a_dash() -> None:
    assert numbers_table([REPORT, OTHER]) == [
        ("", "quantity", "paper", "one", "two"),
        ("Figure 1", "a | b", "5 %", "50.0 %", "25.0 %"),
        ("Figure 1", "new", "-", "-", "2"),
    ]
    assert claims_table([REPORT, OTHER])[1:] == [("Figure 1", "it holds", "shown", "-")]
    assert claims_table([REPORT], why=True)[1:] == [("Figure 1", "it holds", "shown: 5 > 4")]
    assert costs_table([REPORT, OTHER])[1:] == [("a", "1,200", "-"), ("b", "1", "3"), ("all", "1,201", "3")]


def test_a_bar_in_a_cell_ends_no_cell() -> None:
    lines = markdown(numbers_table([REPORT])).splitlines()
    assert lines[1] == "| --- | --- | --- | --- |" and lines[2] == "| Figure 1 | a \\| b | 5 % | 50.0 % |"


def test_a_document_has_all_parts_that_there_are() -> None:
    assert report_as_markdown([REPORT]).count("\n## ") + 1 == 3
    assert "What the paper saw" not in report_as_markdown([OTHER])
