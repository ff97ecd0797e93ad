"""A report is all that its readers show."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from ffmem.ids import CellId
from ffmem.store.label_rows import NewLabel
from ffmem.studies.exhibit import Chart, Table
from ffmem.studies.report import Beside, Section, _with_controls
from ffmem.studies.verdicts import Verdict
from tests.fixtures.made_index import Document, Layer, make_index
from tests.studies.conftest import Story


def test_it_has_every_exhibit_once_with_all_its_words(story: Story) -> None:
    names = [one.name for one in story.report.sections]
    assert names == [
        *("Figure 2", "Section 3", "Section 3"),
        *(f"Figure {number}" for number in (3, 4, 5, 6)),
        "Table 2",
        "Figure 7",
        "Figure 8",
        "Section 5.1",
        *(f"Figure {number}" for number in (9, 10, 11)),
        "Section 5.2",
        *("Addition", "Addition", "Addition"),
    ]
    anchors = [one.anchor for one in story.report.sections]
    assert len(set(anchors)) == len(anchors) and "figure-9-when-the-prediction-is-there" in anchors
    assert [one.short for one in story.report.sections][-1] == "Where the parameters are"
    for one in story.report.sections:
        for text in (one.title, one.question, one.definition, one.conclude, one.reading, one.sample):
            assert text == " ".join(text.split()) and text
        assert "nan" not in one.reading


def test_no_chart_and_no_table_write_the_same_file(story: Story) -> None:
    files = [one.name for section in story.report.sections for one in (*section.charts, *section.tables)]
    assert len(set(files)) == len(files)


def test_numbers_and_claims_name_their_exhibits(story: Story) -> None:
    numbers, claims = story.report.numbers, story.report.claims
    assert len({(name, one.quantity) for name, one in numbers}) == len(numbers) >= 35
    assert {name for name, _ in numbers} >= {"Figure 3", "Figure 4", "Figure 7", "Figure 11", "Table 2", "Section 5.1"}
    assert len(claims) >= 10 and {one.verdict for _, one in claims} <= {"shown", "contradicted", "undecided"}
    assert story.report.key == story.results.key
    assert set(dict(story.report.costs)) == set(story.findings.values) - {"elimination-cases"}


def test_a_page_to_give_away_quotes_no_text(story: Story) -> None:
    assert {"elimination-cases", "strongest-values"} <= set(story.report.tables)
    given = story.report.without_text()
    assert "elimination-cases" not in given.tables and "strongest-values" in given.tables
    assert given.numbers == story.report.numbers and given.charts == story.report.charts


def test_tables_of_cells_have_their_names(story: Story, tmp_path: Path) -> None:
    index = make_index(tmp_path / "i", [Document([["a", " b"]])], [Layer(np.array([[1, 1], [2, 3]]))])
    rows = [
        {"rank": 1, "cell": "L0.1", "score": 5},
        {"rank": 2, "cell": "L0.0", "score": 4},
        {"rank": 3, "cell": "?", "score": 3},
    ]
    table, other = Table("t", "", ("rank", "cell"), rows), Table("o", "", ("rank",), rows)
    section = replace(story.report.sections[0], tables=(table, other))
    report = replace(story.report, sections=(section,))
    assert report.named(index.names) == report
    index.names.add([NewLabel(CellId(0, 1), 1, "human", "rivers"), NewLabel(CellId(0, 0), 1, "lm", "a guess")])
    named, untouched = report.named(index.names).sections[0].tables
    assert named.columns == ("rank", "cell", "name") and untouched == other
    assert [list(row.items()) for row in named.rows] == [
        [("rank", 1), ("cell", "L0.1"), ("name", "rivers (by hand)"), ("score", 5)],
        [("rank", 2), ("cell", "L0.0"), ("name", ""), ("score", 4)],
        [("rank", 3), ("cell", "?"), ("name", ""), ("score", 3)],
    ]


def test_what_an_untrained_model_shows_as_well_says_nothing(story: Story) -> None:
    (item, claim), *_ = [(item, one) for item, one in story.report.claims]
    ours = replace(claim, verdict="shown", test=replace(claim.test, effect=0.1))
    faint, clear = (replace(ours, test=replace(ours.test, effect=effect)) for effect in (0.019, 0.021))
    beside = {
        "untrained": Beside("untrained", "", True, {}, {(item, claim.statement): ours}),
        "shuffled": Beside("shuffled", "", False, {}, {(item, claim.statement): ours}),
        "undecided": Beside("undecided", "", True, {}, {(item, claim.statement): replace(claim, verdict="undecided")}),
        "silent": Beside("silent", "", True, {}, {}),
        "faint": Beside("faint", "", True, {}, {(item, claim.statement): faint}),
        "clear": Beside("clear", "", True, {}, {(item, claim.statement): clear}),
    }

    def also(*names: str, verdict: Verdict = "shown") -> list[str]:
        report = replace(story.report, controls=tuple(beside[name] for name in names))
        return report.also_shown_by(item, replace(ours, verdict=verdict))

    assert also("untrained", "shuffled", "undecided", "silent") == ["untrained"]
    assert also("shuffled", "undecided", "silent") == []
    assert also("faint", "clear") == ["clear"]
    assert also("untrained", verdict="contradicted") == also("untrained", verdict="undecided") == []


def test_a_control_charts_stand_after_its_model_chart_on_one_scale() -> None:
    def section(value: float) -> Section:
        row = {"layer": 0, "name": "L0", "series": "s", "value": value, "low": value - 0.1, "high": value + 0.1}
        lines = Chart("a", "A chart.", "lines", [row], "y")
        shares = Chart("b", "Another.", "shares", [row], "y")
        return Section("Figure 1", "t", "q", "d", "c", "r", "s", (), (), (lines, shares), (), ())

    joined = _with_controls(section(0.5), {"untrained": [section(0.9)], "other": []})
    assert [(one.name, one.beside) for one in joined.charts] == [
        *(("a", ""), ("a-untrained", "a")),
        *(("b", ""), ("b-untrained", "b")),
    ]
    assert joined.charts[0].extent == joined.charts[1].extent == (0.0, 1.0)
    assert joined.charts[2].extent is None  # shares fill their axis anyway
    assert _with_controls(section(0.5), {}) == section(0.5)
