"""Several processes: the same bytes, the same errors, and none of them is needed."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ffmem.corpus.documents import Corpus, Document
from ffmem.errors import InputError
from ffmem.index.text import processes, writer
from ffmem.index.text.prepare import Preparer, Recipe
from ffmem.index.text.processes import ReadDocument, TextProcesses, n_text_processes
from ffmem.index.text.writer import TextCounts, TextSource, write_text
from ffmem.options import IndexOptions, RunOptions
from tests.corpus.tiny_tokenizers import byte_level, token_bytes

BPE = byte_level()
BYTES = token_bytes(BPE)
FILES = ("text.sqlite", "tokens.safetensors", "tokenizer.json")


class Made(Corpus):
    """Documents that repeat themselves, some long; reading may end with an error."""

    kind = name = "made"

    def __init__(self, n: int, first: int = 0, fails_at: int | None = None) -> None:
        super().__init__()
        self._n, self._first, self._fails_at = n, first, fails_at

    def __iter__(self) -> Iterator[Document]:
        self.n_undecodable_bytes = self.n_lines = 0
        for i in range(self._first, self._first + self._n):
            if i == self._fails_at:
                raise InputError(f"line {i} is damaged", "Expected a line", "Mend it")
            self.n_lines += 2
            self.n_undecodable_bytes += i % 3 == 0
            text = f"Number {i}. The fox {i % 7} runs. A dog! é 日本 {'z' * (i % 29)}."
            yield Document(f"d{i}", text if i % 11 else " ", {"i": i})


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many batches in a small corpus, and other processes from the third of them on."""
    monkeypatch.setattr(writer, "_CHARACTERS_AT_ONCE", 1500)
    monkeypatch.setattr(processes, "_ALONE", 2)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process waits for the others, so that they are sure to take part."""
    is_ready = TextProcesses._is_ready

    def wait(self: TextProcesses) -> bool:
        if self._first is not None:
            self._first.exception(timeout=120)
        return is_ready(self)

    monkeypatch.setattr(TextProcesses, "_is_ready", wait)


def run(folder: Path, corpora: list[Corpus], options: IndexOptions, n: int, max_tokens: int = 30) -> TextCounts:
    folder.mkdir()
    return write_text(folder, TextSource(corpora, BPE, BYTES, [], max_tokens), options, n_processes=n)


CASES = {
    "all": (IndexOptions(holdout=0.3), None),
    "kept, windows": (IndexOptions(holdout=0.3, duplicates="keep", split="windows:12:5"), None),
    "a limit": (IndexOptions(holdout=0.1, max_sentences=333), None),
    "a limit before damage": (IndexOptions(holdout=0.1, max_tokens=3000), 320),
}


@pytest.mark.usefixtures("small_batches", "patient")
@pytest.mark.parametrize("n", [1, 3])
def test_the_same_bytes_with_any_number(tmp_path: Path, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    here: list[int] = []
    prepare = Preparer.prepare
    monkeypatch.setattr(Preparer, "prepare", lambda self, some: here.append(len(some)) or prepare(self, some))
    for name, (options, fails_at) in CASES.items():
        corpora: list[Corpus] = [Made(150), Made(260, first=100, fails_at=fails_at)]
        counts = run(tmp_path / f"{name} 0", corpora, options, 0)
        alone = len(here)
        here.clear()
        assert run(tmp_path / f"{name} {n}", corpora, options, n) == counts
        assert counts.n_duplicates or options.duplicates == "keep"
        for file in FILES:
            first, second = ((tmp_path / f"{name} {many}" / file).read_bytes() for many in (0, n))
            assert first == second, (name, file)
        assert len(here) == 2 < alone  # the others did the rest
        here.clear()


@pytest.mark.usefixtures("small_batches", "patient")
def test_errors_are_told_in_their_turn(tmp_path: Path) -> None:
    options = IndexOptions(holdout=0, long_sentences="refuse")
    damaged = [Made(400, first=1, fails_at=300)]
    found = []
    for n in (0, 2):
        for name, corpora, max_tokens in (("damaged", damaged, 100), ("long", damaged, 34)):
            with pytest.raises(InputError) as error:
                run(tmp_path / f"{name} {n}", list(corpora), options, n, max_tokens)
            found.append(str(error.value))
    assert found[:2] == found[2:]
    assert found[0].startswith("line 300 is damaged") and "has a sentence of 3" in found[1]


def batches(n: int) -> Iterator[list[ReadDocument]]:
    for i in range(n):
        yield [ReadDocument(i, Document(f"d{i}", f"The fox {i}."), 0, 0)]


@pytest.mark.usefixtures("small_batches", "patient")
def test_when_one_is_killed_the_rest_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe(BPE, BYTES, 100, IndexOptions(holdout=0))
    texts = []
    with TextProcesses(recipe, 2) as some:
        for number, (documents, prepared) in enumerate(some.prepared(batches(40))):
            assert documents[0].number == number
            texts += prepared.texts
            if number == 5:
                assert some._pool is not None
                for pid in list(some._pool._processes):
                    os.kill(pid, signal.SIGKILL)
        assert some._n_processes == 0
    assert texts == [f"The fox {i}." for i in range(40)]


@pytest.mark.usefixtures("small_batches", "patient")
def test_a_process_that_cannot_start_is_not_needed() -> None:
    recipe = Recipe(BPE, BYTES, 100, IndexOptions(holdout=0))
    with TextProcesses(recipe, 1) as some:
        broken = replace(recipe)
        object.__setattr__(broken, "token_bytes", 7)  # of which the other process makes nothing
        some._recipe = broken
        assert [one.texts for _, one in some.prepared(batches(8))] == [[f"The fox {i}."] for i in range(8)]
        assert some._n_processes == 0


def test_a_small_corpus_starts_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TextProcesses, "_start", lambda self: pytest.fail("another process was started"))
    run(tmp_path / "text", [Made(300)], IndexOptions(holdout=0), 4)


@pytest.mark.usefixtures("small_batches")
def test_no_more_is_read_ahead_than_the_processes_need(monkeypatch: pytest.MonkeyPatch, patient: None) -> None:
    read: list[int] = []

    def noted() -> Iterator[list[ReadDocument]]:
        for batch in batches(60):
            read.append(batch[0].number)
            yield batch

    with TextProcesses(Recipe(BPE, BYTES, 100, IndexOptions(holdout=0)), 2) as some:
        for number, _ in enumerate(some.prepared(noted())):
            assert read[-1] <= number + 5
        monkeypatch.setattr(processes, "_MOST_CHARACTERS_WAITING", 20)
        read.clear()
        for number, _ in enumerate(some.prepared(noted())):
            assert read[-1] <= number + 2


@pytest.mark.parametrize(
    ("run", "n_processors", "n"),
    [
        (RunOptions(), 1, 0),
        (RunOptions(), 3, 0),
        (RunOptions(), 4, 3),
        (RunOptions(), 64, 8),
        (RunOptions(workers=0), 4, 0),
        (RunOptions(workers=0, text_processes=3), 1, 3),
        (RunOptions(text_processes=0), 4, 0),
    ],
)
def test_how_many_there_are(run: RunOptions, n_processors: int, n: int) -> None:
    assert n_text_processes(run, n_processors) == n


def test_fewer_than_none_are_refused() -> None:
    with pytest.raises(InputError, match="--text-processes is -1"):
        RunOptions(text_processes=-1)
