"""Executors: every task once, whatever dies."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from ffmem.errors import InputError, ModelError
from ffmem.index.run.executors import Event, Executor, InProcessExecutor
from ffmem.index.run.processes import ProcessExecutor
from ffmem.index.run.ray.remote_worker import RemoteWorker
from tests.index.run.adding import AddJob, Number, done, taken


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
    assert taken(tmp_path) == done(events) == list(range(24))
    assert sum(event.kind == "restart" for event in events) == 3


def test_a_task_that_was_saved_is_told_even_if_its_worker_died_before_it_could(tmp_path: Path) -> None:
    events: list[Event] = []
    ProcessExecutor(1).run(AddJob(tmp_path, fault="saved"), [Number(value) for value in range(7)], events.append)
    assert taken(tmp_path) == done(events) == list(range(7))
    assert [event.lost for event in events if event.kind == "restart"] == [(), ()]


@pytest.mark.parametrize("checkpoint_s", [0.0, 1000.0])
def test_a_task_that_always_kills_its_worker_is_given_up_and_the_rest_goes_on(
    tmp_path: Path, checkpoint_s: float
) -> None:
    events: list[Event] = []
    tasks = [Number(value, "die" if value == 5 else "") for value in range(12)]
    with pytest.raises(ModelError) as told:
        ProcessExecutor(2).run(AddJob(tmp_path, checkpoint_s), tasks, events.append)
    assert taken(tmp_path) == done(events) == [value for value in range(12) if value != 5]
    assert [event.task for event in events if event.kind == "failed"] == ["5"]
    assert sum(event.kind == "restart" for event in events) == 3
    assert str(told.value) == (
        "number 5 failed 3 times: signal SIGKILL. Expected every task to succeed; all others did, and their results are "
        "kept. Run the same command again, with fewer --workers if memory ran out; or leave out what fails: --without 5."
    )


@pytest.mark.parametrize(
    "executor", [InProcessExecutor(), ProcessExecutor(1), ProcessExecutor(2)], ids=["here", "1", "2"]
)
@pytest.mark.parametrize("checkpoint_s", [0.0, 1000.0])
def test_a_model_error_is_tried_once_and_leaves_no_trace(
    executor: Executor, tmp_path: Path, checkpoint_s: float
) -> None:
    tasks = [Number(value, "nan" if value in (0, 3) else "") for value in range(8)]
    events: list[Event] = []
    with pytest.raises(ModelError) as told:
        executor.run(AddJob(tmp_path, checkpoint_s), tasks, events.append)
    assert taken(tmp_path) == done(events) == [1, 2, 4, 5, 6, 7]
    assert "number 0 failed: not a finite number; number 3 failed: not a finite number" in str(told.value)
    assert told.value.mend == "Use --dtype float32; or leave out what fails: --without 0,3"


@pytest.mark.parametrize("executor", [InProcessExecutor(), ProcessExecutor(1)], ids=["here", "1"])
def test_a_run_in_which_everything_fails_is_stopped_early(executor: Executor, tmp_path: Path) -> None:
    """What was done before, and is done again after each failure, is no sign that others can be."""
    events: list[Event] = []
    tasks = [Number(value, "nan" if value > 1 else "") for value in range(50)]
    with pytest.raises(ModelError, match=r"number 7 failed: .*Expected other tasks to succeed in between"):
        executor.run(AddJob(tmp_path, 1000.0), tasks, events.append)
    assert [event.task for event in events if event.kind == "failed"] == ["2", "3", "4", "5", "6", "7"]


def test_workers_that_never_begin_end_the_run(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"died 3 times in a row before they could begin, last worker \d: signal SIGKILL"
    ):
        ProcessExecutor(2).run(AddJob(tmp_path, fault="start"), [Number(1), Number(2)], lambda _: None)


def test_workers_that_never_save_end_the_run(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"died 3 times in a row while they wrote their state, last worker \d: signal"):
        ProcessExecutor(2).run(AddJob(tmp_path, 1000.0, fault="save"), [Number(1), Number(2)], lambda _: None)


def test_errors_of_a_worker_reach_the_caller(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a bad number"):
        ProcessExecutor(1).run(AddJob(tmp_path), [Number(1, "mend")], lambda _: None)
    with pytest.raises(ModelError, match="number 1 failed 3 times: ZeroDivisionError: a bug") as told:
        ProcessExecutor(1).run(AddJob(tmp_path), [Number(1, "bug")], lambda _: None)
    assert "in do\n    raise ZeroDivisionError" in str(told.value.__cause__)  # --debug shows where
    with pytest.raises(ZeroDivisionError, match="a bug"):
        InProcessExecutor().run(AddJob(tmp_path), [Number(1, "bug")], lambda _: None)


@pytest.mark.parametrize("behaviour", ["nan", "bug"])
def test_a_worker_that_failed_does_and_saves_nothing_more(tmp_path: Path, behaviour: str) -> None:
    """A driver may have asked for more before it heard of the error; half of a task must not get into a state file."""
    worker = RemoteWorker(AddJob(tmp_path), 0, shared=True, state=None)
    assert worker.start(check=False).error is None and worker.do(Number(1)).saved == {"1"}
    error = worker.do(Number(2, behaviour)).error
    assert error is not None
    assert worker.do(Number(3)).error is error and worker.save().error is error
    assert taken(tmp_path) == [1]


def test_no_tasks_start_no_worker(tmp_path: Path) -> None:
    ProcessExecutor(2).run(AddJob(tmp_path), [], lambda _: pytest.fail("nothing should happen"))
    assert not list(tmp_path.iterdir())


_PARENT = """
import os, sys, time
from pathlib import Path
from ffmem.index.run.processes import ProcessExecutor
sys.path.insert(0, {tests!r})
from adding import AddJob, Number

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
