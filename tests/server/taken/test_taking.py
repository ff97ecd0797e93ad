"""A table as files: what is written comes back, and no spreadsheet runs it."""

import json

import pytest

pytest.importorskip("altair", reason="needs the extra report")

from ffmem.cell import Name
from ffmem.errors import InputError
from ffmem.ids import CellId
from ffmem.server.taken.taking import Taken, bars, named, numbered, visible
from ffmem.studies.exhibit import Chart
from tests.server.files import marks_of, numbers_of, table_of

ROWS = (
    {"cell": CellId(9, 12), "token": "=1+1", "number": 0.1 + 0.2, "promotes": ("a", "b"), "rank": 3},
    {"cell": CellId(0, 0), "token": 'a "quoted"\nline, and a comma', "number": None, "promotes": (), "rank": 0},
    {"cell": CellId(1, 0), "token": "-2", "number": -1e-9, "promotes": ("x",)},
)
TAKEN = Taken("t", ("cell", "token", "number", "promotes", "rank"), ROWS)


def test_csv_has_every_digit_and_no_formula() -> None:
    found = table_of(TAKEN.file("csv"))
    assert numbers_of(found, "cell", "number", "rank") == [
        ("L9.12", 0.1 + 0.2, 3.0),
        ("L0.0", None, 0.0),
        ("L1.0", -1e-9, None),
    ]
    assert [one["token"] for one in found] == ["'=1+1", 'a "quoted"\nline, and a comma', "'-2"]
    assert [one["promotes"] for one in found] == ["a b", "", "x"]


def test_json_has_the_same_rows_as_values() -> None:
    told = json.loads(TAKEN.file("json"))
    assert told["columns"] == list(TAKEN.columns) and told["name"] == "t"
    assert told["rows"][0] == {"cell": "L9.12", "token": "=1+1", "number": 0.1 + 0.2, "promotes": ["a", "b"], "rank": 3}
    assert told["rows"][2]["rank"] is None


def test_a_table_without_rows_has_its_head() -> None:
    assert Taken("t", ("a", "b"), ()).file("csv").decode("utf-8-sig") == "a,b\r\n"


def test_only_what_is_drawn_has_a_picture() -> None:
    with pytest.raises(InputError, match="no picture of 't'"):
        TAKEN.file("svg")
    drawn = bars([("L0 <b>&", 0.25), ("L1", -1 / 3)], panel="p")
    chart = Chart("c", "caption", "panels", drawn, "", "")
    picture = Taken("c", (), (), chart).file("svg")
    assert numbers_of(marks_of(picture), "category", "number") == [("L0 <b>&", 0.25), ("L1", -1 / 3)]
    assert Taken("c", (), (), chart).file("png").startswith(b"\x89PNG\r\n")


def test_tokens_are_told_apart_and_special_ones_have_no_number() -> None:
    assert numbered(["<s>", " a", " a", "</s>"], 1, 2) == ["(0) <s>", "0 ·a", "1 ·a", "(3) </s>"]
    assert numbered(["b", "b"]) == ["0 b", "1 b"]
    assert [visible(one) for one in (" \n", "", "\x07", "\u202ex")] == ["·⏎", "(empty)", "\\x07", "\\x202ex"]


def test_a_cell_without_a_name_has_none_in_a_table() -> None:
    assert named(None) is None and named(Name("rivers", "human", "by hand")) == "rivers"
