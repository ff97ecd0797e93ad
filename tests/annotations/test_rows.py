"""Rows as CSV and back: against the csv module of Python and texts that a spreadsheet would run."""

import csv
import io

import pytest

from ffmem import InputError
from ffmem.annotations.rows import SHEET, Row, numbers_of, to_csv


def read_back(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def test_rows_come_back() -> None:
    rows = [
        {"cell": "1", "text": 'a "quoted", text\nof two lines'},
        {"cell": "2", "text": "日本語 😀", "class": "shallow"},
    ]
    data = to_csv(rows, SHEET)
    assert data.startswith(b"\xef\xbb\xbf")  # without it a spreadsheet takes UTF-8 for something else
    assert read_back(data) == [dict.fromkeys(SHEET, "") | row for row in rows]


@pytest.mark.parametrize("start", ["=", "+", "-", "@"])
def test_what_looks_like_a_formula_is_no_formula(start: str) -> None:
    (row,) = read_back(to_csv([{"cell": "1", "text": f"{start}1+1"}], SHEET))
    assert row["text"] != f"{start}1+1" and row["text"].endswith(f"{start}1+1")
    assert not row["text"].startswith(("=", "+", "-", "@"))


@pytest.mark.parametrize(
    ("text", "numbers"), [("1, 2;3", ["1", "2", "3"]), ("", []), (" ;, ", []), ("12 x", ["12", "x"])]
)
def test_lists_of_numbers(text: str, numbers: list[str]) -> None:
    assert numbers_of(text) == numbers


@pytest.mark.parametrize(("text", "number"), [("7", 7), (" -3 ", -3), ("007", 7), ("9" * 15, int("9" * 15))])
def test_whole_numbers(text: str, number: int) -> None:
    assert Row("row 2 of a.csv", {"cell": text}).number("cell") == number


@pytest.mark.parametrize("text", ["", "1.0", "1e3", "٣", "9" * 16, "one", "--1"])
def test_what_is_no_whole_number_is_refused_where_it_stands(text: str) -> None:
    with pytest.raises(InputError) as raised:
        Row("row 2 of a.csv", {"cell": text}).number("cell")
    assert raised.value.got == f"row 2 of a.csv: its cell is {text!r}"
    assert raised.value.expected == "Expected a whole number"
    assert raised.value.mend == "Write the number that the sheet had there, and import the file again"
