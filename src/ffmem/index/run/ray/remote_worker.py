"""What a worker of a cluster does on its node, and what it answers. Knows no cluster engine.

The text of a shard comes with the task. Where its node has the work folder, it writes there like a worker process; elsewhere
what it would write goes back with the answers.
"""

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ffmem.errors import FfmemError
from ffmem.index.run.job import Files, FolderFiles, Job, Worker


@dataclass(frozen=True)
class Answer:
    """What came of a call."""

    n_tokens: int = 0
    """Tokens that went through the model."""
    saved: frozenset[str] = frozenset()
    """The ids of the tasks that its state covers, if it was saved."""
    files: dict[str, np.ndarray] = field(default_factory=dict)
    """What is to be written into the work folder, as bytes (uint8): an engine can hand arrays over without a copy."""
    texts: tuple[str, ...] = ()
    """What else the worker said."""
    n_values: int = 0
    """Values that were projected."""
    error: Exception | None = None
    """What went wrong; the worker is not to be used any more."""


class CarriedFiles:
    """Files that are carried between a worker and the machine that has the work folder.

    Args:
        state: the state file to go on from, if there is one.
    """

    def __init__(self, state: np.ndarray | None) -> None:
        self._state = state
        self._written: dict[str, np.ndarray] = {}

    def read(self, name: str) -> bytes | None:
        """See Files.read."""
        state, self._state = self._state, None
        return None if state is None else state.tobytes()

    def write(self, name: str, data: bytes) -> None:
        """See Files.write."""
        self._written[name] = np.frombuffer(data, dtype=np.uint8)

    def take(self) -> dict[str, np.ndarray]:
        """What was written since it was last asked for."""
        written, self._written = self._written, {}
        return written


class RemoteWorker:
    """A worker that answers each call with what came of it.

    Args:
        job: what is done.
        slot: its number.
        shared: whether it sees the work folder.
        state: otherwise, the state file to go on from, if there is one.
    """

    def __init__(self, job: Job, slot: int, shared: bool, state: np.ndarray | None) -> None:
        self._job, self._slot = job, slot
        self._carried = None if shared else CarriedFiles(state)
        self._worker: Worker | None = None
        self._error: Exception | None = None
        self._saved_at = time.monotonic()

    def start(self, check: bool) -> Answer:
        """Load the model, and check if it is the one that is meant."""

        def do() -> Answer:
            files: Files = self._carried or FolderFiles(Path(self._job.folder))
            self._worker = self._job.start(self._slot, files)
            if check:
                self._job.check(self._worker)
            self._saved_at = time.monotonic()
            return Answer()

        return self._guarded(do)

    def do(self, task: Any) -> Answer:
        """Do a task, and save if it is time to."""
        counts: list[int] = []
        values: list[int] = []
        texts: list[str] = []

        def report(n_tokens: int, text: str = "", n_values: int = 0) -> None:
            counts.append(n_tokens)
            values.append(n_values)
            texts.extend([text] if text else [])

        def do() -> Answer:
            assert self._worker is not None
            self._worker.do(task, report)
            saved: frozenset[str] = frozenset()
            if time.monotonic() - self._saved_at >= self._job.checkpoint_s:
                saved = self._save()
            return Answer(sum(counts), saved, self._take(), tuple(texts), n_values=sum(values))

        return self._guarded(do)

    def save(self) -> Answer:
        """Save."""
        return self._guarded(lambda: Answer(saved=self._save(), files=self._take()))

    def _save(self) -> frozenset[str]:
        assert self._worker is not None
        saved = frozenset(self._worker.save())
        self._saved_at = time.monotonic()
        return saved

    def _take(self) -> dict[str, np.ndarray]:
        return self._carried.take() if self._carried is not None else {}

    def _guarded(self, do: Callable[[], Answer]) -> Answer:
        """What came of it. After an error the state may hold half of a task: nothing more is done, and nothing saved."""
        if self._error is None:
            try:
                return do()
            except FfmemError as error:
                self._error = error
            except Exception:  # noqa: BLE001 (any bug, of a library too: sent whole, or it would be lost on this node)
                self._error = RuntimeError(traceback.format_exc())
        return Answer(error=self._error)
