"""What runs tasks to state files, and what is asked of it; the simplest of them, in this process.

An executor knows nothing of models or corpora. It is given a picklable job that can start a worker anywhere, and
picklable tasks; each worker does tasks one after the other, keeps a cumulative state, and writes it to a file of its
own every so many seconds, with the tasks it covers. What a dead worker had not yet written is handed out again.
`process_executor` runs workers as processes of this machine, `ray_executor` on the nodes of a cluster.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from ffmem.errors import ModelError
from ffmem.index.run.failures import Failures
from ffmem.store.files import atomic_write


@runtime_checkable
class Files(Protocol):
    """Where a worker leaves what it has found."""

    def read(self, name: str) -> bytes | None:
        """A file, None if it is not there."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Put a file there, whole or not at all."""
        ...


@dataclass(frozen=True)
class FolderFiles:
    """Files of a folder."""

    folder: Path

    def read(self, name: str) -> bytes | None:
        """See Files.read."""
        path = self.folder / name
        return path.read_bytes() if path.exists() else None

    def write(self, name: str, data: bytes) -> None:
        """See Files.write."""
        atomic_write(self.folder / name, data)


@runtime_checkable
class Task(Protocol):
    """Something picklable that a worker can do."""

    @property
    def task_id(self) -> str:
        """Unique among the tasks of a job."""
        ...

    def describe(self) -> str:
        """What it is, for messages to people."""
        ...


@runtime_checkable
class Report(Protocol):
    """Takes what a worker says while it does a task."""

    def __call__(self, n_tokens: int, text: str = "", n_values: int = 0) -> None:
        """So many more tokens, or values, are done (fewer, if some must be done again); and what else people are told."""
        ...


@runtime_checkable
class Worker(Protocol):
    """Does tasks and keeps a cumulative state."""

    def do(self, task: Any, report: Report) -> None:
        """Do one task whole."""
        ...

    def save(self) -> set[str]:
        """Write the state to this worker's file; return the ids of the tasks it covers."""
        ...


@runtime_checkable
class Job(Protocol):
    """Starts workers; picklable."""

    @property
    def folder(self) -> Path:
        """The work folder of the build, on the machine that began it."""
        ...

    @property
    def run_id(self) -> str:
        """Names the state files of this run: see `state_path`."""
        ...

    @property
    def checkpoint_s(self) -> float:
        """Seconds between two checkpoints of a worker."""
        ...

    def start(self, slot: int, files: Files | None = None) -> Worker:
        """A worker that goes on from the state file of this slot, if there is one.

        Args:
            slot: its number.
            files: where it reads and writes; by default the work folder.
        """
        ...

    def covered(self, slot: int) -> set[str]:
        """The ids of the tasks that the state file of a slot covers."""
        ...

    def packed(self, task: Any) -> Any:
        """The task with all that a worker without the work folder needs for it."""
        ...

    def check(self, worker: Any) -> None:
        """Raise a FfmemError if a worker of another machine would compute something else than this one."""
        ...

    def leave_out(self, tasks: Sequence[Any]) -> str:
        """The option that leaves tasks out of the job, for messages; "" if it cannot be done without them."""
        ...


@dataclass(frozen=True)
class Event:
    """Something to show or count: tokens or values done, a task done, a worker started again."""

    kind: str
    """"ready", "tokens" (or values), "task", "restart", "failed" (a task is given up) or "note"."""
    slot: int
    """Which worker; -1: none."""
    n_tokens: int = 0
    """Tokens done since the last event of kind "tokens"."""
    n_values: int = 0
    """Values projected since then."""
    task: str = ""
    """The id of the task that is done, or that its worker died at."""
    where: str = ""
    """The node and process of the worker, where there are several nodes."""
    text: str = ""
    """What is to be told: why a worker died, what is waited for, what a worker says."""
    lost: tuple[str, ...] = ()
    """With "restart" and "failed": the ids of tasks that were done, or begun, and must be done again."""


Listener = Callable[[Event], None]


@runtime_checkable
class Executor(Protocol):
    """map(tasks) -> state files, which the job's workers have written."""

    @property
    def n_workers(self) -> int:
        """Workers that run at a time; each has a state file."""
        ...

    def run(self, job: Job, tasks: Sequence[Task], listen: Listener) -> frozenset[int]:
        """Return when each task is done and covered by a state file.

        Returns:
            Slots of workers that were given up and may live on where they cannot be seen: what lies under their names is
            not to be read.

        Raises:
            ModelError: tasks were given up, and all others are done: see `failures`. Or too many were.
            FfmemError: any other, as a worker raised it; the tasks covered so far stay covered.
        """
        ...

    def close(self) -> None:
        """Give back what was taken to run."""
        ...


class InProcessExecutor:
    """Does the tasks one after the other in this process; a bug in a task ends the run as it is, with its traceback."""

    n_workers = 1

    def run(self, job: Job, tasks: Sequence[Task], listen: Listener) -> frozenset[int]:
        """See Executor.run."""
        waiting, failures = deque(tasks), Failures(job)
        while waiting:
            self._work(job, waiting, failures, listen)
            failures.stop_if_hopeless(waiting)
        failures.raise_if_any()
        return frozenset()

    def _work(self, job: Job, waiting: deque[Task], failures: Failures, listen: Listener) -> None:
        """A worker from its start until all is done, or it has met what it cannot do."""
        worker = job.start(0)
        listen(Event("ready", 0))
        saved = time.monotonic()
        unsaved: list[Task] = []
        while waiting:
            task = waiting.popleft()
            try:
                worker.do(task, partial(_tell, listen))
            except ModelError as error:  # its state holds half of the task: back to the checkpoint
                failures.failed([task], error.got, error)
                lost = tuple(one.task_id for one in unsaved)
                listen(Event("failed", 0, task=task.task_id, text=error.got, lost=lost))
                waiting.extendleft(reversed(unsaved))
                return
            failures.done(task)
            unsaved.append(task)
            listen(Event("task", 0, task=task.task_id))
            if time.monotonic() - saved >= job.checkpoint_s:
                worker.save()
                saved, unsaved = time.monotonic(), []
        worker.save()

    def close(self) -> None:
        """See Executor.close."""


def _tell(listen: Listener, n_tokens: int, text: str = "", n_values: int = 0) -> None:
    listen(Event("tokens", 0, n_tokens, n_values, text=text))
