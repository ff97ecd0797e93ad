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
    path = write(tmp_path / "x.parquet", {"body": ["a"], "n": [1], "data": [b"bytes"]})
    with pytest.raises(InputError) as error:
        list(open_corpus(path))
    assert str(error.value) == (
        f"{path} has no column of text called 'text'. Expected one of its columns: body, n, data. "
        "Name the column that holds the text: --field NAME."
    )


def test_a_column_of_something_else(tmp_path: Path):
    path = write(tmp_path / "x.parquet", {"body": ["a"], "text": [1], "data": [b"bytes"]})
    with pytest.raises(
        InputError, match=r"'text' of .* holds int64, not text\. .*of strings, or of bytes: body, data\."
    ):
        list(open_corpus(path))


BYTES = [pa.binary(), pa.large_binary(), pa.binary(5), pa.binary_view(), pa.dictionary(pa.int8(), pa.binary())]


@pytest.mark.parametrize("kind", BYTES)
def test_text_that_is_stored_as_bytes(tmp_path: Path, kind: pa.DataType):
    values = pa.array(["café".encode(), b"caf\xe9!"])
    stored = values.dictionary_encode() if pa.types.is_dictionary(kind) else values.cast(kind)
    path = write(tmp_path / "x.parquet", {"text": stored, "other": values})
    corpus = open_corpus(path)
    assert list(corpus) == [Document("row 1", "café"), Document("row 2", "caf\ufffd!")]
    assert corpus.n_undecodable_bytes == 1
    assert [document.text for document in open_corpus(path, encoding="cp1252")] == ["cafÃ©", "café!"]


def test_a_null_in_text(tmp_path: Path):
    with pytest.raises(InputError, match=r"row 2 of .* has a NUL character .* field 'text', at character 1\."):
        list(open_corpus(write(tmp_path / "x.parquet", {"text": ["a", "b\0c"]})))


def test_every_type_comes_back_as_what_it_is(tmp_path: Path):
    ns = 1_709_210_096_123_456_789
    columns = {
        "text": ["a", "b"],
        "int64": pa.array([2**63 - 1, None], pa.int64()),
        "uint64": pa.array([2**64 - 1, 0], pa.uint64()),
        "float32": pa.array([0.1, -0.0], pa.float32()),
        "utc": pa.array([1, None], pa.timestamp("us", "UTC")),
        "ns": pa.array([ns, -1], pa.timestamp("ns")),
        "zone": pa.array([ns, 0], pa.timestamp("ns", "Europe/Berlin")),
        "clock": pa.array([1, 10**9], pa.time64("ns")),
        "long": pa.array([1500, None], pa.duration("ns")),
        "map": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
        "list": pa.array([[1000], None], pa.list_(pa.timestamp("ns"))),
        "a": pa.array([{"b": 1}, None]),
        "a.b": [2, 3],
        "a.bytes": [b"x", b"y"],
        "": [True, None],
    }
    first, second = (document.metadata for document in open_corpus(write(tmp_path / "x.parquet", columns)))
    assert list(first.items()) == [
        ("int64", 2**63 - 1), ("uint64", 2**64 - 1), ("float32", 0.10000000149011612),
        ("utc", "1970-01-01T00:00:00.000001+00:00"), ("ns", "2024-02-29T12:34:56.123456789"),
        ("zone", "2024-02-29T13:34:56.123456789+01:00"), ("clock", "00:00:00.000000001"),
        ("long", "0:00:00.000001500"), ("map", [["k", 1]]), ("list", ["1970-01-01T00:00:00.000001"]),
        ("a", {"b": 1}), ("a.b", 2), ("", True),
    ]  # fmt: skip
    assert (second["ns"], second["clock"], second["zone"]) == (
        "1969-12-31T23:59:59.999999999", "00:00:01", "1970-01-01T01:00:00+01:00"
    )  # fmt: skip


@pytest.mark.parametrize(
    "values",
    [
        pa.array([10**15], pa.timestamp("ms")),
        pa.array([[1]], pa.list_(pa.timestamp("ns"))),
        pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], ["x", "x"]),
    ],
)
def test_a_value_that_python_lacks_is_told_with_its_column(tmp_path: Path, values: pa.Array):
    path = write(tmp_path / "x.parquet", {"text": ["a"], "odd": values})
    with pytest.raises(
        InputError,
        match=r"the column 'odd' of .*x\.parquet, of type .*, has a value in rows 1 to 1 that cannot be read",
    ):
        list(open_corpus(path))


def test_two_columns_of_one_name(tmp_path: Path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array(["a"])] * 2, names=["text", "text"]), path)
    with pytest.raises(InputError, match=r"has two columns called 'text'\. .*Rename one of the two"):
        list(open_corpus(str(path)))


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
