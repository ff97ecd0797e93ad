"""Executors: every task once, whatever dies."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from ffmem.errors import InputError, ModelError
from ffmem.index.executors import Event, Executor, Files, FolderFiles, InProcessExecutor, Report, state_path
from ffmem.index.process_executor import ProcessExecutor


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


@dataclass(frozen=True)
class AddJob:
    folder: Path
    checkpoint_s: float = 0.0
    run_id: str = "r"
    expected: str = ""

    def start(self, slot: int, files: Files | None = None) -> "AddWorker":
        return AddWorker(self, slot, files or FolderFiles(self.folder))

    def covered(self, slot: int) -> set[str]:
        path = state_path(self.folder, self.run_id, slot)
        return {str(value) for value in json.loads(path.read_text())} if path.exists() else set()

    def packed(self, task: "Number") -> "Number":
        return task

    def check(self, worker: "AddWorker") -> None:
        if self.expected and worker.model != self.expected:
            raise ModelError("another model", "Expected the same", "Copy it")


class AddWorker:
    """Its state is the list of numbers it has taken."""

    model = "adder"

    def __init__(self, job: AddJob, slot: int, files: Files) -> None:
        self._folder, self._files = job.folder, files
        self._name = state_path(job.folder, job.run_id, slot).name
        self._taken: list[int] = json.loads(files.read(self._name) or b"[]")

    def do(self, task: Number, report: Report) -> None:
        if task.behaviour == "mend":
            raise InputError("a bad number", "Expected a good one", "Give another")
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
        self._files.write(self._name, json.dumps(self._taken).encode())
        return {str(value) for value in self._taken}


def taken(folder: Path) -> list[int]:
    return sorted(value for path in folder.glob("state-*") for value in json.loads(path.read_text()))


@pytest.mark.parametrize(
    "executor", [InProcessExecutor(), ProcessExecutor(1), ProcessExecutor(3)], ids=["here", "1", "3"]
)
def test_every_task_is_done_once_and_counted(executor: Executor, tmp_path: Path) -> None:
    events: list[Event] = []
    executor.run(AddJob(tmp_path), [Number(value) for value in range(30)], events.append)
    assert taken(tmp_path) == list(range(30))
    assert sum(event.n_tokens for event in events) == sum(range(30))
    assert sum(event.kind == "task" for event in events) == 30


@pytest.mark.parametrize("checkpoint_s", [0.0, 1000.0])
def test_what_a_dead_worker_had_not_saved_is_done_again(tmp_path: Path, checkpoint_s: float) -> None:
    events: list[Event] = []
    tasks = [Number(value, "die once" if value in (3, 11, 20) else "") for value in range(24)]
    ProcessExecutor(2).run(AddJob(tmp_path, checkpoint_s), tasks, events.append)
    assert taken(tmp_path) == list(range(24))
    assert sum(event.kind == "restart" for event in events) == 3


def test_a_task_that_always_kills_its_worker_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"number 5 died 3 times in a row \(signal SIGKILL\).*fewer --workers"):
        ProcessExecutor(2).run(AddJob(tmp_path), [Number(5, "die"), Number(6)], lambda _: None)


def test_errors_of_a_worker_reach_the_caller(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a bad number"):
        ProcessExecutor(1).run(AddJob(tmp_path), [Number(1, "mend")], lambda _: None)
    with pytest.raises(RuntimeError, match="ZeroDivisionError: a bug"):
        ProcessExecutor(1).run(AddJob(tmp_path), [Number(1, "bug")], lambda _: None)


def test_no_tasks_start_no_worker(tmp_path: Path) -> None:
    ProcessExecutor(2).run(AddJob(tmp_path), [], lambda _: pytest.fail("nothing should happen"))
    assert not list(tmp_path.iterdir())


_PARENT = """
import os, sys, time
from pathlib import Path
from ffmem.index.process_executor import ProcessExecutor
sys.path.insert(0, {tests!r})
from test_executors import AddJob, Number

if __name__ == "__main__":
    ProcessExecutor(2).run(AddJob(Path({folder!r})), [Number(v) for v in range(100000)], lambda e: print(e.kind, flush=True))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="uses POSIX signals and ps")
def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(_PARENT.format(tests=str(Path(__file__).parent), folder=str(tmp_path)))
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        for line in parent.stdout:
            if line == "task\n":
                break
        workers = _descendants(parent.pid)
        assert len(workers) >= 2
        parent.kill()
    deadline = time.monotonic() + 10
    while (alive := [pid for pid in workers if _is_alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive


def _descendants(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    children = [int(line.split()[0]) for line in listed.splitlines() if int(line.split()[1]) == pid]
    return children + [grandchild for child in children for grandchild in _descendants(child)]


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
