"""Text in CSV: nothing is run, nothing is lost."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffmem.csv_text import harmless, read_csv, unharmed, write_csv

TEXTS = st.text() | st.sampled_from(["=1+1", "'=1", "''@x", "-", "\t=", "\r\n=", "'plain", 'a,b;c\t"d"', "\0"])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1))
def test_rows_come_back_and_no_field_begins_as_a_formula(rows: list[tuple[str, str]]) -> None:
    written = write_csv([{"one": a, "two": b} for a, b in rows], ("one", "two"), ("one", "two"))
    seen = list(csv.reader(io.StringIO(written.decode("utf-8-sig"), newline="")))[1:]
    assert not [field for row in seen for field in row if field[:1] in ("=", "+", "-", "@", "\t", "\r")]
    assert [(row["one"], row["two"]) for row in read_csv(written.decode("utf-8-sig"), ("one", "two"))] == rows


@given(TEXTS)
def test_harmless_is_undone(text: str) -> None:
    assert unharmed(harmless(text)) == text


def test_what_spreadsheets_save_is_read() -> None:
    assert read_csv("Cell;Text\r\nL0.1;a, b\r\n\r\n", ()) == [{"cell": "L0.1", "text": "a, b"}]
    assert read_csv("cell\ttext\nL0.1\n", ()) == [{"cell": "L0.1"}]
    for wrong in ("a,a\n1,2\n", "a,b\n1,2,3\n", 'a,b\n"1,2\n'):
        with pytest.raises((ValueError, csv.Error)):
            read_csv(wrong, ())
    assert csv.field_size_limit() == 131072
