"""Documents made ready in several processes, in order; this one too, until the others are there and wherever they are not."""

import os
import signal
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import current_process, get_context

from tokenizers import Tokenizer

from ffmem.corpus.documents import Document
from ffmem.index.parent import end_with_parent
from ffmem.index.text.prepare import NamedText, Prepared, Preparer, Recipe
from ffmem.options import RunOptions

MOST_PROCESSES = 8
"""The process that writes keeps no more of them at work."""
LEAST_PROCESSORS = 4
"""With fewer of them other processes take more than they give: all together use about half as much processor time again."""
_ALONE = 48
"""Batches before other processes are started: these take about as long as their start."""
_MOST_CHARACTERS_WAITING = 1 << 23
"""In all batches that were read and not yet written, but for the last; a longer one stays in this process."""


@dataclass(frozen=True)
class ReadDocument:
    """A document, and how far the corpus was read for it."""

    number: int
    document: Document
    n_undecodable_bytes: int
    n_lines: int


@dataclass(frozen=True)
class _Waiting:
    documents: list[ReadDocument]
    n_characters: int
    promised: "Future[Prepared] | None"
    """None: this process does it."""


def n_text_processes(run: RunOptions, n_processors: int) -> int:
    """How many processes prepare text beside the one that writes it.

    Args:
        run: what a user asks for.
        n_processors: that this process may use.
    """
    if run.text_processes is not None:
        return run.text_processes
    return 0 if n_processors < LEAST_PROCESSORS or run.workers == 0 else min(n_processors - 1, MOST_PROCESSES)


class TextProcesses:
    """Prepares batches of documents, and gives them back in the order in which they come.

    Args:
        recipe: how.
        n_processes: besides this one; 0: none. They are started when the corpus turns out to be worth it, and a build goes on
            without them when they die. What comes out depends on none of that.
    """

    def __init__(self, recipe: Recipe, n_processes: int) -> None:
        may_have = not current_process().daemon  # whose children would outlive it
        self._recipe, self._n_processes = recipe, n_processes if may_have else 0
        self._here = Preparer(recipe)
        self._pool: ProcessPoolExecutor | None = None
        self._first: Future[None] | None = None
        self._n_batches = 0

    def __enter__(self) -> "TextProcesses":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def prepared(self, batches: Iterator[list[ReadDocument]]) -> Iterator[tuple[list[ReadDocument], Prepared]]:
        """Each batch and what became of it, in order.

        Raises:
            Exception: what reading raises, after the batches before it; and what `Preparer.prepare` raises.
        """
        waiting: deque[_Waiting] = deque()
        n_characters, ended, failure = 0, False, None
        while True:
            while not ended and self._has_room(len(waiting), n_characters):
                try:
                    documents = next(batches, None)
                except Exception as error:  # noqa: BLE001 (told when what was read before it is written)
                    documents, failure = None, error
                if documents is None:
                    ended = True
                else:
                    waiting.append(self._begin(documents))
                    n_characters += waiting[-1].n_characters
            if not waiting:
                break
            batch = waiting.popleft()
            n_characters -= batch.n_characters
            yield batch.documents, self._end(batch)
        if failure is not None:
            raise failure

    def _has_room(self, n_waiting: int, n_characters: int) -> bool:
        if self._pool is None:
            return n_waiting == 0
        return n_waiting <= 2 * self._n_processes and n_characters < _MOST_CHARACTERS_WAITING

    def _begin(self, documents: list[ReadDocument]) -> _Waiting:
        self._n_batches += 1
        if self._n_processes and self._pool is None and self._n_batches > _ALONE:
            self._start()
        n_characters = sum(len(one.document.text) for one in documents)
        promised = None
        if self._is_ready() and n_characters < _MOST_CHARACTERS_WAITING:
            assert self._pool is not None
            try:
                promised = self._pool.submit(_prepare, _texts(documents))
            except BrokenProcessPool:
                self._go_on_alone()
        return _Waiting(documents, n_characters, promised)

    def _end(self, batch: _Waiting) -> Prepared:
        if batch.promised is not None:
            try:
                return batch.promised.result()
            except BrokenProcessPool:  # one was killed, perhaps for its memory: there is no need of them
                self._go_on_alone()
        return self._here.prepare(_texts(batch.documents))

    def _start(self) -> None:
        assert self._recipe.tokenizer is not None
        tokenizer, recipe = (
            self._recipe.tokenizer.to_str(),
            replace(self._recipe, tokenizer=None),
        )  # written once for all
        self._pool = ProcessPoolExecutor(self._n_processes, get_context("spawn"), _begin_process, (tokenizer, recipe))
        self._first, *_ = [self._pool.submit(_nothing) for _ in range(self._n_processes)]

    def _is_ready(self) -> bool:
        """Whether a process has started; until then this one does not wait."""
        if self._first is None or not self._first.done():
            return False
        if self._first.exception() is not None:
            self._go_on_alone()
            return False
        return True

    def _go_on_alone(self) -> None:
        self._stop()
        self._n_processes = 0

    def _stop(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._pool = self._first = None


def _texts(documents: list[ReadDocument]) -> list[NamedText]:
    return [NamedText(one.document.name, one.document.text) for one in documents]


_here: list[Preparer] = []
"""Of a process of the pool."""


def _begin_process(tokenizer: str, recipe: Recipe) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends us
    end_with_parent()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # there are as many processes as processors
    _here.append(Preparer(replace(recipe, tokenizer=Tokenizer.from_str(tokenizer))))


def _nothing() -> None:
    pass


def _prepare(documents: list[NamedText]) -> Prepared:
    return _here[0].prepare(documents)
