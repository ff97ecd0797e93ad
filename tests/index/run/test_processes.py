"""Worker processes of this machine: what happens when they die, raise, or lose their parent."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from ffmem.errors import InputError, ModelError
from ffmem.index.run.executors import Event, InProcessExecutor
from ffmem.index.run.job import GivenTasks
from ffmem.index.run.processes import ProcessExecutor, _how_it_ended
from tests.index.run.adding import AddJob, Number, done, load, taken


@pytest.mark.parametrize("checkpoint_s", [0.0, 1000.0])
def test_what_a_dead_worker_had_not_saved_is_done_again(tmp_path: Path, checkpoint_s: float) -> None:
    events: list[Event] = []
    tasks = [Number(value, "die once" if value in (3, 11, 20) else "") for value in range(24)]
    ProcessExecutor(2).run(AddJob(tmp_path, checkpoint_s), GivenTasks(tasks), events.append)
    assert taken(tmp_path) == done(events) == list(range(24))
    assert sum(event.kind == "restart" for event in events) == 3


def test_a_task_that_was_saved_is_told_even_if_its_worker_died_before_it_could(tmp_path: Path) -> None:
    events: list[Event] = []
    ProcessExecutor(1).run(
        AddJob(tmp_path, fault="saved"), GivenTasks([Number(value) for value in range(7)]), events.append
    )
    assert taken(tmp_path) == done(events) == list(range(7))
    assert [event.lost for event in events if event.kind == "restart"] == [(), ()]


@pytest.mark.parametrize("checkpoint_s", [0.0, 1000.0])
def test_a_task_that_always_kills_its_worker_is_given_up_and_the_rest_goes_on(
    tmp_path: Path, checkpoint_s: float
) -> None:
    events: list[Event] = []
    tasks = [Number(value, "die" if value == 5 else "") for value in range(12)]
    with pytest.raises(ModelError) as told:
        ProcessExecutor(2).run(AddJob(tmp_path, checkpoint_s), GivenTasks(tasks), events.append)
    assert taken(tmp_path) == done(events) == [value for value in range(12) if value != 5]
    assert [event.task for event in events if event.kind == "failed"] == ["5"]
    assert sum(event.kind == "restart" for event in events) == 3
    assert str(told.value) == (
        "number 5 failed 3 times: signal SIGKILL. Expected every task to succeed; all others did, and their results are "
        "kept. Run the same command again, with fewer --workers if memory ran out; or leave out what fails: --without 5."
    )


def test_workers_that_never_begin_end_the_run(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"died 3 times in a row before they could begin, last worker \d: signal SIGKILL"
    ):
        ProcessExecutor(2).run(AddJob(tmp_path, fault="start"), GivenTasks([Number(1), Number(2)]), lambda _: None)


def test_workers_that_never_save_end_the_run(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"died 3 times in a row while they wrote their state, last worker \d: signal"):
        ProcessExecutor(2).run(
            AddJob(tmp_path, 1000.0, fault="save"), GivenTasks([Number(1), Number(2)]), lambda _: None
        )


def test_errors_of_a_worker_reach_the_caller(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a bad number"):
        ProcessExecutor(1).run(AddJob(tmp_path), GivenTasks([Number(1, "mend")]), lambda _: None)
    with pytest.raises(ModelError, match="number 1 failed 3 times: ZeroDivisionError: a bug") as told:
        ProcessExecutor(1).run(AddJob(tmp_path), GivenTasks([Number(1, "bug")]), lambda _: None)
    assert "in do\n    raise ZeroDivisionError" in str(told.value.__cause__)  # --debug shows where
    with pytest.raises(ZeroDivisionError, match="a bug"):
        InProcessExecutor().run(AddJob(tmp_path), GivenTasks([Number(1, "bug")]), lambda _: None)


def test_no_tasks_start_no_worker(tmp_path: Path) -> None:
    ProcessExecutor(2).run(AddJob(tmp_path), GivenTasks([]), lambda _: pytest.fail("nothing should happen"))
    assert not list(tmp_path.iterdir())


_PARENT = """
import os, sys, time
from pathlib import Path
from ffmem.index.run.job import GivenTasks
from ffmem.index.run.processes import ProcessExecutor
sys.path.insert(0, {tests!r})
from adding import AddJob, Number

if __name__ == "__main__":
    tasks = GivenTasks([Number(v) for v in range(100000)])
    ProcessExecutor(2).run(AddJob(Path({folder!r})), tasks, lambda e: print(e.kind, flush=True))
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


def test_there_are_no_more_workers_than_tasks_and_none_is_left_after_an_error(tmp_path: Path) -> None:
    events: list[Event] = []
    with pytest.raises(InputError, match="a bad number"):
        ProcessExecutor(5).run(AddJob(tmp_path), GivenTasks([Number(1), Number(2, "mend")]), events.append)
    assert {event.slot for event in events if event.kind == "ready"} <= {0, 1}
    assert not [one for one in multiprocessing.active_children() if one.name.startswith("ffmem-worker")]


@pytest.mark.parametrize(
    ("exitcode", "told"), [(0, "exit 0"), (3, "exit 3"), (-9, "signal SIGKILL"), (-15, "signal SIGTERM")]
)
def test_how_a_process_ended_is_told_in_words(exitcode: int, told: str) -> None:
    assert _how_it_ended(exitcode) == told


def early(folder: Path) -> list[Path]:
    """What workers have left that were early and have loaded."""
    return sorted(folder.glob("early-*"))


def wait_for(folder: Path, n: int) -> None:
    deadline = time.monotonic() + 60
    while len(early(folder)) < n and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(early(folder)) == n


def workers() -> list[int]:
    return [one.pid for one in multiprocessing.active_children() if one.name.startswith("ffmem-worker") and one.pid]


def test_workers_load_while_the_job_is_not_known_yet(tmp_path: Path) -> None:
    """They do before it runs, in processes of their own; more are started with the job, and each loads but once."""
    executor, events = ProcessExecutor(3), list[Event]()
    executor.prepare(partial(load, tmp_path / "early"), 2)
    wait_for(tmp_path, 2)
    first = workers()
    assert {int(path.name.rpartition("-")[2]) for path in early(tmp_path)} == set(first) and os.getpid() not in first
    executor.run(AddJob(tmp_path), GivenTasks([Number(value) for value in range(20)]), events.append)
    assert taken(tmp_path) == done(events) == list(range(20)) and len(early(tmp_path)) == 2
    assert {event.slot for event in events if event.kind == "ready"} == {0, 1, 2}
    assert not workers()


def test_workers_that_are_too_many_or_have_nothing_to_do_are_ended(tmp_path: Path) -> None:
    executor, events = ProcessExecutor(3), list[Event]()
    executor.prepare(partial(load, tmp_path / "early"), 5)
    assert len(workers()) == 3
    executor.run(AddJob(tmp_path), GivenTasks([Number(1)]), events.append)
    assert taken(tmp_path) == [1] and {event.slot for event in events} == {0} and not workers()
    executor.prepare(partial(load, tmp_path / "early"), 2)
    executor.run(AddJob(tmp_path), GivenTasks([]), events.append)
    executor.close()
    assert not workers()


@pytest.mark.parametrize("seen", [True, False])
def test_an_early_worker_that_dies_is_started_again(tmp_path: Path, seen: bool) -> None:
    """It is held against nothing if it died before there was a job."""
    executor, events = ProcessExecutor(1), list[Event]()
    executor.prepare(partial(load, tmp_path / "early", True), 1)
    if seen:
        for process in multiprocessing.active_children():
            process.join()
    executor.run(AddJob(tmp_path), GivenTasks([Number(value) for value in range(4)]), events.append)
    assert taken(tmp_path) == done(events) == list(range(4))
    if seen:
        assert not [event for event in events if event.kind == "restart"]


def cannot_load() -> None:
    raise InputError("the model is gone", "Expected it", "Bring it back")


def test_an_early_worker_that_cannot_load_ends_the_run_when_it_begins(tmp_path: Path) -> None:
    executor = ProcessExecutor(2)
    executor.prepare(cannot_load, 2)
    with pytest.raises(InputError, match="the model is gone"):
        executor.run(AddJob(tmp_path), GivenTasks([Number(1), Number(2)]), lambda _: None)
    assert not workers()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_does_not_reach_a_worker_at_any_time(tmp_path: Path) -> None:
    """It goes to the whole group; also while a worker imports, when it could not be told to ignore it."""
    executor, events = ProcessExecutor(1), list[Event]()
    executor.prepare(partial(load, tmp_path / "early"), 1)
    for pid in workers():
        os.kill(pid, signal.SIGINT)
    executor.run(AddJob(tmp_path), GivenTasks([Number(1), Number(2)]), events.append)
    assert done(events) == [1, 2] and not [event for event in events if event.kind == "restart"]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, set())
