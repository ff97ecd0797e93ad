"""Rows of a query as a table and as CSV."""

import csv
import io
from pathlib import Path

from ffmem.queries import RELATIONS, Exported, QueryResult
from ffmem.render.tables import exported, query, query_csv, views

ROWS = (("L0.1", 0.123456789, None), ("L10.22", 2.0, "a\nb, " + "x" * 70))
FOUND = QueryResult(("cell", "mean", "text"), ("VARCHAR", "DOUBLE", "VARCHAR"), ROWS, True)


def test_a_table_has_numbers_to_the_right_and_says_when_it_is_cut() -> None:
    lines = query(FOUND).split("\n")
    assert lines[0].split() == ["cell", "mean", "text"] and set(lines[1]) == {"-", " "}
    assert lines[2] == "L0.1    0.123457"  # nothing behind the last value
    assert lines[3] == "L10.22         2  a b, " + "x" * 54 + "…"
    assert lines[4] == "(2 rows; there are more: --limit)"
    assert query(QueryResult(("n",), ("INTEGER",), (), False)).endswith("(0 rows)")


def test_csv_reads_back_as_it_was() -> None:
    head, *rows = csv.reader(io.StringIO(query_csv(FOUND)))
    assert tuple(head) == FOUND.columns
    assert rows == [["L0.1", "0.123456789", ""], ["L10.22", "2.0", ROWS[1][2]]]


def test_views_and_exports() -> None:
    assert all(f"{relation.name}: a row is {relation.row}" in views().split("\n") for relation in RELATIONS)
    shown = exported(Exported(Path("out"), {"cells": 12345}, 2_500_000))
    assert shown == "out: 2.5 MB\n  cells.parquet" + " " * 7 + "       12,345 rows"
