"""Files of text and of JSON lines, against the plainest readers: str.split, and json.loads a line."""

import hashlib
import json
import os
import random
from pathlib import Path

import pytest

from ffmem import InputError
from ffmem.corpus.documents import MAX_DEPTH, MAX_DIGITS
from ffmem.corpus.files import JsonLines, TextFile
from ffmem.corpus.registry import open_corpus
from ffmem.store.files import write_json

WORDS = ("fox", "naïve", "日本語", "a  b", "“q”")


def texts_of(path: Path, field: str = "text") -> list[str]:
    return [document.text for document in JsonLines(path, field)]


def refusal(path: Path, line: str) -> InputError:
    path.write_text('{"text": "fine"}\n' + line + "\n")
    with pytest.raises(InputError) as raised:
        list(JsonLines(path, "text"))
    assert f"line 2 of {path}" in raised.value.got
    return raised.value


def test_paragraphs_are_what_blank_lines_part(tmp_path: Path) -> None:
    rng = random.Random(0)
    for _ in range(60):
        paragraphs = ["\n".join(rng.choices(WORDS, k=rng.randint(1, 3))) for _ in range(rng.randint(0, 5))]
        separators = [rng.choice(["\n\n", "\n\n\n", "\n \t\n"]) for _ in paragraphs]
        text = rng.choice(["", "\n", "\n\n"]) + "".join(map("".join, zip(paragraphs, separators, strict=True)))
        (tmp_path / "a.txt").write_text(text)
        documents = list(TextFile(tmp_path / "a.txt"))
        assert [document.text for document in documents] == paragraphs
        assert [document.name for document in documents] == [f"paragraph {n}" for n in range(1, len(paragraphs) + 1)]


def test_identity_is_the_hash_of_the_bytes_and_the_encoding_unless_it_is_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"x\n\ny")
    digest = hashlib.sha256(b"x\n\ny").hexdigest()
    assert TextFile(path).identity() == {"kind": "text", "name": "a.txt", "sha256": digest}
    assert TextFile(path, "latin-1").identity()["encoding"] == "latin-1"
    assert JsonLines(path, "body").identity() == {"kind": "jsonl", "name": "a.txt", "sha256": digest, "field": "body"}


def test_bytes_that_do_not_decode_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"one \xff two \xfe\xfe")
    corpus = TextFile(tmp_path / "a.txt")
    (document,) = corpus
    assert document.text == "one \ufffd two \ufffd\ufffd" and corpus.n_undecodable_bytes == 3


def test_rows_are_what_json_says(tmp_path: Path) -> None:
    rows = [
        {"text": "One.", "year": 1, "nested": {"a": [1, None, True, 1.5]}},
        {"text": "Two\nlines é 😀 \u2028", "year": -(10**20)},
        {"year": 0.1, "text": "Three"},
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("\n\n".join(json.dumps(row) for row in rows) + "\n \t\n")
    documents = list(JsonLines(path, "text"))
    assert [document.name for document in documents] == ["line 1", "line 3", "line 5"]
    assert [document.text for document in documents] == [row["text"] for row in rows]
    assert [document.metadata for document in documents] == [
        {name: value for name, value in row.items() if name != "text"} for row in rows
    ]


def test_halves_of_surrogate_pairs_are_replaced_in_every_string(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(r'{"text": "a\ud800b", "more": ["\udc00", {"x": "\ud83d\ude00"}]}')
    (document,) = JsonLines(path, "text")
    assert document.text == "a\ufffdb"
    assert document.metadata == {"more": ["\ufffd", {"x": "😀"}]}


@pytest.mark.parametrize(
    ("line", "got"),
    [
        ("{", "is not JSON"),
        ("[1]", "holds list"),
        ('"text"', "holds str"),
        ('{"text": NaN}', "NaN is not a JSON number"),
        ('{"text": "a", "n": 1e999}', "the number 1e999, beyond the largest float64"),
        ('{"text": "a", "text": "b"}', "the field 'text' twice"),
        ('{"text": "a", "in": {"b": 1, "b": 2}}', "the field 'b' twice"),
        (r'{"text": "a", "\ud800": 1, "\ud801": 2}', "the field '\ufffd' twice"),
        (f'{{"text": "a", "n": {"9" * (MAX_DIGITS + 1)}}}', f"a whole number of {MAX_DIGITS + 1:,} digits"),
        ('{"text": "a", "in": ' + "[" * 100_000 + "]" * 100_000 + "}", f"nested more than {MAX_DEPTH} deep"),
    ],
)
def test_lines_that_are_refused(line: str, got: str, tmp_path: Path) -> None:
    error = refusal(tmp_path / "a.jsonl", line)
    assert got in error.got and error.expected.startswith("Expected") and error.mend


@pytest.mark.parametrize("digits", ["9" * MAX_DIGITS, "-" + "9" * MAX_DIGITS, "1.7976931348623157e308", "-0"])
def test_numbers_at_the_limits_are_kept(digits: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(f'{{"text": "a", "n": {digits}}}')
    (document,) = JsonLines(tmp_path / "a.jsonl", "text")
    assert document.metadata["n"] == json.loads(digits)


@pytest.mark.parametrize("kind", [".txt", ".jsonl"])
def test_a_name_that_is_no_utf_8_is_told_as_text_and_opened_as_it_is(kind: str, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9" + kind.encode()))
    path.write_bytes(b'{"text": "One."}\n' if kind == ".jsonl" else b"One.\n")
    corpus = TextFile(path) if kind == ".txt" else JsonLines(path, "text")
    assert corpus.name == f"caf\ufffd{kind}" and json.dumps(corpus.identity(), ensure_ascii=False).encode()
    assert [document.text for document in corpus] == ["One."]
    write_json(tmp_path / "names.json", {"source": str(path)})
    assert Path(json.loads((tmp_path / "names.json").read_bytes())["source"]).exists()


@pytest.mark.parametrize("name", ["one.txt", "*.txt"])
def test_what_changes_after_its_identity_was_told_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "one.txt").write_text("one")
    corpus = open_corpus(str(tmp_path / name))
    corpus.identity()
    corpus.check_unchanged()
    (tmp_path / "one.txt").write_text("two, of the same corpus")
    with pytest.raises(InputError, match=r"one\.txt was changed, or removed, while it was read"):
        corpus.check_unchanged()
    corpus.identity()
    corpus.check_unchanged()
