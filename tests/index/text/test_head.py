"""The beginning of a text: the same while it is written and of the finished index."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import ffmem
from ffmem import IndexOptions, RunOptions
from ffmem.index.text import head
from ffmem.index.text.head import Head, HeadWriter, head_of, head_path, may_have_pieces, read_head


@pytest.mark.parametrize(("n_sentences", "n_characters"), [(3, 1000), (1000, 9), (2, 5)])
def test_it_ends_with_the_sentence_that_fills_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_sentences: int, n_characters: int
) -> None:
    monkeypatch.setattr(head, "HEAD_SENTENCES", n_sentences)
    monkeypatch.setattr(head, "HEAD_CHARACTERS", n_characters)
    writer = HeadWriter(tmp_path)
    texts = ["one", "two", "three", "four", "five"]
    for number, text in enumerate(texts):
        is_full = number >= n_sentences or sum(map(len, texts[:number])) >= n_characters
        assert (writer.n_sentences is not None) == is_full == head_path(tmp_path).exists()
        writer.has_pieces |= number == 3
        writer.add(text)
    assert read_head(tmp_path) == Head(tuple(texts[: writer.n_sentences]), False), "what comes later is no part of it"


def test_a_short_text_is_its_own_head(tmp_path: Path) -> None:
    writer = HeadWriter(tmp_path)
    writer.add("only this")
    writer.has_pieces = True
    writer.finish()
    writer.finish()
    assert read_head(tmp_path) == Head(("only this",), True) and writer.n_sentences == 1


@pytest.mark.parametrize("max_length", [None, 8])
def test_the_head_of_an_index_is_the_one_that_was_written(
    tiny_folder: Callable[[str], Path],
    corpus: Path,
    small_options: IndexOptions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    max_length: int | None,
) -> None:
    monkeypatch.setattr(head, "HEAD_CHARACTERS", 2000)
    written: list[Head] = []
    write = HeadWriter.finish

    def finish(self: HeadWriter) -> None:
        write(self)
        written.append(read_head(self._folder))

    monkeypatch.setattr(HeadWriter, "finish", finish)
    options = replace(small_options, max_length=max_length)
    index = ffmem.build_index(tiny_folder("gpt2"), corpus, tmp_path / "i", options=options, run=RunOptions(workers=0))
    assert may_have_pieces(index.manifest) is (max_length is not None)
    assert head_of(index.text, may_have_pieces(index.manifest)) == written[0]
    assert 2000 <= sum(map(len, written[0].texts)) < 2200 and len(written[0].texts) < index.text.n_sentences
    drawn = index.manifest.certificate.json["sentence_ids"]
    assert max(drawn) < len(written[0].texts), "the certificate is measured there"
