"""What a user types, and which reader it becomes; what is refused, and that the refusal lists what there is."""

from pathlib import Path

import pytest

from ffmem import InputError
from ffmem.corpus.compression import COMPRESSIONS
from ffmem.corpus.documents import PythonDocs
from ffmem.corpus.files import JsonLines, TextFile
from ffmem.corpus.glob import Glob
from ffmem.corpus.registry import FILE_KINDS, OTHER_KINDS, open_corpus
from ffmem.corpus.stdin import StandardInput
from ffmem.corpus.topics import Topics


@pytest.mark.parametrize(("name", "reader"), [("topics", Topics), ("python-docs", PythonDocs), ("-", StandardInput)])
def test_names(name: str, reader: type) -> None:
    assert type(open_corpus(name)) is reader
    assert OTHER_KINDS[reader.kind] == name  # type: ignore[attr-defined]


@pytest.mark.parametrize(("name", "reader"), [("a.txt", TextFile), ("a.jsonl", JsonLines), (".txt", TextFile)])
def test_files(name: str, reader: type, tmp_path: Path) -> None:
    (tmp_path / name).write_text('{"body": "One."}\n')
    corpus = open_corpus(str(tmp_path / name), field="body")
    assert type(corpus) is reader
    assert [document.text for document in corpus] == ["One." if reader is JsonLines else '{"body": "One."}']


def test_every_suffix_belongs_to_one_kind() -> None:
    suffixes = [suffix for kind in FILE_KINDS for suffix in kind.suffixes]
    assert len(suffixes) == len(set(suffixes)) == 2 * (1 + len(COMPRESSIONS)) + 1
    for kind in FILE_KINDS:
        assert [other for other in FILE_KINDS if f"a{kind.suffix}".endswith(other.suffixes)] == [kind]


def test_a_pattern_is_all_its_files(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "c.md"):
        (tmp_path / name).write_text(f"In {name}.")
    corpus = open_corpus(str(tmp_path / "*.txt"))
    assert type(corpus) is Glob
    assert [document.text for document in corpus] == ["In a.txt.", "In b.txt."]


def test_the_encoding_reaches_the_reader(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("naïve café".encode("latin-1"))
    (document,) = open_corpus(str(tmp_path / "a.txt"), encoding="latin-1")
    assert document.text == "naïve café"


@pytest.mark.parametrize(
    ("name", "got"),
    [
        ("nothing.txt", "nothing.txt does not exist"),
        ("nothing", "no corpus is called 'nothing'"),
        ("made.md", "made.md is of no known kind"),
        (".", "is a folder"),
    ],
)
def test_refusals_list_what_there_is(name: str, got: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "made.md").write_text("x")
    with pytest.raises(InputError) as raised:
        open_corpus(name)
    assert got in raised.value.got
    for suffix in (suffix for kind in FILE_KINDS for suffix in kind.suffixes):
        assert suffix in raised.value.expected
    assert raised.value.mend


def test_an_unknown_encoding_is_refused_before_any_file_is_looked_for() -> None:
    with pytest.raises(InputError, match="no-such-encoding"):
        open_corpus("nothing.txt", encoding="no-such-encoding")
