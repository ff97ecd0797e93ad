"""What a build takes, every reader of the index gives back: the text and the metadata of the input file."""

import contextlib
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

import ffmem
from ffmem import Index, IndexOptions, InputError, RunOptions
from ffmem.cli.app import app
from ffmem.index.verification.verify import verify_index

NAMES = st.sampled_from(
    ["id", "title", "topic", "a.b", "$", "", '"', "a\\b", "$.x", "x\0y", "\u2028", "é", "#", "[0]", "*"]
)
INTEGERS = st.integers() | st.sampled_from([2**53 + 1, 2**63, -(2**63) - 1, 2**64 - 1, 10**400, -(10**599)])
FLOATS = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([-0.0, 1.0, 1e308, 5e-324])
STRINGS = st.text(st.characters(blacklist_categories=["Cs"]), max_size=6) | st.sampled_from(
    ["\0", "\x85", "<b>", "007"]
)
LEAVES = st.none() | st.booleans() | INTEGERS | FLOATS | STRINGS
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3))
DEEP = st.integers(50, 99).map(lambda n: json.loads("[" * n + "]" * n))
ROWS = st.lists(st.dictionaries(NAMES, VALUES | DEEP, max_size=4), min_size=8, max_size=12)


def spoken(*arguments: object) -> str:
    """What a command prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        app([str(one) for one in arguments], exit_on_error=False, result_action="return_value")
    return out.getvalue()


def same(found: Any, expected: Any) -> bool:
    """Equal, types and the sign of zero included; the order of names is none of JSON's."""
    return json.dumps(found, sort_keys=True) == json.dumps(expected, sort_keys=True)


def check(index: Index, expected: list[dict[str, Any]], texts: list[str], folder: Path) -> None:
    """Ask every reader for what the index was built from."""
    place = index.folder
    assert json.loads(spoken("info", place, "--json"))["counts"]["n_documents"] == len(texts)
    assert f"documents    {len(texts)}" in spoken("info", place)
    for number, metadata in enumerate(expected):
        assert same(index.text.document(number).metadata, metadata)
        assert index.text.sentence(number).text == texts[number]
    for name in {name for metadata in expected for name in metadata}:
        assert same(index.text.metadata_field(name), [metadata.get(name) for metadata in expected])
    shown = [json.loads(spoken("search", place, "fox", "--json", "--limit", 100))["hits"]]
    shown.append(json.loads(spoken("cell", place, "L0.1", "--json"))["triggers"])
    for hits in shown:
        assert hits
        for hit in hits:
            assert same(hit["document"]["metadata"], expected[hit["document"]["document_id"]])
    for command in (
        ("cell", place, "L0.1"),
        ("search", place, "fox"),
        ("find", place, "--trigger", "/fox/"),
    ):
        spoken(*command)
    assert verify_index(index, with_model=False).problems == ()
    spoken("export", place, "--parquet", folder / "parquet")
    spoken("site", place, "--out", folder / "site")
    rows = pq.read_table(folder / "parquet" / "documents.parquet").to_pylist()
    assert same([json.loads(row["metadata"]) for row in rows], expected)
    sql = "select metadata from documents order by document_id"
    found = json.loads(spoken("query", place, sql, "--format", "json", "--limit", 100))["rows"]
    assert same([json.loads(row[0]) for row in found], expected)


@pytest.fixture(scope="module")
def build(tiny_folder: Callable[[str], Path]) -> Callable[[Path, Path], Index]:
    options = IndexOptions(cells="L0.0-2", top=20, promoted=3, holdout=0, split="lines", duplicates="keep")
    return lambda corpus, out: ffmem.build_index(
        tiny_folder("gpt2"), corpus, out, options=options, run=RunOptions(workers=0)
    )


NASTY = [
    {"id": 3, "n": -0.0, "truth": True, "none": None},
    {"id": 10**400, "n": 2**63, "e": 1e308},
    {"a.b": 1, "$": 2, "": 3, '"': 4, "a\\b": 5, "\0": 6, "x\0y": "p\0q", "id": "a\0b"},
    {"deep": json.loads("[" * 98 + "]" * 98)},
    {"title": '\u2028\x85\x1f<script>&"\u202e', "topic": 5},
    {"id": 1.5, "f": 0.1},
]


@settings(
    max_examples=2, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck)
)
@example(rows=NASTY, escape=True)
@given(rows=ROWS, escape=st.booleans())
def test_json_lines(build: Callable[[Path, Path], Index], rows: list[dict[str, Any]], escape: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        corpus = folder / "x.jsonl"
        texts = [f"The quick fox {number}." for number in range(len(rows))]
        lines = [json.dumps(row | {"text": text}, ensure_ascii=escape) for row, text in zip(rows, texts, strict=True)]
        corpus.write_text("\n".join(lines), encoding="utf-8", newline="")
        read = duckdb.sql(f"select json->>'text' from read_ndjson_objects('{corpus}')").fetchall()
        assert [row[0] for row in read] == texts
        check(build(corpus, folder / "i"), rows, texts, folder)


def test_parquet(build: Callable[[Path, Path], Index], tmp_path: Path) -> None:
    texts = ["The quick fox 0.", "The quick fox 1."]
    columns = {
        "text": pa.array([text.encode() for text in texts]),
        "id": pa.array([2**64 - 1, 7], pa.uint64()),
        "signed": pa.array([-(2**63), None], pa.int64()),
        "share": pa.array([0.1, -0.0], pa.float32()),
        "kind": pa.array(["a", "b"]).dictionary_encode(),
        "large": pa.array(["x\0", None], pa.large_string()),
        "a.b": pa.array([[1, None], []], pa.list_(pa.int64())),
        "inner": pa.array([{"$": 2**63 - 1}, None]),
    }
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    table = duckdb.sql(f"select * exclude (text) from read_parquet('{tmp_path / 'x.parquet'}')")
    expected = [dict(zip(table.columns, row, strict=True)) for row in table.fetchall()]
    check(build(tmp_path / "x.parquet", tmp_path / "i"), expected, texts, tmp_path)
    assert [build(tmp_path / "x.parquet", tmp_path / "i").text.document(n).name for n in (0, 1)] == [
        str(2**64 - 1),
        "7",
    ]


@settings(max_examples=60, deadline=None)
@given(st.text('0123456789eE+-.[]{}",:naIfty \\ud8', max_size=40) | st.sampled_from(["1e999", "[" * 101 + "]" * 101]))
def test_any_value_is_refused_by_its_line_or_read_like_json(value: str) -> None:
    from ffmem.corpus.registry import open_corpus

    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "x.jsonl"
        path.write_text('{"text": "a", "n": ' + value + "}")
        told = ""
        try:
            (document,) = open_corpus(str(path))
        except InputError as error:
            told = str(error)
        if told:
            assert "line 1 of" in told
            return
        assert json.dumps(document.metadata, allow_nan=False).encode()
        assert same(document.metadata, {"n": json.loads(value)}) or "\\u" in value
