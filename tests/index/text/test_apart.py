"""A process that writes a text: what it says, and its end."""

import time
from collections.abc import Iterator
from pathlib import Path
from pickle import PicklingError
from typing import Any

import numpy as np
import pytest

from ffmem.corpus.documents import PythonDocs
from ffmem.errors import InputError
from ffmem.index.text.apart import TextProcess, TextProcessDiedError
from ffmem.index.text.token_spool import read_spooled, tokens_path
from ffmem.index.text.writer import Readable, TextCounts, TextSource, write_text
from ffmem.options import IndexOptions
from ffmem.store.files import map_arrays
from tests.index.run.test_processes import workers
from tests.index.text.test_processes import BPE, BYTES

OPTIONS = IndexOptions(holdout=0.2)


def source(*corpora: Any) -> TextSource:
    return TextSource(corpora or (PythonDocs(), PythonDocs()), BPE, BYTES, ["a"], 200)


def listen(process: TextProcess) -> Iterator[Readable | TextCounts]:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for said in process.said(1.0):
            yield said
            if isinstance(said, TextCounts):
                return


def test_what_it_says_can_be_read_and_the_files_are_those_that_are_written_here(tmp_path: Path) -> None:
    here, apart = tmp_path / "here", tmp_path / "apart"
    for folder in (here, apart):
        folder.mkdir()
    expected = write_text(here, source(), OPTIONS)
    arrays = map_arrays(tokens_path(here))
    process, said = TextProcess(apart, source(), OPTIONS, 0), list[Any]()
    for one in listen(process):
        said.append(one)
        if isinstance(one, Readable) and not tokens_path(apart).exists():
            lengths, _, tokens = read_spooled(apart / "indexed", 0, one.n_sentences, 0)
            starts = arrays["sentence_start"][: one.n_sentences + 1].astype(np.int64)
            assert lengths.tolist() == np.diff(starts).tolist()
            assert tokens.tolist() == arrays["token_id"][: starts[-1]].tolist()
    process.close()
    assert said.pop() == expected
    counts = [one.n_sentences for one in said]
    assert counts == sorted(counts) and counts[-1] == expected.n_sentences
    ends = [one.n_sentences for one in said if one.corpus_ended]
    assert np.diff([0, *ends]).tolist() == expected.n_sentences_by_corpus
    for path in here.iterdir():
        assert (apart / path.name).read_bytes() == path.read_bytes(), path.name
    assert {path.name for path in apart.iterdir()} == {path.name for path in here.iterdir()}


def test_what_refuses_the_text_is_raised_here(tmp_path: Path) -> None:
    process = TextProcess(tmp_path, source(PythonDocs()), IndexOptions(holdout=0.0, split="windows:500"), 0)
    with pytest.raises(InputError, match="--split asks for windows of 500 tokens, longer than the context"):
        list(listen(process))
    process.close()


def test_a_killed_one_is_told_and_none_outlives_its_end(tmp_path: Path) -> None:
    process = TextProcess(tmp_path, source(), OPTIONS, 0)
    process._process.kill()
    with pytest.raises(TextProcessDiedError):
        list(listen(process))
    process.close()
    (tmp_path / "again").mkdir()
    TextProcess(tmp_path / "again", source(), OPTIONS, 0).close()
    assert not workers()


def test_what_cannot_be_sent_is_told_before_anything_is_started(tmp_path: Path) -> None:
    class Local(PythonDocs):
        pass

    with pytest.raises(PicklingError):
        TextProcess(tmp_path, source(Local()), OPTIONS, 0)
    assert not workers()
