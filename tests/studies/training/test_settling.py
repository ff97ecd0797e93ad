"""The picture of what settles when has every series there is."""

from ffmem.studies.report import Report


def test_each_that_there_is_has_its_line(report: Report) -> None:
    chart = report.charts["settled"]
    assert {row["series"] for row in chart.rows} == {"triggers", "agreement"}
    triggers = [row for row in chart.rows if row["series"] == "triggers" and row["panel"] == "L1"]
    assert [row["middle"] for row in triggers] == [0, 10, 100, 1000] and triggers[-1]["value"] == 1
    (section,) = (one for one in report.sections if one.name == "Settling")
    assert "triggers by step" in section.reading and "agreement by step" in section.reading
