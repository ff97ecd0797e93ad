"""A corpus whose second part comes when a file is there: what a build does in the meantime is then no matter of time."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from ffmem.corpus.documents import Corpus, Document
from ffmem.errors import InputError
from ffmem.index.text.head import HEAD_SENTENCES
from ffmem.json_values import JsonObject

LINES = 250
"""Sentences of a document, if it is split into lines; all differ."""
N_FIRST = HEAD_SENTENCES // LINES + 40
"""Documents before the wait: a head, and as many as may be read before they are written."""
N_ALL = N_FIRST + 9


class WaitingCorpus(Corpus):
    """Documents of short lines.

    Args:
        go: the file that the documents after the first ones wait for.
        then: "goes on", "refused" (an error that the user can mend), "bug", or "killed": if this is not the main process.
        size: what it says of its bytes.
    """

    kind = name = "waiting"

    def __init__(self, go: Path, then: str = "goes on", size: int | None = None, is_elsewhere: bool = False) -> None:
        super().__init__()
        self._go, self._then, self._size, self.is_elsewhere = go, then, size, is_elsewhere

    def identity(self) -> JsonObject:
        return {"kind": self.kind, "name": self.name, "sha256": "0" * 64}

    def n_bytes(self) -> int | None:
        return self._size

    def __iter__(self) -> Iterator[Document]:
        for number in range(N_ALL):
            if number == N_FIRST:
                self._wait()
            lines = (f"w{(number * LINES + line) * 7919 % 100_003}" for line in range(LINES))
            yield Document(f"document {number}", "\n".join(lines))

    def _wait(self) -> None:
        until = time.monotonic() + 90
        while not self._go.exists():
            if time.monotonic() > until:
                raise RuntimeError("nobody lets this corpus go on")
            time.sleep(0.01)
        if self._then == "refused":
            raise InputError("a line is bad", "Expected a good one", "Mend it")
        if self._then == "bug":
            raise ZeroDivisionError("in a reader")
        if self._then == "killed" and multiprocessing.parent_process() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
