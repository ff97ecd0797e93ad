"""Readers: documents in order, nothing lost, every error."""

import codecs
import json
import re
import tempfile
import tracemalloc
from pathlib import Path
from pydoc_data.topics import topics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffmem.corpus.documents import Corpus, Document
from ffmem.corpus.registry import open_corpus
from ffmem.errors import InputError


def write(path: Path, content: bytes | str) -> Corpus:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return open_corpus(str(path))


def texts(corpus: Corpus) -> list[str]:
    return [document.text for document in corpus]


class TestPythonDocs:
    def test_a_document_is_a_topic_in_the_order_of_names(self):
        documents = list(open_corpus("python-docs"))
        assert [document.name for document in documents] == sorted(topics)
        assert {document.name: document.text for document in documents} == dict(topics)

    def test_its_identity_is_that_of_its_content(self, monkeypatch: pytest.MonkeyPatch):
        before = open_corpus("python-docs").identity()
        assert before == open_corpus("python-docs").identity()
        assert before["kind"] == before["name"] == "python-docs"
        monkeypatch.setitem(topics, "while", topics["while"] + ".")
        assert open_corpus("python-docs").identity()["sha256"] != before["sha256"]


class TestText:
    def test_a_document_is_a_paragraph(self, tmp_path: Path):
        corpus = write(tmp_path / "x.txt", "\n  One\ntwo. \n \t\n\n\nThree\n\nFour")
        assert list(corpus) == [
            Document("paragraph 1", "  One\ntwo. "),
            Document("paragraph 2", "Three"),
            Document("paragraph 3", "Four"),
        ]

    @given(st.text("ab \t\né日😀", max_size=60))
    def test_paragraphs_are_those_of_a_regular_expression(self, text: str):
        with tempfile.TemporaryDirectory() as folder:
            corpus = write(Path(folder) / "x.txt", text)
            found = re.findall(r"(?:[^\n]*[^\s][^\n]*(?:\n|$))+", text)
            assert texts(corpus) == [paragraph.removesuffix("\n") for paragraph in found]

    def test_line_ends_of_windows_are_line_ends(self, tmp_path: Path):
        assert texts(write(tmp_path / "x.txt", "one\r\ntwo\r\n\r\nthree\r\n")) == ["one\ntwo", "three"]

    def test_a_byte_order_mark_is_no_text(self, tmp_path: Path):
        corpus = write(tmp_path / "x.txt", codecs.BOM_UTF8 + "été\n\n\ufeffx".encode())
        assert texts(corpus) == ["été", "\ufeffx"]  # only at the start of a file is it a mark
        assert corpus.n_undecodable_bytes == 0

    @given(st.binary(max_size=12).filter(lambda data: not set(data) & set(b"\r\n\0")))
    def test_each_undecodable_byte_is_replaced_and_counted(self, data: bytes):
        with tempfile.TemporaryDirectory() as folder:
            corpus = write(Path(folder) / "x.txt", b"x" + data)
            expected, n_bad = decode_slowly(b"x" + data)
            assert texts(corpus) == [expected]
            assert corpus.n_undecodable_bytes == n_bad

    def test_known_bad_bytes(self, tmp_path: Path):
        truncated, surrogate, latin = b"\xe2\x82", b"\xed\xa0\x80", b"caf\xe9"
        corpus = write(tmp_path / "x.txt", b"a" + truncated + b"b\n" + surrogate + b"\n\n" + latin)
        assert texts(corpus) == ["a\ufffd\ufffdb\n\ufffd\ufffd\ufffd", "caf\ufffd"]
        assert corpus.n_undecodable_bytes == 6

    def test_every_reading_counts_anew(self, tmp_path: Path):
        corpus = write(tmp_path / "x.txt", b"\xff a " + "\ufffd".encode())  # the second one stands in the file
        for _ in range(2):
            list(corpus)
            assert corpus.n_undecodable_bytes == 1

    def test_memory_does_not_grow_with_the_file(self, tmp_path: Path):
        corpus = write(tmp_path / "x.txt", "A paragraph of some length.\n\n" * 100_000)
        tracemalloc.start()
        n_documents = sum(1 for _ in corpus)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert n_documents == 100_000
        assert peak < 500_000  # the file has 2.9 MB

    def test_one_giant_line(self, tmp_path: Path):
        assert [len(text) for text in texts(write(tmp_path / "x.txt", "word " * 1_000_000))] == [5_000_000]


def decode_slowly(data: bytes) -> tuple[str, int]:
    """UTF-8 one character at a time; a byte that begins none is replaced."""
    out, n_bad, at = "", 0, 0
    while at < len(data):
        for width in (1, 2, 3, 4):
            try:
                out += data[at : at + width].decode()
            except UnicodeDecodeError:
                continue
            at += width
            break
        else:
            out, n_bad, at = out + "\ufffd", n_bad + 1, at + 1
    return out, n_bad


class TestJsonLines:
    def test_other_fields_are_metadata(self, tmp_path: Path):
        lines = [
            {"text": "One.", "id": "first", "title": "T", "year": 1999},
            {"title": "second", "text": "Two.", "tags": ["a", {"b": None}]},
            {"text": "Three.", "id": 3},
        ]
        corpus = write(tmp_path / "x.jsonl", "\r\n\n".join(json.dumps(line) for line in lines))
        assert list(corpus) == [
            Document("first", "One.", {"id": "first", "title": "T", "year": 1999}),
            Document("second", "Two.", {"title": "second", "tags": ["a", {"b": None}]}),
            Document("3", "Three.", {"id": 3}),
        ]

    def test_the_field_may_be_chosen(self, tmp_path: Path):
        write(tmp_path / "x.jsonl", '{"body": "One.", "text": "other"}')
        assert list(open_corpus(str(tmp_path / "x.jsonl"), field="body")) == [
            Document("line 1", "One.", {"text": "other"})
        ]

    def test_a_byte_order_mark_and_bad_bytes(self, tmp_path: Path):
        corpus = write(tmp_path / "x.jsonl", codecs.BOM_UTF8 + b'{"text": "caf\xe9"}')
        assert texts(corpus) == ["caf\ufffd"]
        assert corpus.n_undecodable_bytes == 1

    def test_lone_surrogates_are_replaced_and_counted_once(self, tmp_path: Path):
        line = r'{"text": "a\ud800b \ud83d\ude00", "id": "\udfff", "tags": [{"k\udc00": "\ude00\ud83d"}]}'
        corpus = write(tmp_path / "x.jsonl", line)
        assert list(corpus) == [
            Document("\ufffd", "a\ufffdb 😀", {"id": "\ufffd", "tags": [{"k\ufffd": "\ufffd\ufffd"}]})
        ]
        assert corpus.n_undecodable_bytes == 5


class TestWhatAnIndexHolds:
    @pytest.mark.parametrize(
        ("value", "told"),
        [
            ("1e999", r"the number 1e999, beyond the largest float64"),
            ('[{"x": -1e400}]', r"the number -1e400, beyond"),
            ("9" * 601, r"a whole number of 601 digits\. .*into a string: at most 600 are read"),
            ("9" * 5000, r"a whole number of 5,000 digits"),
            ("[" * 100 + "]" * 100, r"nested more than 100 deep"),
            ('{"a":' * 100 + "1" + "}" * 100, r"nested more than 100 deep"),
            ("[" * 50_000 + "]" * 50_000, r"nested more than 100 deep"),
            ('{"a": 1, "a": 2}', r"the field 'a' twice"),
            ('{"\\ud800": 1, "\\udfff": 2}', "the field '\ufffd' twice"),
            ('1, "n": 2', r"the field 'n' twice"),
        ],
    )
    def test_what_some_reader_could_not_read_is_refused_with_its_line(self, tmp_path: Path, value: str, told: str):
        corpus = write(tmp_path / "x.jsonl", '{"text": "fine"}\n\n{"text": "a", "n": ' + value + "}")
        with pytest.raises(InputError, match=r"line 3 of .*x\.jsonl has .*" + told):
            list(corpus)

    @pytest.mark.parametrize("value", [2**63, -(2**64), 10**400, 10**599, 1e308, 5e-324, -0.0, 1.0, True, None, "\0"])
    def test_what_every_reader_can_read_is_kept_as_it_is(self, tmp_path: Path, value: object):
        (document,) = write(tmp_path / "x.jsonl", json.dumps({"text": "a", '\0.$"': [value], "": value}))
        assert json.dumps(document.metadata) == json.dumps({'\0.$"': [value], "": value})

    def test_the_deepest_that_is_read(self, tmp_path: Path):
        (document,) = write(tmp_path / "x.jsonl", '{"text": "a", "n": ' + "[" * 99 + "]" * 99 + "}")
        assert json.dumps(document.metadata["n"]) == "[" * 99 + "]" * 99

    def test_a_null_in_text_is_refused(self, tmp_path: Path):
        with pytest.raises(
            InputError, match=r"line 1 of .* has a NUL character .* in its field 'text', at character 2\."
        ):
            list(write(tmp_path / "x.jsonl", r'{"text": "ab\u0000"}'))

    def test_a_document_is_called_by_a_whole_number_too(self, tmp_path: Path):
        ids = [{"id": 2**64 + 1}, {"id": True, "title": -3}, {"id": 1.5}]
        lines = "\n".join(json.dumps({"text": "a"} | one) for one in ids)
        names = [document.name for document in write(tmp_path / "x.jsonl", lines)]
        assert names == ["18446744073709551617", "-3", "line 3"]


class TestIdentity:
    def test_of_a_file_is_its_content(self, tmp_path: Path):
        first = write(tmp_path / "x.txt", "One.").identity()
        (tmp_path / "elsewhere").mkdir()
        assert write(tmp_path / "elsewhere" / "x.txt", "One.").identity() == first
        assert write(tmp_path / "x.txt", "One").identity()["sha256"] != first["sha256"]
        assert (first["kind"], first["name"]) == ("text", "x.txt")

    def test_of_json_lines_holds_the_field(self, tmp_path: Path):
        write(tmp_path / "x.jsonl", "{}")
        assert open_corpus(str(tmp_path / "x.jsonl"), field="body").identity()["field"] == "body"


class TestErrors:
    def test_an_unknown_corpus(self):
        with pytest.raises(InputError) as error:
            open_corpus("wikipedia")
        assert str(error.value) == (
            "no corpus is called 'wikipedia'. Expected topics, python-docs, a file (.txt, .txt.gz, .txt.zst, .jsonl, "
            ".jsonl.gz, .jsonl.zst, .parquet), a pattern of such files, hf:NAME, or - for standard input. "
            "For example: ffmem index MODEL notes.txt --out DIR."
        )

    def test_a_missing_file(self, tmp_path: Path):
        with pytest.raises(InputError, match=r"x\.txt does not exist\. Expected topics, python-docs, a file \(\.txt, "):
            open_corpus(str(tmp_path / "x.txt"))

    def test_a_folder(self, tmp_path: Path):
        (tmp_path / "x.jsonl").mkdir()
        with pytest.raises(InputError, match=r"x\.jsonl is a folder\. .* in quotes: '.*x\.jsonl/\*\*/\*\.txt'"):
            open_corpus(str(tmp_path / "x.jsonl"))

    def test_a_file_of_another_kind(self, tmp_path: Path):
        (tmp_path / "x.pdf").touch()
        with pytest.raises(InputError, match=r"x\.pdf is of no known kind\. Expected topics, python-docs, a file"):
            open_corpus(str(tmp_path / "x.pdf"))

    @pytest.mark.parametrize("line", ['{"text": ', '{"text": "a"} b', '{"text": NaN}', '{"text": Infinity}', "\u00a0"])
    def test_a_line_that_is_no_json(self, tmp_path: Path, line: str):
        corpus = write(tmp_path / "x.jsonl", '{"text": "fine"}\n\n' + line)
        with pytest.raises(InputError, match=r"line 3 of .*x\.jsonl is not JSON: .*Expected one JSON object a line"):
            list(corpus)

    def test_a_line_that_is_no_object(self, tmp_path: Path):
        with pytest.raises(InputError, match=r"line 1 of .* holds list\. Expected a JSON object"):
            list(write(tmp_path / "x.jsonl", "[1]"))

    @pytest.mark.parametrize("value", ["", '"text": null, ', '"text": 3, ', '"text": ["a"], '])
    def test_a_line_without_text(self, tmp_path: Path, value: str):
        with pytest.raises(InputError) as error:
            list(write(tmp_path / "x.jsonl", "{" + value + '"url": "", "body": ""}'))
        assert str(error.value) == (
            f"line 1 of {tmp_path / 'x.jsonl'} has no text in its field 'text'. "
            "Expected a string there; its other fields: body, url. "
            "Name the field that holds the text: --field NAME."
        )
