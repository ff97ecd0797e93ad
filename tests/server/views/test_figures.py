"""The studies beside an index: their numbers as charts, tables and JSON; and a report's words shown as text."""

import csv
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given

import ffmem
from ffmem import Index, InputError
from ffmem.server.explorer import Explorer
from ffmem.server.links import Links
from ffmem.server.pages import render
from ffmem.server.views.figures import (
    FiguresView,
    figure_image,
    figure_spec,
    figure_table,
    figures_view,
    patterns_table,
)
from ffmem.studies.exhibit import Chart, Claim, Number, Table
from ffmem.studies.report import Report, Section
from ffmem.studies.verdicts import Test
from tests.server.conftest import LABELS, PATTERNS
from tests.server.page import FEW, HOSTILE, Element, assert_sound, shape


def drawn(explorer: Explorer, view: FiguresView) -> Element:
    return assert_sound(render("figures.html", Links(), explorer=explorer, here="/figures", view=view))


def test_a_chart_holds_the_numbers_of_the_study(explained: Explorer) -> None:
    text = figure_table(explained, "labels").decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {(row["name"], row["series"]): float(row["value"]) for row in rows} == {
        (layer, label): value for layer, labels in LABELS.items() for label, value in labels.items()
    }
    assert {float(row["high"]) - 2 * float(row["low"]) for row in rows} == {0.0}
    drawn_from = json.dumps(figure_spec(explained, "labels"))
    for name, value in (("L0", 0.625), ("L2", 0.375)):
        assert f'"name": "{name}"' in drawn_from and str(value) in drawn_from
    picture = figure_image(explained, "labels")
    assert picture.startswith(b"<svg") and b"not-covered" in picture
    assert figure_image(explained, "labels") is picture


def test_the_page_and_the_json_have_the_same_numbers(explained: Explorer) -> None:
    view = figures_view(explained)
    told, page = view.to_json(), drawn(explained, view)
    assert told["why"] == "" and [one["study"] for one in told["studies"]] == ["geva2021"]
    assert told["figures"] == [one.attributes["src"][9:-4] for one in page.all("img")] == ["labels", "pattern-kinds"]
    rows = page.one("section", aria_labelledby="numbers-title").rows()
    assert [row[1] for row in rows] == [one["quantity"] for one in told["numbers"]]
    semantic = {row[1]: row[3] for row in rows if "semantic" in row[1]}
    assert semantic == {
        "triggers with a semantic pattern, lowest third": "12.5 %",
        "triggers with a semantic pattern, highest third": "37.5 %",
    }
    for chart in page.all("figure"):
        name = chart.one("img").attributes["src"][9:-4]
        assert [one.attributes["href"] for one in chart.all("a")] == [
            f"/figures/{name}.{form}" for form in ("svg", "png", "csv", "json")
        ]


def test_a_layers_patterns_are_the_table_that_the_study_wrote(explained: Explorer) -> None:
    assert patterns_table(explained, "L1") == PATTERNS.encode()
    for name in ("L0", "L7", "../study", "L1.csv", ""):
        with pytest.raises(InputError, match="there is no table"):
            patterns_table(explained, name)


def test_what_is_not_there_is_refused_with_what_is(explained: Explorer) -> None:
    for ask in (figure_spec, figure_image):
        with pytest.raises(InputError, match=r"no figure 'nothing'.*Expected one of: labels, pattern-kinds"):
            ask(explained, "nothing")
    key = explained.studies.results[0].key
    with pytest.raises(InputError, match=rf"no results 'other'.*Expected one of: {key}"):
        figures_view(explained, "other")
    assert figures_view(explained, key).report is figures_view(explained).report


def test_without_a_study_there_are_no_figures(index_of: Callable[[str], Index]) -> None:
    explorer = Explorer(index_of("gpt2"))
    view = figures_view(explorer)
    assert view.report is None and view.to_json()["figures"] == []
    assert f"ffmem reproduce {explorer.index.folder}" in drawn(explorer, view).text
    with pytest.raises(InputError, match="none yet"):
        figure_spec(explorer, "labels")
    with pytest.raises(InputError, match="no table 'labels'"):
        figure_table(explorer, "labels")


def test_damaged_results_are_told_of_in_the_page(explained: Explorer, tmp_path: Path) -> None:
    shutil.copytree(explained.index.folder, tmp_path / "index")
    explorer = Explorer(ffmem.open_index(tmp_path / "index"))
    (path,) = (tmp_path / "index").glob("results/*/patterns.json")
    path.write_text(path.read_text()[:-40])
    view = figures_view(explorer)
    assert view.report is None and "patterns.json is damaged" in view.why and view.why in drawn(explorer, view).text


def report(text: str, key: str = "0123456789ab") -> Report:
    """A report of which every word is the same."""
    section = Section(
        name=text,
        title=text,
        question=text,
        definition=text,
        conclude=text,
        reading=text,
        sample=text,
        numbers=(Number(text, text, 0.25, unit=""),),
        claims=(Claim(text, Test(0.5, 0.1, 10, 0.001, 1.0), text, "shown"),),
        charts=(Chart("labels", f"a {text}", "shares", [], "y"),),
        tables=(Table("t", f"a {text}", ("c",), [{"c": text}, {"c": 1234}, {"c": 0.123456}, {"c": None}]),),
        notes=(text,),
    )
    whole = replace(section, name="Figure 2", title="of its own")
    return Report(
        "s", key, text, text, {}, text, text, text, text, text, ((text, text),), (text,), (section, whole), ()
    )


def test_words_of_a_report_stay_text(explained: Explorer) -> None:
    results = explained.studies.results
    expected = shape(drawn(explained, FiguresView("", report("x"), results)))

    @FEW
    @given(text=HOSTILE.filter(str.strip))  # no exhibit is without a name
    def check(text: str) -> None:
        page = drawn(explained, FiguresView("", report(text), results))
        assert shape(page) == expected
        tables = page.all("div", aria_label=f"a {text}")
        assert [[one.text for one in table.all("td")] for table in tables] == [[text, "1,234", "0.1235", ""]] * 2
        assert [one.text for one in page.by_id("shapes").all("td")][:4] == [text, text, "shown", text]
        assert page.all("dl", class_="facts")[-1].one("dd").text == text

    check()


def test_a_chart_of_another_study_is_asked_for_with_its_key(explained: Explorer) -> None:
    results = explained.studies.results
    page = drawn(explained, FiguresView("", report("x"), results))
    sources = {one.attributes["src"] for one in page.all("img")}
    assert sources == {"/figures/labels.svg?study=0123456789ab"}
    first = drawn(explained, FiguresView("", report("x", results[0].key), results))
    assert {one.attributes["data-spec"] for one in first.all("img")} == {"/figures/labels.json"}
