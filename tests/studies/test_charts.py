"""Charts as data become pictures and tables."""

from typing import Any

import pytest

pytest.importorskip("altair", reason="needs the extra report")

from ffmem.studies.charts import csv_rows, png, spec, svg
from ffmem.studies.exhibit import Chart

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


def test_lines_leave_out_what_has_no_value() -> None:
    assert [(row["layer"], row["series"]) for row in csv_rows(chart("lines"))] == [(0, "a"), (0, "b")]
    below = Chart("c", "caption", "lines", [LINE, LINE | {"value": 0.0}], "y", log=True)
    assert csv_rows(below) == [LINE]  # a logarithm has no place for it


def test_shares_are_stacked_in_their_order() -> None:
    assert [row["order"] for row in csv_rows(chart("shares"))] == [0, 1]
    assert [row["order"] for row in csv_rows(chart("shares", order=("b", "a")))] == [1, 0]
