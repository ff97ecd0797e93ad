"""Encodings: what is named is read, what plainly is another one is refused, whatever the file is."""

import codecs
import gzip
import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffmem.corpus.documents import Corpus
from ffmem.corpus.encodings import encoding_named
from ffmem.corpus.registry import open_corpus
from ffmem.errors import InputError

TEXT = "One é line.\r\nTwo 日本.\r\rThree ő.\n"
PARAGRAPHS = ["One é line.\nTwo 日本.", "Three ő."]
WIDE = ["utf-16", "utf-32", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]
MARKS = {
    "utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE, "utf-32-be": codecs.BOM_UTF32_BE, "utf-8": codecs.BOM_UTF8,
}  # fmt: skip
ENDED = [".txt", ".txt.gz", ".jsonl", ".jsonl.gz", "-"]


@pytest.fixture(params=ENDED)
def kind(request: pytest.FixtureRequest) -> str:
    """How the file's name ends, or standard input."""
    return str(request.param)


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str):
    """A corpus of one document in some encoding, with bytes before it."""

    def make(text: str, codec: str, mark: bytes = b"", encoding: str = "utf-8") -> Corpus:
        content = json.dumps({"text": text}, ensure_ascii=False) if "jsonl" in kind else text
        data = mark + content.encode(codec)
        if kind == "-":
            monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data), isatty=lambda: False))
            corpus = open_corpus("-", encoding=encoding)
            corpus.settle(tmp_path / "work", None)
            return corpus
        path = tmp_path / f"x{kind}"
        path.write_bytes(gzip.compress(data) if kind.endswith(".gz") else data)
        return open_corpus(str(path), encoding=encoding)

    return make


@pytest.mark.parametrize("codec", [*WIDE, "utf-8", "gb18030"])
@pytest.mark.parametrize("marked", [True, False])
def test_a_named_encoding_is_read(put, kind: str, codec: str, marked: bool):
    mark = MARKS.get(codec, b"") if marked else b""
    corpus = put("日本語 é 😀.", codec, mark, codec)
    assert [document.text for document in corpus] == ["日本語 é 😀."]
    assert corpus.n_undecodable_bytes == 0
    assert corpus.identity().get("encoding", "utf-8") == codec


@pytest.mark.parametrize(
    ("codec", "text"), [("latin-1", "é ÿ"), ("cp1252", "“é”"), ("shift_jis", "日本"), ("koi8-r", "да")]
)
def test_other_encodings(put, codec: str, text: str):
    assert [document.text for document in put(text, codec, encoding=codec)] == [text]


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("named", ["utf-8", "latin-1"])
def test_an_encoding_that_is_not_named_is_refused(put, codec: str, marked: bool, named: str):
    right = codec[:6] if marked else codec
    with pytest.raises(InputError) as error:
        list(put("Plain words, as they are.", codec, MARKS[codec] if marked else b"", named))
    assert str(error.value).endswith(f"Name its encoding: --encoding {right}.")
    seen = f"byte-order mark of {right.upper()}" if marked else f"NUL characters, as {right.upper()} without"
    assert seen in str(error.value)


def test_a_mark_of_utf_8_under_another_name(put):
    with pytest.raises(InputError, match=r"byte-order mark of UTF-8\. .*--encoding utf-8\."):
        list(put("x", "utf-8", codecs.BOM_UTF8, "cp1252"))


@pytest.mark.parametrize(
    ("codec", "named"), [("utf-16-le", "utf-16-be"), ("utf-32-be", "utf-16-le"), ("utf-8", "utf-16-le")]
)
def test_a_wrong_order_or_width_is_refused(put, codec: str, named: str):
    with pytest.raises(InputError, match=rf"plainly in {codec.upper()}\. .*--encoding {codec}\."):
        list(put("Plain words. " * 10, codec, encoding=named))


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_needs_an_order(put, codec: str):
    with pytest.raises(InputError, match=rf"has no byte-order mark, .*Name its encoding: --encoding {codec}\."):
        list(put("Plain words.", codec, encoding="utf-16"))


@pytest.mark.parametrize("codec", ["utf-8", *WIDE])
def test_lines_end_alike_in_each(tmp_path: Path, codec: str):
    path = tmp_path / "x.txt"
    path.write_bytes(TEXT.encode(codec))
    corpus = open_corpus(str(path), encoding=codec)
    assert [document.text for document in corpus] == PARAGRAPHS
    assert corpus.n_lines == 4


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_json_lines_end_like_others(tmp_path: Path, end: str):
    path = tmp_path / "x.jsonl"
    path.write_bytes(end.join(json.dumps({"text": text}) for text in "ab").encode())
    assert [document.name for document in open_corpus(str(path))] == ["line 1", "line 2"]


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\r\n"), max_size=20))
def test_a_line_is_its_text(text: str):
    from ffmem.corpus.encodings import read_lines

    with _temporary() as folder:
        for codec in ("utf-8", "utf-16", "utf-32", "gb18030"):
            path = Path(folder) / codec
            path.write_bytes(f"1\n{text}\r\n3".encode(codec))
            assert list(read_lines(path, "x", codec)) == [(1, "1"), (2, text), (3, "3")]


def _temporary():
    import tempfile

    return tempfile.TemporaryDirectory()


@pytest.mark.parametrize(
    ("data", "codec", "expected", "n_bad"),
    [
        (b"caf\xe9", "utf-8", "caf\ufffd", 1),
        (b"\x00\xd8a\x00", "utf-16-le", "\ufffd\ufffda", 2),
        (b"a\x00b", "utf-16-le", "a\ufffd", 1),
        (b"\x81 x", "shift_jis", "\ufffd x", 1),
        (b"a\x81", "cp1252", "a\ufffd", 1),
    ],
)
def test_bytes_that_do_not_decode_are_counted(tmp_path: Path, data: bytes, codec: str, expected: str, n_bad: int):
    (tmp_path / "x.txt").write_bytes(data)
    corpus = open_corpus(str(tmp_path / "x.txt"), encoding=codec)
    assert ([document.text for document in corpus], corpus.n_undecodable_bytes) == ([expected], n_bad)


@pytest.mark.parametrize("line", [b"one\ntwo \x00 three", b"one\n" + b"\x00" * 9])
def test_a_null_is_refused_by_its_line(tmp_path: Path, line: bytes):
    (tmp_path / "x.txt").write_bytes(line)
    with pytest.raises(InputError, match=r"line 2 of .*x\.txt has a NUL character \(U\+0000\)\. .*--encoding"):
        list(open_corpus(str(tmp_path / "x.txt")))


@pytest.mark.parametrize("name", ["utf-9", "", "rot13", "base64", "unicode_escape", "a\0b", "utf-7"])
def test_no_such_encoding(name: str):
    with pytest.raises(
        InputError, match=r"--encoding is .* not a known text encoding\. Expected a name such as utf-8, "
    ):
        open_corpus("topics", encoding=name)


def test_a_name_has_one_spelling():
    assert {encoding_named(name) for name in ("UTF8", "utf-8", "U8", "utf-8-sig")} == {"utf-8"}
    assert encoding_named("latin1") == encoding_named("ISO-8859-1")


def test_a_pattern_reads_its_files_so(tmp_path: Path):
    for name in "ab":
        (tmp_path / f"{name}.txt").write_bytes(f"é {name}".encode("utf-16"))
    corpus = open_corpus(f"{tmp_path}/*.txt", encoding="utf-16")
    assert [document.text for document in corpus] == ["é a", "é b"]
    assert corpus.identity()["encoding"] == "utf-16"
    assert corpus.n_lines == 2
