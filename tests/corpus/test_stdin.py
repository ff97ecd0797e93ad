"""Standard input: kept once, read as often as needed."""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ffmem.corpus.documents import Corpus, Document
from ffmem.corpus.registry import open_corpus
from ffmem.errors import InputError


@pytest.fixture
def settle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A corpus from standard input, as a build gets it."""

    def make(data: bytes, begun: dict[str, Any] | None = None, field: str = "text") -> Corpus:
        given = SimpleNamespace(buffer=io.BytesIO(data), isatty=lambda: False)
        monkeypatch.setattr(sys, "stdin", given)
        corpus = open_corpus("-", field)
        corpus.settle(tmp_path / "work", begun)
        return corpus

    return make


def test_text(settle):
    corpus = settle("One\ntwo.\n\nÉ \udcff.".encode(errors="surrogateescape"))
    for _ in range(2):
        assert list(corpus) == [Document("paragraph 1", "One\ntwo."), Document("paragraph 2", "É \ufffd.")]
        assert corpus.n_undecodable_bytes == 1
    identity = corpus.identity()
    assert (identity["kind"], identity["name"], identity["format"]) == ("stdin", "-", "text")
    assert "field" not in identity


@pytest.mark.parametrize("start", [b"", b"\n \n", b"\xef\xbb\xbf"])
def test_json_lines_by_the_first_line(settle, start: bytes):
    corpus = settle(start + b'{"text": "One.", "n": 1}\n{"text": "Two."}')
    assert [(document.text, document.metadata) for document in corpus] == [("One.", {"n": 1}), ("Two.", {})]
    assert (corpus.identity()["format"], corpus.identity()["field"]) == ("jsonl", "text")


@pytest.mark.parametrize("first", [b"{", b"[1]", b'"x"', b"[" * 100_000, b"\xff{}"])
def test_what_only_looks_like_json_is_text(settle, first: bytes):
    assert settle(first + b"\n").identity()["format"] == "text"


def test_json_lines_by_the_field(settle):
    assert [document.text for document in settle(b'{"body": "One."}', field="body")] == ["One."]
    with pytest.raises(InputError, match="is not JSON"):
        list(settle(b"One.", field="body"))


def test_large_input_is_kept_whole(settle, tmp_path: Path):
    data = b"".join(b"Paragraph %d.\n\n" % i for i in range(200_000))  # several reads
    assert sum(1 for _ in settle(data)) == 200_000
    assert (tmp_path / "work" / "stdin").read_bytes() == data


def test_going_on_needs_no_input(settle):
    begun = settle(b"One.").identity()
    again = settle(b"", json.loads(json.dumps(begun)))
    assert again.identity() == begun
    assert [document.text for document in again] == ["One."]


def test_going_on_with_the_same_input(settle):
    begun = settle(b"One.").identity()
    again = settle(b"One.", begun)
    assert again.identity() == begun
    assert [document.text for document in again] == ["One."]


@pytest.mark.parametrize(
    ("data", "field", "differs"),
    [
        (b"Other.", "text", {"sha256"}),
        (b"", "body", {"format", "field"}),
        (b"Other.", "body", {"sha256", "format", "field"}),
    ],
)
def test_going_on_with_something_else_has_another_identity(settle, data: bytes, field: str, differs: set[str]):
    begun = settle(b"One.").identity()
    again = settle(data, begun, field).identity()
    assert {name for name in again if again[name] != begun.get(name)} == differs


def test_going_on_with_another_kind_of_corpus(settle):
    again = settle(b"", {"kind": "text", "name": "x.txt", "sha256": "0"}).identity()
    assert (again["kind"], again["name"]) == ("stdin", "-")


def test_what_was_kept_before_the_build_began(settle, tmp_path: Path):
    settle(b"One.")
    assert [document.text for document in settle(b"")] == ["One."]
    assert [document.text for document in settle(b"Two.")] == ["Two."]


def test_half_of_it_is_not_taken_for_the_whole(settle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class Broken(io.BytesIO):
        n_reads = 0

        def read(self, size: int | None = -1) -> bytes:
            self.n_reads += 1
            if self.n_reads > 2:
                raise KeyboardInterrupt
            return super().read(10)

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=Broken(b"x" * 100), isatty=lambda: False))
    with pytest.raises(KeyboardInterrupt):
        open_corpus("-").settle(tmp_path / "work", None)
    with pytest.raises(InputError, match="standard input is empty"):
        settle(b"")
    assert [document.text for document in settle(b"Whole.")] == ["Whole."]
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["stdin"]


@pytest.mark.parametrize("given", [None, SimpleNamespace(isatty=lambda: True)])
def test_nobody_has_to_type(given: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdin", given)
    with pytest.raises(InputError) as error:
        open_corpus("-").settle(tmp_path / "work", None)
    assert str(error.value) == (
        "standard input is empty. Expected text there, or JSON lines, for the corpus -. "
        "For example: zcat notes.txt.gz | ffmem index MODEL - --out DIR."
    )
    assert not (tmp_path / "work").exists()
