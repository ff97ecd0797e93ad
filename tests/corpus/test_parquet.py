"""Parquet files: rows in order, other columns as metadata, one row group at a time, every error."""

import datetime
import json
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ffmem.corpus.documents import Document
from ffmem.corpus.registry import open_corpus
from ffmem.errors import InputError


def write(path: Path, columns: dict[str, object], **options: object) -> str:
    pq.write_table(pa.table(columns), path, **options)
    return str(path)


def test_other_columns_are_metadata(tmp_path: Path):
    name = write(
        tmp_path / "x.parquet",
        {
            "id": ["a", None, "c"],
            "text": ["One.", "日本語", ""],
            "n": [1, 2, None],
            "share": [0.5, float("nan"), float("inf")],
            "day": [datetime.date(2024, 2, 29), None, datetime.date(1999, 1, 1)],
            "tags": [[{"k": "v"}], [], None],
            "price": [Decimal("1.50"), None, None],
            "image": [b"\xff\xd8", b"", None],
        },
    )
    found = list(open_corpus(name))
    first = {"id": "a", "n": 1, "share": 0.5, "day": "2024-02-29", "tags": [{"k": "v"}], "price": "1.50"}
    assert found[0] == Document("a", "One.", first)
    second = {"id": None, "n": 2, "share": "nan", "day": None, "tags": [], "price": None}
    assert found[1] == Document("row 2", "日本語", second)
    assert (found[2].name, found[2].text, found[2].metadata["share"]) == ("c", "", "inf")
    json.dumps([document.metadata for document in found], allow_nan=False)


@pytest.mark.parametrize("rows_a_group", [1, 700, 2500, 10_000])
def test_row_groups_change_nothing(tmp_path: Path, rows_a_group: int):
    texts = [f"Row {i}." for i in range(5000)]
    path = write(tmp_path / "x.parquet", {"body": texts}, row_group_size=rows_a_group)
    found = list(open_corpus(path, field="body"))
    assert [document.text for document in found] == texts
    assert [document.name for document in found] == [f"row {i + 1}" for i in range(5000)]


@pytest.mark.parametrize("kind", [pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_other_types_of_text(tmp_path: Path, kind: pa.DataType):
    path = write(tmp_path / "x.parquet", {"text": pa.array(["a", "b", "a"]).cast(kind)})
    assert [document.text for document in open_corpus(path)] == ["a", "b", "a"]


def test_memory_is_that_of_a_row_group(tmp_path: Path):
    schema = pa.schema([("text", pa.string()), ("image", pa.binary())])
    path = tmp_path / "x.parquet"
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        for group in range(40):  # of a megabyte of text and four of bytes each
            columns = {
                "text": [f"{group} {i} " + "x" * 990 for i in range(1000)],
                "image": [b"\0" * 4000] * 1000,
            }
            writer.write_table(pa.table(columns, schema=schema))
    del columns
    before, peak, n = pa.total_allocated_bytes(), 0, 0
    for _ in open_corpus(str(path)):
        n += 1
        peak = max(peak, pa.total_allocated_bytes() - before)
    assert n == 40_000
    assert peak < 4_000_000  # the file has 200 MB


def test_its_identity(tmp_path: Path):
    path = write(tmp_path / "x.parquet", {"text": ["a"], "body": ["b"]})
    identity = open_corpus(path).identity()
    assert (identity["kind"], identity["name"], identity["field"]) == ("parquet", "x.parquet", "text")
    assert open_corpus(path, field="body").identity()["field"] == "body"
    write(tmp_path / "x.parquet", {"text": ["b"], "body": ["b"]})
    assert open_corpus(path).identity()["sha256"] != identity["sha256"]


def test_no_such_column(tmp_path: Path):
    path = write(tmp_path / "x.parquet", {"body": ["a"], "n": [1], "text": [b"bytes"]})
    with pytest.raises(InputError) as error:
        list(open_corpus(path))
    assert str(error.value) == (
        f"{path} has no column of text called 'text'. Expected one of its columns: body, n. "
        "Name the column that holds the text: --field NAME."
    )


def test_a_row_without_text(tmp_path: Path):
    path = write(tmp_path / "x.parquet", {"text": ["a", None], "n": [1, 2]})
    with pytest.raises(
        InputError, match=r"row 2 of .*x\.parquet has no text in its field 'text'\. .* other fields: n\."
    ):
        list(open_corpus(path))


@pytest.mark.parametrize("cut", [0, 10, -1, -5000])
def test_a_truncated_file(tmp_path: Path, cut: int):
    path = Path(write(tmp_path / "x.parquet", {"text": [f"{i}" * 9 for i in range(5000)]}))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match=r"x\.parquet is truncated or corrupt after row 0: .*Expected a whole Parquet"):
        list(open_corpus(str(path)))


def test_a_corrupt_row_group(tmp_path: Path):
    path = Path(write(tmp_path / "x.parquet", {"text": [f"{i}" * 9 for i in range(5000)]}, row_group_size=1000))
    data = bytearray(path.read_bytes())
    place = pq.ParquetFile(path).metadata.row_group(2).column(0).data_page_offset
    data[place : place + 300] = b"\xff" * 300
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"x\.parquet is truncated or corrupt after row 2000: "):
        list(open_corpus(str(path)))


def test_text_that_is_no_utf_8(tmp_path: Path):
    bad = pa.Array.from_buffers(pa.string(), 1, pa.array([b"caf\xe9"]).buffers())
    path = write(tmp_path / "x.parquet", {"text": bad})
    with pytest.raises(InputError, match=r"corrupt after row 0: .*utf-8.* can't decode byte 0xe9"):
        list(open_corpus(path))
