"""A job that adds numbers: what executors run in tests.

Worker processes import this file and begin at once: nothing here imports a model library.
"""

import json
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ffmem.errors import InputError, ModelError
from ffmem.index.run.executors import Event
from ffmem.index.run.job import Files, FolderFiles, Report


@dataclass(frozen=True)
class Number:
    """A task: add a number to the worker's total."""

    value: int
    behaviour: str = ""

    @property
    def task_id(self) -> str:
        return str(self.value)

    def describe(self) -> str:
        return f"number {self.value}"


@dataclass
class Loaded:
    """What stands for a model."""

    pid: int
    is_released: bool = False


def load(marker: Path, dies: bool = False) -> Loaded:
    """What a worker that is early does; leaves a file that tells which process it was."""
    if dies and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    marker.with_name(f"{marker.name}-{os.getpid()}").touch()
    return Loaded(os.getpid())


@dataclass(frozen=True)
class AddJob:
    folder: Path
    checkpoint_s: float = 0.0
    run_id: str = "r"
    expected: str = ""
    fault: str = ""
    """Where each worker dies: "start" or "save"; or "saved": once when it has written its third task, its sixth, ..."""
    loaded: "Loaded | None" = None

    def start(self, slot: int, files: Files | None = None) -> "AddWorker":
        if self.fault == "start":
            os.kill(os.getpid(), signal.SIGKILL)
        return AddWorker(self, slot, files or FolderFiles(self.folder))

    def with_loaded(self, loaded: "Loaded | None") -> "AddJob":
        return replace(self, loaded=loaded)

    def release(self) -> None:
        if self.loaded is not None:
            self.loaded.is_released = True

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"loaded": None}

    def covered(self, slot: int) -> set[str]:
        path = self.folder / self.state_name(slot)
        return {str(value) for value in json.loads(path.read_text())} if path.exists() else set()

    def state_name(self, slot: int) -> str:
        """As `state_path` has it."""
        return f"state-{self.run_id}-{slot}.safetensors"

    def packed(self, task: "Number") -> "Number":
        return task

    def leave_out(self, tasks: Sequence["Number"]) -> str:
        return f"--without {','.join(task.task_id for task in tasks)}"

    def check(self, worker: "AddWorker") -> None:
        if self.expected and worker.model != self.expected:
            raise ModelError("another model", "Expected the same", "Copy it")


class AddWorker:
    """Its state is the list of numbers it has taken."""

    model = "adder"

    def __init__(self, job: AddJob, slot: int, files: Files) -> None:
        self._folder, self._files, self._fault = job.folder, files, job.fault
        self._name = job.state_name(slot)
        self._taken: list[int] = json.loads(files.read(self._name) or b"[]")

    def do(self, task: Number, report: Report) -> None:
        if task.behaviour == "mend":
            raise InputError("a bad number", "Expected a good one", "Give another")
        if task.behaviour == "nan":
            self._taken.append(-task.value)  # half of it is done
            raise ModelError("not a finite number", "Expected finite ones", "Use --dtype float32")
        if task.behaviour == "bug":
            raise ZeroDivisionError("a bug")
        if task.behaviour == "die" or (task.behaviour == "die once" and self._first_time(task)):
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.01)
        report(task.value)
        self._taken.append(task.value)

    def _first_time(self, task: Number) -> bool:
        marker = self._folder / f"died-{task.value}"
        if marker.exists():
            return False
        marker.touch()
        return True

    def save(self) -> set[str]:
        if self._fault == "save":
            os.kill(os.getpid(), signal.SIGKILL)
        self._files.write(self._name, json.dumps(self._taken).encode())
        if self._fault == "saved" and len(self._taken) % 3 == 0 and self._first_time(Number(self._taken[-1])):
            os.kill(os.getpid(), signal.SIGKILL)
        return {str(value) for value in self._taken}


def taken(folder: Path) -> list[int]:
    return sorted(value for path in folder.glob("state-*") for value in json.loads(path.read_text()))


def done(events: Sequence[Event]) -> list[int]:
    """The tasks that are done at the end, after what events tell as lost; each must be told once."""
    found: set[str] = set()
    for event in events:
        if event.kind == "task":
            assert event.task not in found
            found.add(event.task)
        found.difference_update(event.lost)
    return sorted(map(int, found))
