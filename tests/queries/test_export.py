"""An export: what it wrote, as other libraries read it; and that it is whole or absent."""

import csv
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from ffmem import Index, InputError, StoreError, queries
from ffmem.ids import LayerCells
from ffmem.queries.relations import RELATIONS
from tests.fixtures.made_index import Document, Layer, make_index

pq = pytest.importorskip("pyarrow.parquet", reason="the extra parquet is not installed")

TABLE = np.array([[1, -1, 5], [2, -1, 3], [4, -1, 0]])


@pytest.fixture
def index(tmp_path: Path) -> Index:
    documents = [Document([["a", "b"], ["é"]], "one", {"year": 1900}), Document([["b"]], "two", held_out=True)]
    return make_index(tmp_path / "i", documents, [Layer(TABLE), Layer(TABLE[:, :1])])


def test_what_is_told_is_what_is_there(index: Index, tmp_path: Path) -> None:
    named: list[str] = []
    found = queries.export(index, tmp_path / "far" / "out", progress=named.append)
    files = {path.name: path.stat().st_size for path in (tmp_path / "far" / "out").iterdir()}
    assert files.keys() == {"README.md", *(f"{one.name}.parquet" for one in RELATIONS)}
    assert named == [f"{one.name}.parquet" for one in RELATIONS]
    assert found.n_bytes == sum(files.values()) and found.folder == tmp_path / "far" / "out"
    assert found.n_rows == {
        "cells": 4,
        "triggers": 5,
        "promoted": 16,
        "sentences": 3,
        "documents": 2,
        "layers": 2,
        "names": 0,
    }
    assert [path.name for path in (tmp_path / "far").iterdir()] == ["out"]
    assert os.stat(tmp_path / "far" / "out").st_mode & 0o777 == 0o755  # others may read it


def test_duckdb_reads_the_numbers_of_the_table(index: Index, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="the extra sql is not installed")
    queries.export(index, tmp_path / "out")
    with duckdb.connect() as connection:

        def ask(sql: str) -> list[tuple[object, ...]]:
            return list(connection.execute(sql.format(out=tmp_path / "out")).fetchall())

        assert ask("SELECT cell, mean, minimum, maximum, n_active FROM '{out}/cells.parquet' WHERE layer = 0") == [
            ("L0.0", 7 / 3, 1.0, 4.0, 3), ("L0.1", -1.0, -1.0, -1.0, 0), ("L0.2", 8 / 3, 0.0, 5.0, 2),
        ]  # fmt: skip
        joined = (
            "SELECT t.cell, t.rank, t.coefficient, s.text, t.token, t.next_token, d.metadata->>'$.year' "
            "FROM '{out}/triggers.parquet' t JOIN '{out}/sentences.parquet' s USING (sentence_id) "
            "JOIN '{out}/documents.parquet' d ON d.document_id = s.document_id WHERE t.layer = 0 ORDER BY 1, 2"
        )
        assert ask(joined) == [
            ("L0.0", 0, 4.0, "é", "é", None, "1900"), ("L0.0", 1, 2.0, "ab", "b", None, "1900"),
            ("L0.2", 0, 5.0, "ab", "a", "b", "1900"),
        ]  # fmt: skip
        assert ask("SELECT text, held_out FROM '{out}/sentences.parquet' WHERE held_out") == [("b", True)]


def test_row_groups_and_metadata(index: Index, tmp_path: Path) -> None:
    queries.export(index, tmp_path / "out")
    file = pq.ParquetFile(tmp_path / "out" / "cells.parquet")
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [3, 1]  # a layer each
    about = file.schema_arrow.metadata
    assert json.loads(about[b"ffmem.model"])["name"] == "made" and json.loads(about[b"ffmem.options"])["top"] == 3
    edges = [float(edge) for edge in json.loads(about[b"ffmem.histogram_edges"])]
    assert len(edges) == 65 and edges[0] == -np.inf and edges[31] == 1.0
    assert b"ffmem.histogram_edges" not in pq.ParquetFile(tmp_path / "out" / "layers.parquet").schema_arrow.metadata
    meanings = json.loads(about[b"ffmem.columns"])
    assert [*meanings] == file.schema_arrow.names
    assert (
        file.schema_arrow.field("mean").metadata[b"meaning"].decode() == meanings["mean"] == "mean of its coefficients"
    )
    readme = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert (
        readme.startswith("# made over made.txt\n")
        and "weights ab\n" in readme
        and "\n5 rows; a row is a trigger" in readme
    )


def test_experts_are_row_groups_of_their_own(tmp_path: Path) -> None:
    table = np.hstack([TABLE, np.abs(TABLE)])
    index = make_index(tmp_path / "i", [Document([["a", "b"], ["a"]])], [Layer(table, LayerCells(0, 2, n_experts=3))])
    queries.export(index, tmp_path / "out")
    about = pq.ParquetFile(tmp_path / "out" / "triggers.parquet").metadata
    groups = [about.row_group(i) for i in range(about.num_row_groups)]
    rows = pq.read_table(tmp_path / "out" / "triggers.parquet")["cell"].to_pylist()
    assert [one.num_rows for one in groups] == [sum(f".e{expert}." in cell for cell in rows) for expert in range(3)]
    assert {one.column(0).compression for one in groups} == {"ZSTD"}


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_nothing_is_ever_overwritten(index: Index, tmp_path: Path, kind: str) -> None:
    out = tmp_path / "out"
    {"folder": out.mkdir, "file": out.touch, "link": lambda: out.symlink_to(tmp_path / "nowhere")}[kind]()
    with pytest.raises(InputError, match=r"out already exists\. .*never overwrites anything\. Choose another name"):
        queries.export(index, out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["i", "out"]


def test_a_failed_export_leaves_nothing(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys.modules["ffmem.queries.export"], "_readme", fail)
    with pytest.raises(StoreError, match="no space left while writing"):
        queries.export(index, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["i"]


def test_an_index_in_which_nothing_fires_has_files_without_rows(tmp_path: Path) -> None:
    index = make_index(tmp_path / "i", [Document([["a"]])], [Layer([[-1.0]])], top=1)
    assert queries.export(index, tmp_path / "out").n_rows["triggers"] == 0
    table = pq.read_table(tmp_path / "out" / "triggers.parquet")
    assert table.num_rows == 0 and table.schema.field("coefficient").type == "float"


def test_it_can_be_written_as_csv_by_who_wants_that(index: Index, tmp_path: Path) -> None:
    pa_csv = pytest.importorskip("pyarrow.csv")
    queries.export(index, tmp_path / "out")
    pa_csv.write_csv(pq.read_table(tmp_path / "out" / "promoted.parquet"), tmp_path / "p.csv")
    with (tmp_path / "p.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["cell"], row["direction"], row["rank"], row["token"]) for row in rows[:4]] == [
        ("L0.0", "promoted", "0", "a"), ("L0.0", "promoted", "1", "b"), ("L0.0", "suppressed", "0", "b"),
        ("L0.0", "suppressed", "1", "a"),
    ]  # fmt: skip
