"""`ffmem query` and `ffmem export`, on an index whose numbers are known."""

import csv
import io
import json
from pathlib import Path

import pytest

from ffmem import InputError
from ffmem.queries.relations import RELATIONS
from tests.cli.typed import typed
from tests.fixtures.made_index import Document, Layer, make_index

pytest.importorskip("duckdb", reason="the extra sql is not installed")
SQL = 'select cell, maximum, n_active from cells order by "index"'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    documents = [Document([["a, b", " c"], ['"q"']])]
    return make_index(tmp_path / "i", documents, [Layer([[1, -1, 2.5], [0, -2, 5], [3, -1, 0]])]).folder


def test_a_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    typed("query", folder, SQL)
    out, error = capsys.readouterr()
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["cell", "maximum", "n_active"] and error == ""
    assert lines[2:] == [["L0.0", "3", "2"], ["L0.1", "-1", "0"], ["L0.2", "5", "2"], ["(3", "rows)"]]


def test_json_has_types_and_csv_can_be_read_back(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    typed("query", folder, "select sentence_id, text, held_out from sentences", "--format", "json")
    found = json.loads(capsys.readouterr().out)
    assert found["columns"] == ["sentence_id", "text", "held_out"] and found["types"] == [
        "INTEGER",
        "VARCHAR",
        "BOOLEAN",
    ]
    assert found["rows"] == [[0, "a, b c", False], [1, '"q"', False]] and found["is_cut"] is False
    typed("query", folder, "select text, sentence_id, null as nothing from sentences", "--format", "csv")
    out = capsys.readouterr().out
    rows = list(csv.reader(io.StringIO(out.removesuffix("\n"))))
    assert rows == [["text", "sentence_id", "nothing"], ["a, b c", "0", ""], ['"q"', "1", ""]]


@pytest.mark.parametrize(("form", "told_in"), [("table", "out"), ("json", "err"), ("csv", "err")])
def test_that_there_are_more_rows_is_told_where_it_does_no_harm(
    folder: Path, capsys: pytest.CaptureFixture[str], form: str, told_in: str
) -> None:
    typed("query", folder, SQL, "--format", form, "--limit", 2)
    shown = capsys.readouterr()
    assert "more" in getattr(shown, told_in) and "--limit" in getattr(shown, told_in)
    assert "L0.1" in shown.out and "L0.2" not in shown.out
    typed("query", folder, SQL, "--format", form, "--limit", 3)
    shown = capsys.readouterr()
    assert "more" not in shown.out + shown.err


def test_views_are_listed_and_nothing_is_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    typed("query", folder, "no sql at all", "--views")
    shown = capsys.readouterr().out
    assert all(f"{one.name}: a row is {one.row}" in shown for one in RELATIONS)
    assert all(column.name in shown for one in RELATIONS for column in one.columns)


def test_what_a_user_can_mend(folder: Path) -> None:
    with pytest.raises(InputError) as error:
        typed("query", folder)
    assert str(error.value) == (
        "no statement is given. Expected SQL after the folder, or --views. "
        'Write: ffmem query DIR "select layer, avg(active_fraction) from cells group by layer".'
    )
    with pytest.raises(InputError, match=r"--format is 'xml'\. Expected one of: table, json, csv"):
        typed("query", folder, SQL, "--format", "xml")
    with pytest.raises(InputError, match=r"ran for more than 0\.2 s"):
        typed("query", folder, "select count(*) from range(1000000000) a, range(1000) b", "--timeout-s", "0.2")


def test_an_export_and_what_is_told_of_it(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pq = pytest.importorskip("pyarrow.parquet", reason="the extra parquet is not installed")
    typed("export", folder, "--parquet", tmp_path / "out")
    out, progress = capsys.readouterr()
    assert progress.splitlines() == [f"writing {one.name}.parquet" for one in RELATIONS]
    assert out.splitlines()[0].startswith(f"{tmp_path / 'out'}: ") and "cells.parquet" in out
    assert pq.read_table(tmp_path / "out" / "cells.parquet")["maximum"].to_pylist() == [3.0, -1.0, 5.0]
    typed("export", folder, "--parquet", tmp_path / "again", "--json")
    shown = capsys.readouterr()
    assert json.loads(shown.out)["n_rows"]["triggers"] == 3 and shown.err == ""
