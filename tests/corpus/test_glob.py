"""Patterns of files: order, identity, every error."""

import gzip
import json
import os
from pathlib import Path

import pytest

from ffmem.corpus.documents import Document
from ffmem.corpus.registry import open_corpus
from ffmem.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    (root / "b" / "deep").mkdir(parents=True)
    (root / "b.txt").write_text("One.\n\nTwo.")
    (root / "a.txt.gz").write_bytes(gzip.compress(b"Three \xff."))
    (root / "b" / "c.txt").write_bytes(b"Four \xfe.")
    (root / "b" / "deep" / "d.jsonl").write_text(json.dumps({"text": "Five.", "id": "x", "n": 5}))
    return root


def texts(pattern: Path) -> list[str]:
    return [document.text for document in open_corpus(str(pattern))]


def test_files_come_in_order_of_their_paths(folder: Path):
    assert list(open_corpus(str(folder / "**" / "*"))) == [
        Document("a.txt.gz: paragraph 1", "Three \ufffd."),
        Document("b.txt: paragraph 1", "One."),
        Document("b.txt: paragraph 2", "Two."),
        Document("b/c.txt: paragraph 1", "Four \ufffd."),
        Document("b/deep/d.jsonl: x", "Five.", {"id": "x", "n": 5}),
    ]


def test_patterns(folder: Path, monkeypatch: pytest.MonkeyPatch):
    assert texts(folder / "*.txt") == ["One.", "Two."]
    assert texts(folder / "*") == ["Three \ufffd.", "One.", "Two."]  # folders are no files
    assert texts(folder / "?" / "*.txt") == ["Four \ufffd."]
    assert texts(folder / "**" / "[cd].*") == ["Four \ufffd.", "Five."]
    monkeypatch.chdir(folder)
    assert texts(Path("*.txt")) == ["One.", "Two."]


def test_a_file_may_be_called_like_a_pattern(tmp_path: Path):
    (tmp_path / "x[1].txt").write_text("One.")
    corpus = open_corpus(str(tmp_path / "x[1].txt"))
    assert (corpus.kind, [document.text for document in corpus]) == ("text", ["One."])


def test_bad_bytes_of_all_files_are_counted(folder: Path):
    corpus = open_corpus(str(folder / "**" / "*"))
    counts = [corpus.n_undecodable_bytes for _ in corpus]
    assert counts == [1, 1, 1, 2, 2]
    assert [corpus.n_undecodable_bytes for _ in corpus] == counts


def test_a_name_that_is_no_utf_8(tmp_path: Path):
    with open(os.path.join(os.fsencode(tmp_path), b"x\xff.txt"), "wb") as file:
        file.write(b"One.")
    corpus = open_corpus(str(tmp_path / "*.txt"))
    assert [document.name for document in corpus] == ["x\ufffd.txt: paragraph 1"]
    assert corpus.identity()["n_files"] == 1


def test_identity_is_names_and_contents_below_the_pattern(folder: Path, tmp_path: Path):
    pattern = str(folder / "**" / "*")
    identity = open_corpus(pattern).identity()
    assert (identity["kind"], identity["name"], identity["n_files"]) == ("files", pattern, 4)
    folder.rename(tmp_path / "moved")
    moved = tmp_path / "moved"
    pattern = str(moved / "**" / "*")
    assert open_corpus(pattern).identity()["sha256"] == identity["sha256"]
    found = {identity["sha256"], open_corpus(pattern, field="other").identity()["sha256"]}
    (moved / "b.txt").rename(moved / "c.txt")
    found.add(open_corpus(pattern).identity()["sha256"])
    (moved / "c.txt").write_text("Other.")
    found.add(open_corpus(pattern).identity()["sha256"])
    (moved / "c.txt").unlink()
    found.add(open_corpus(pattern).identity()["sha256"])
    assert len(found) == 5


def test_no_match(tmp_path: Path):
    with pytest.raises(InputError) as error:
        open_corpus(str(tmp_path / "*.txt"))
    assert str(error.value) == (
        f"no file matches '{tmp_path}/*.txt'. Expected a pattern of at least one file. "
        "Check it with ls, and put it into quotes, so that the shell leaves it as it is."
    )


def test_a_match_of_no_known_kind(folder: Path):
    (folder / "README.md").write_text("read me")
    with pytest.raises(
        InputError, match=r"README\.md is of no known kind\. Expected topics, python-docs, a file \(\.txt"
    ):
        open_corpus(str(folder / "*"))
    assert texts(folder / "*.txt") == ["One.", "Two."]
