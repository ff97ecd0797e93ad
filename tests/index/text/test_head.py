"""The beginning of a text: the same while it is written and of the finished text."""

from dataclasses import replace
from pathlib import Path

import pytest

from ffmem.corpus.documents import PythonDocs
from ffmem.index.text import head
from ffmem.index.text.head import Head, HeadWriter, head_of, may_have_pieces, read_head
from ffmem.index.text.writer import Readable, TextSource, write_text
from ffmem.options import IndexOptions
from ffmem.store.text import TextReader
from tests.index.text.test_processes import BPE, BYTES


@pytest.mark.parametrize(("n_sentences", "n_characters"), [(3, 1000), (1000, 9), (2, 5)])
def test_it_ends_with_the_sentence_that_fills_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_sentences: int, n_characters: int
) -> None:
    monkeypatch.setattr(head, "HEAD_SENTENCES", n_sentences)
    monkeypatch.setattr(head, "HEAD_CHARACTERS", n_characters)
    writer = HeadWriter(tmp_path)
    texts, n = ["one", "two", "three", "four", "five"], 0
    for number, text in enumerate(texts):
        is_full = number >= n_sentences or sum(map(len, texts[:number])) >= n_characters
        assert writer.is_whole == is_full == any(tmp_path.iterdir())
        n += not is_full
        writer.has_pieces |= number == 3
        writer.add(text)
    assert read_head(tmp_path) == Head(tuple(texts[:n]), False), "what comes later is no part of it"
    writer.remove()
    with pytest.raises(FileNotFoundError):
        read_head(tmp_path)


@pytest.mark.parametrize(("max_tokens", "split"), [(50_000, "sentences"), (8, "sentences"), (500, "windows:20")])
def test_the_head_of_a_finished_text_is_the_one_that_was_read_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, max_tokens: int, split: str
) -> None:
    monkeypatch.setattr(head, "HEAD_CHARACTERS", 30_000)
    options = IndexOptions(holdout=0.2, split=split)
    read: list[Head] = []

    def tell(readable: Readable) -> None:
        if readable.has_head and not read:
            read.append(read_head(tmp_path))
            assert len(read[0].texts) <= readable.n_sentences

    source = TextSource((PythonDocs(),), BPE, BYTES, ["a"], max_tokens)
    counts = write_text(tmp_path, source, options, tell=tell)
    has_pieces = may_have_pieces(counts.n_windows, options)
    assert has_pieces is (max_tokens == 8 or split != "sentences")
    assert head_of(TextReader(tmp_path), has_pieces) == read[0]
    assert sum(map(len, read[0].texts[:-1])) < 30_000 <= sum(map(len, read[0].texts))


def test_a_short_text_is_its_own_head(tmp_path: Path) -> None:
    source = TextSource((PythonDocs(),), BPE, BYTES, ["a"], 500)
    write_text(tmp_path, source, replace(IndexOptions(), max_sentences=5))
    reader = TextReader(tmp_path)
    assert head_of(reader, False).texts == tuple(reader.sentence(number).text for number in range(5))
