"""Text that is written while the model reads it: the same index, whatever happens to the process that writes."""

import json
import os
import pickle
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import ffmem
from ffmem import Index, IndexOptions, InputError, RunOptions
from ffmem.corpus.documents import PythonDocs
from ffmem.corpus.registry import open_corpus
from ffmem.index import build_text
from ffmem.index.build import build_requested
from ffmem.index.build_text import BuildText
from ffmem.index.progress import Progress
from ffmem.index.request import Request
from ffmem.index.text.apart import TextProcess
from ffmem.index.text.token_spool import writing_folder
from ffmem.index.text.writer import TextSource
from tests.index.run.test_kills import contents
from tests.index.run.test_processes import workers
from tests.index.text.test_processes import BPE, BYTES
from tests.index.waiting_text import LINES, N_ALL, WaitingCorpus

OPTIONS = IndexOptions(
    split="lines", holdout=0.0, top=3, promoted=3, sample=2, cells="L1", shard_tokens=20_000, batch_tokens=4000
)
IN_PROCESS = RunOptions(workers=1)


class Build:
    """Builds an index of a waiting corpus, which goes on as soon as a worker has read a shard."""

    def __init__(self, model: Path, folder: Path) -> None:
        self._model, self._folder = model, folder
        self.heard: list[Progress] = []

    def __call__(self, name: str, run: RunOptions = IN_PROCESS, begins: str = "", **corpus: Any) -> Index:
        go = self._folder / f"{name}-go"
        self.heard.clear()

        def listen(progress: Progress) -> None:
            self.heard.append(progress)
            if progress.event == "task" and progress.task.startswith("shard"):
                go.touch()

        request = Request(str(self._model), None, (WaitingCorpus(go, **corpus),), OPTIONS)
        if begins == "at once":
            go.touch()
        return build_requested(request, self._folder / name, run, listen)


@pytest.fixture
def build(tiny_folder: Callable[[str], Path], tmp_path: Path) -> Build:
    return Build(tiny_folder("gpt2"), tmp_path)


@pytest.fixture(scope="module")
def whole(tiny_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Index:
    """The index whose text was there before the model read it."""
    made = Build(tiny_folder("gpt2"), tmp_path_factory.mktemp("whole"))
    index = made("index", begins="at once", size=0)
    assert all(progress.is_text_whole for progress in made.heard)
    assert index.text.n_sentences == N_ALL * LINES
    return index


@pytest.mark.parametrize("run", [IN_PROCESS, RunOptions(workers=2)], ids=["here", "two workers"])
def test_the_model_reads_what_is_written_while_the_rest_is_not_there_yet(
    build: Build, whole: Index, run: RunOptions
) -> None:
    index = build("index", run)
    scan = [one for one in build.heard if one.stage == "memories"]
    first = next(one for one in scan if one.event == "task" and one.task.startswith("shard"))
    assert not first.is_text_whole and first.n_tokens_all < index.manifest.counts.n_tokens and first.remaining_s is None
    assert scan[-1].is_text_whole and scan[-1].n_tokens == scan[-1].n_tokens_all == index.manifest.counts.n_tokens
    assert contents(index.folder) == contents(whole.folder)
    (told,) = json.loads((index.folder / "run.json").read_text())["runs"]
    assert told["stages_s"]["text"] > 0
    assert not workers()


def test_a_killed_writer_is_no_loss(build: Build, whole: Index) -> None:
    """The text is written again, by this process, and the shards that were read are not read again."""
    index = build("index", then="killed")
    read = [one.task for one in build.heard if one.event == "task"]
    assert len(read) == len(set(read))
    assert contents(index.folder) == contents(whole.folder)


@pytest.mark.parametrize("is_elsewhere", [False, True])
def test_a_text_that_is_refused_leaves_nothing_unless_it_may_come_later(
    build: Build, whole: Index, tmp_path: Path, is_elsewhere: bool
) -> None:
    with pytest.raises(InputError, match="a line is bad"):
        build("index", then="refused", is_elsewhere=is_elsewhere)
    assert any(one.event == "task" for one in build.heard) and not workers()
    assert (tmp_path / "index").exists() == is_elsewhere
    if is_elsewhere:
        index = build("index", begins="at once", size=0)
        assert contents(index.folder) == contents(whole.folder)


def test_a_bug_of_a_reader_is_shown_and_what_was_read_is_kept(build: Build, whole: Index, tmp_path: Path) -> None:
    with pytest.raises(
        RuntimeError, match=r"(?s)the process that writes the text failed.*ZeroDivisionError: in a reader"
    ):
        build("index", RunOptions(workers=1, checkpoint_s=0), then="bug")
    assert not workers()
    (tmp_path / "index-go").unlink()
    index = build("index")
    assert "shard-0" not in [one.task for one in build.heard], "an earlier run has read it"
    assert next(one for one in build.heard if one.stage == "memories" and one.n_tokens_all).is_text_whole is False
    assert contents(index.folder) == contents(whole.folder)


def test_what_cannot_be_sent_to_a_process_is_written_here(
    build: Build, whole: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: object) -> None:
        raise pickle.PicklingError("of this process alone")

    monkeypatch.setattr(WaitingCorpus, "__reduce__", refuse)
    index = build("index", begins="at once")
    assert all(progress.is_text_whole for progress in build.heard)
    assert contents(index.folder) == contents(whole.folder)


def test_a_process_of_a_killed_run_cannot_touch_the_text_of_the_next(
    build: Build, whole: Index, tmp_path: Path
) -> None:
    """It may have been stopped, or be about to begin, when the run that started it is killed: it writes nothing of the next."""
    left = TextProcess(writing_folder(tmp_path / "index" / "work", "old"), *text_of_another(), 0)
    try:
        os.kill(left._process.pid or 0, signal.SIGSTOP)
        (tmp_path / "index" / "work" / "text-old").mkdir(parents=True)

        def listen(progress: Progress) -> None:
            if progress.stage == "certificate":
                os.kill(left._process.pid or 0, signal.SIGCONT)
                left._process.join(20)
                (tmp_path / "go").touch()

        request = Request(str(build._model), None, (WaitingCorpus(tmp_path / "go"),), OPTIONS)
        index = build_requested(request, tmp_path / "index", IN_PROCESS, listen)
    finally:
        left.close()
    assert contents(index.folder) == contents(whole.folder)


def text_of_another() -> tuple[TextSource, IndexOptions]:
    return TextSource((PythonDocs(),), BPE, BYTES, ["a"], 200), OPTIONS


@pytest.mark.parametrize("how", ["shorter", "longer", "another", "removed"])
def test_a_corpus_that_changes_while_it_is_read_is_refused(
    how: str, build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index would be named by the hash of what was there before."""
    corpus = tmp_path / "text.txt"
    corpus.write_text("".join(f"line {number} of a text\n" for number in range(3000)))

    def listen(progress: Progress) -> None:
        if progress.stage == "text":
            if how == "removed":
                corpus.unlink()
            else:
                text = corpus.read_text()
                corpus.write_text(
                    {"shorter": text[:20_000], "longer": text + "more\n", "another": text.swapcase()}[how]
                )

    for long_bytes in (10**9, 0):
        monkeypatch.setattr(build_text, "LONG_BYTES", long_bytes)
        corpus.write_text("".join(f"line {number} of a text\n" for number in range(3000)))
        request = Request(str(build._model), None, (open_corpus(str(corpus)),), OPTIONS)
        with pytest.raises(
            InputError, match=r"text\.txt (was changed, or removed, while it was read|cannot be read: No such)"
        ):
            build_requested(request, tmp_path / "index", IN_PROCESS, listen)
        assert not (tmp_path / "index").exists()


def test_a_text_that_is_refused_in_a_later_run_leaves_nothing_of_the_first(build: Build, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        build("index", then="bug")
    assert (tmp_path / "index" / "work" / "job.json").exists()
    with pytest.raises(InputError, match="a line is bad"):
        build("index", then="refused")
    assert not any((tmp_path / "index").iterdir()) or [one.name for one in (tmp_path / "index").iterdir()] == ["lock"]


@pytest.mark.parametrize("options", [replace(OPTIONS, exclude_shards="1"), replace(OPTIONS, exclude_shards="999")])
def test_where_shards_are_left_out_the_text_is_whole_first(build: Build, tmp_path: Path, options: IndexOptions) -> None:
    go = tmp_path / "go"
    go.touch()
    heard: list[Progress] = []
    request = Request(str(build._model), None, (WaitingCorpus(go),), options)
    if options.exclude_shards == "999":
        with pytest.raises(InputError, match="there is no shard 999"):
            build_requested(request, tmp_path / "index", IN_PROCESS, heard.append)
        assert not (tmp_path / "index").exists() and not any(one.stage == "memories" for one in heard)
        return
    index = build_requested(request, tmp_path / "index", IN_PROCESS, heard.append)
    assert [shard.shard_id for shard in index.manifest.excluded_shards] == [1]
    assert all(one.is_text_whole for one in heard)


def test_more_text_is_written_apart_behind_that_of_the_index_it_extends(
    build: Build, tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    """The shards of the base come first, and are not read again."""
    corpus = tmp_path / "first.txt"
    corpus.write_text("a first text\nof few lines\n")
    base = ffmem.build_index(tiny_folder("gpt2"), corpus, tmp_path / "base", options=OPTIONS, run=IN_PROCESS)
    indexes = []
    for name, size in (("whole", 0), ("apart", None)):
        go = tmp_path / f"{name}-go"
        heard: list[Progress] = []

        def listen(progress: Progress, go: Path = go, heard: list[Progress] = heard) -> None:
            heard.append(progress)
            if progress.event == "task" and progress.task.startswith("shard"):
                go.touch()

        if size == 0:
            go.touch()
        request = Request(str(tiny_folder("gpt2")), None, (WaitingCorpus(go, size=size),), OPTIONS, base)
        indexes.append(build_requested(request, tmp_path / name, IN_PROCESS, listen))
        assert all(one.is_text_whole for one in heard) == (size == 0)
        assert "shard-0" not in [one.task for one in heard] and "shard-1" in [one.task for one in heard]
    assert contents(indexes[0].folder) == contents(indexes[1].folder)


@pytest.mark.parametrize(
    ("size", "max_tokens", "is_long"),
    [
        (10**9, None, True),
        (None, None, True),
        (1999, None, False),
        (2000, None, True),
        (None, 499, False),
        (None, 500, True),
    ],
)
def test_a_corpus_is_long_by_what_it_says_and_by_what_is_asked_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int | None, max_tokens: int | None, is_long: bool
) -> None:
    monkeypatch.setattr(build_text, "LONG_BYTES", 2000)
    options = IndexOptions(max_tokens=max_tokens)
    request = Request("m", None, (WaitingCorpus(tmp_path, size=size),), options)
    assert BuildText(tmp_path, request, IN_PROCESS).is_long is is_long
    assert not BuildText(tmp_path, request, RunOptions(workers=0)).is_long, "nothing is started"
