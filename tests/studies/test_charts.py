"""Charts as data become pictures and tables."""

import re
from importlib.resources import files
from typing import Any

import pytest

pytest.importorskip("altair", reason="needs the extra report")

from ffmem.studies.charts import MEANING, csv_rows, png, spec, svg
from ffmem.studies.exhibit import Chart
from tests.server.files import marks_of, numbers_of

LINE = {"layer": 0, "name": "L0", "series": "a", "value": 0.5, "low": 0.25, "high": 0.75, "n": 4}
ROWS: dict[str, list[dict[str, Any]]] = {
    "lines": [
        LINE,
        LINE | {"layer": 1, "name": "L1", "value": None, "low": None, "high": None},
        LINE | {"series": "b"},
    ],
    "boxes": [{"layer": 0, "name": "L0", "q5": 0, "q25": 1, "q50": 2, "q75": 3, "q95": 4}],
    "shares": [LINE, LINE | {"series": "b"}],
    "bars": [{"category": "x", "value": 1.0, "low": 0.5, "high": 1.5, "n": 3}],
    "points": [
        {"middle": 0.1, "from": 0.05, "to": 0.2, "series": "a", "value": 0.5, "low": 0.25, "high": 0.75, "n": 4}
    ],
}


def chart(form: Any, **more: Any) -> Chart:
    return Chart("c", "caption", form, ROWS[form], "y", **more)


@pytest.mark.parametrize("form", ROWS)
def test_every_form_is_drawn_from_its_rows(form: str) -> None:
    drawn = spec(chart(form))
    assert drawn["$schema"].endswith(".json") and "layer" in drawn
    picture = svg(spec(chart(form)))
    assert "<svg" in picture[:200] and png(picture).startswith(b"\x89PNG")


def test_places_that_are_no_layers_have_their_names_on_the_axis() -> None:
    rows = [LINE | {"name": "enc.embeddings"}, LINE | {"layer": 1, "name": "enc.L0"}]
    named = svg(spec(Chart("c", "caption", "lines", rows, "y", x_title="place")))
    assert ">enc.embeddings<" in named and ">enc.L0<" in named and ">place<" in named
    assert "enc.embeddings<" not in svg(spec(Chart("c", "caption", "lines", rows, "y")))


def test_lines_leave_out_what_has_no_value() -> None:
    assert [(row["layer"], row["series"]) for row in csv_rows(chart("lines"))] == [(0, "a"), (0, "b")]
    below = Chart("c", "caption", "lines", [LINE, LINE | {"value": 0.0}], "y", log=True)
    assert csv_rows(below) == [LINE]  # a logarithm has no place for it


def test_shares_are_stacked_in_their_order() -> None:
    assert [row["order"] for row in csv_rows(chart("shares"))] == [0, 1]
    assert [row["order"] for row in csv_rows(chart("shares", order=("b", "a")))] == [1, 0]


def test_a_label_has_its_colour_wherever_it_stands() -> None:
    drawn = spec(_labels("lines", "not-covered"))
    assert _colours(drawn) == {"not-covered": "#B9C0C7", "semantic": "#009E73"}
    assert _colours(spec(_labels("shares", "shallow"))) == {"shallow": "#0072B2", "semantic": "#009E73"}


def _labels(form: str, first: str) -> Chart:
    return Chart("c", "caption", form, [LINE | {"series": first}, LINE | {"series": "semantic"}], "y")  # type: ignore[arg-type]


def _colours(drawn: Any) -> dict[str, str]:
    scale = drawn["layer"][-1]["encoding"]["color"]["scale"]
    return dict(zip(scale["domain"], scale["range"], strict=True))


@pytest.mark.parametrize(
    ("meaning", "variable"),
    [("amount", "c1"), ("trigger", "c2"), ("adds", "c3"), ("takes", "takes"), ("shallow", "c1"), ("shallow+semantic", "c2"),
     ("semantic", "c3"), ("not-covered", "c4")],
)  # fmt: skip
def test_a_colour_means_the_same_on_pages(meaning: str, variable: str) -> None:
    sheet = files("ffmem.server").joinpath("static/explorer.css").read_text("utf-8")
    light = re.search(rf"--{variable}: light-dark\((#\w+), #\w+\)", sheet)
    assert light and light[1].upper() == MEANING[meaning].upper()


def _boxes(rows: list[tuple[str, str, float]]) -> list[tuple[Any, ...]]:
    drawn = [{"panel": "", "row": row, "column": column, "value": value, "label": ""} for row, column, value in rows]
    marks = marks_of(svg(spec(Chart("h", "caption", "heat", drawn, "", ""))).encode())
    return numbers_of(marks, "row", "column", "number")


def test_every_box_of_a_heat_map_is_there_in_its_order() -> None:
    rows = [("L1", "1 b", 0.5), ("L1", "0 a", -1 / 7), ("L0", "1 b", 0.0), ("L0", "0 a", 1e-9)]
    assert _boxes(rows) == rows


def test_a_spread_has_the_numbers_of_its_bins_at_their_edges() -> None:
    bins = [(None, 0.5, 9), (0.5, 1.0, 0), (1.0, None, 100)]
    rows = [{"low": low, "high": high, "n": n, "n_triggers": n // 100} for low, high, n in bins]
    picture = svg(spec(Chart("s", "caption", "spread", rows, "sentences", "coefficient", line=2.5)))
    assert numbers_of(marks_of(picture.encode()), "low", "high", "n") == bins
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", picture)
    assert {"0", "0.5", "1", "\u221e", "10", "100"} <= set(texts)
    assert [MEANING["amount"] in picture, MEANING["trigger"] in picture] == [True, True]


def test_bars_below_0_have_the_colour_of_what_takes_away() -> None:
    rows = [{"panel": "p", "category": name, "series": "amount", "value": value, "percent": False}
            for name, value in (("a", 1.5), ("b", -2.0))]  # fmt: skip
    picture = svg(spec(Chart("p", "caption", "panels", rows, "", "")))
    found = dict(re.findall(r'aria-label="[^"]*category: (\w)[^"]*"[^>]*fill="(#\w+)"', picture))
    assert {name: colour.upper() for name, colour in found.items()} == {"a": MEANING["adds"], "b": MEANING["takes"]}


def test_courses_are_panels_over_steps_that_may_begin_at_0() -> None:
    point = {"panel": "L0", "middle": 0.0, "series": "a", "value": 0.5, "low": 0.25, "high": 0.75, "n": 4}
    steps = (0.0, 10.0, 100.0, 3600.0)
    rows = [point | {"panel": panel, "middle": step} for panel in ("L0", "L1", "L10") for step in steps]
    drawn = spec(Chart("c", "caption", "courses", rows, "share", x_title="step"))
    assert drawn["facet"]["sort"] == ["L0", "L1", "L10"]
    x = drawn["spec"]["layer"][1]["encoding"]["x"]
    assert x["scale"] == {"type": "symlog", "constant": 10.0, "nice": False} and x["axis"]["values"] == [
        0,
        1,
        10,
        100,
        1000,
    ]
    picture = svg(drawn)
    assert all(f">{text}<" in picture for text in ("L0", "L1", "L10", "step", "share", "1,000"))
    assert png(picture).startswith(b"\x89PNG")
    numbered = [one | {"middle": float(steps.index(one["middle"]))} for one in rows]
    plain = spec(Chart("c", "caption", "courses", numbered, "share", x_title="moment"))
    assert "type" not in plain["spec"]["layer"][1]["encoding"]["x"]["scale"]
    assert spec(Chart("c", "caption", "courses", [], "share"))["facet"]["sort"] == []
