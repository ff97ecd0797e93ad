"""What an executor asks of the work it does: a job that starts workers, tasks that they do, files that they write."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

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


class Tasks(Protocol):
    """Tasks that become known while others are done."""

    @property
    def is_whole(self) -> bool:
        """Whether all of them were taken."""
        ...

    def take(self, wait_s: float = 0.0) -> Sequence[Task]:
        """Those that are known, and were not taken yet.

        Args:
            wait_s: so long is waited for one, if there is none.

        Raises:
            Exception: there can be no more, and so no run.
        """
        ...


@dataclass
class GivenTasks:
    """Tasks that are all known."""

    tasks: Sequence[Task]
    is_whole: bool = False

    def take(self, wait_s: float = 0.0) -> Sequence[Task]:
        """See Tasks.take."""
        self.is_whole, tasks = True, () if self.is_whole else self.tasks
        return tasks


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

    def with_loaded(self, loaded: Any) -> "Job":
        """The same, whose workers in this process use what was loaded for them; it stays here when the job is pickled."""
        ...

    def release(self) -> None:
        """Give back what was loaded for workers in this process, as far as that can be done: the rest of them run elsewhere."""
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
        """The task with all that a worker needs for it, who may not have the work folder: as it is when it is handed out."""
        ...

    def check(self, worker: Any) -> None:
        """Raise a FfmemError if a worker of another machine would compute something else than this one."""
        ...

    def leave_out(self, tasks: Sequence[Any]) -> str:
        """The option that leaves tasks out of the job, for messages; "" if it cannot be done without them."""
        ...
