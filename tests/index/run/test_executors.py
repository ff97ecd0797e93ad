"""Executors: every task once, whatever dies."""

import os
import weakref
from pathlib import Path

import pytest

from ffmem.errors import InputError, ModelError
from ffmem.index.run.executors import Event, Executor, InProcessExecutor
from ffmem.index.run.job import Files, GivenTasks
from ffmem.index.run.processes import ProcessExecutor
from ffmem.index.run.ray.remote_worker import RemoteWorker
from tests.index.run.adding import AddJob, AddWorker, Loaded, Number, done, taken


@pytest.mark.parametrize(
    "executor", [InProcessExecutor(), ProcessExecutor(1), ProcessExecutor(3)], ids=["here", "1", "3"]
)
def test_every_task_is_done_once_and_counted(executor: Executor, tmp_path: Path) -> None:
    events: list[Event] = []
    executor.run(AddJob(tmp_path), GivenTasks([Number(value) for value in range(30)]), events.append)
    assert taken(tmp_path) == list(range(30))
    assert sum(event.n_tokens for event in events) == sum(range(30))
    assert sum(event.kind == "task" for event in events) == 30


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
        executor.run(AddJob(tmp_path, checkpoint_s), GivenTasks(tasks), events.append)
    assert taken(tmp_path) == done(events) == [1, 2, 4, 5, 6, 7]
    assert "number 0 failed: not a finite number; number 3 failed: not a finite number" in str(told.value)
    assert told.value.mend == "Use --dtype float32; or leave out what fails: --without 0,3"


@pytest.mark.parametrize("executor", [InProcessExecutor(), ProcessExecutor(1)], ids=["here", "1"])
def test_a_run_in_which_everything_fails_is_stopped_early(executor: Executor, tmp_path: Path) -> None:
    """What was done before, and is done again after each failure, is no sign that others can be."""
    events: list[Event] = []
    tasks = [Number(value, "nan" if value > 1 else "") for value in range(50)]
    with pytest.raises(ModelError, match=r"number 7 failed: .*Expected other tasks to succeed in between"):
        executor.run(AddJob(tmp_path, 1000.0), GivenTasks(tasks), events.append)
    assert [event.task for event in events if event.kind == "failed"] == ["2", "3", "4", "5", "6", "7"]


@pytest.mark.parametrize("behaviour", ["nan", "bug"])
def test_a_worker_that_failed_does_and_saves_nothing_more(tmp_path: Path, behaviour: str) -> None:
    """A driver may have asked for more before it heard of the error; half of a task must not get into a state file."""
    worker = RemoteWorker(AddJob(tmp_path), 0, shared=True, state=None)
    assert worker.start(check=False).error is None and worker.do(Number(1)).saved == {"1"}
    error = worker.do(Number(2, behaviour)).error
    assert error is not None
    assert worker.do(Number(3)).error is error and worker.save().error is error
    assert taken(tmp_path) == [1]


def here_first() -> InProcessExecutor:
    return InProcessExecutor(elsewhere=ProcessExecutor(1))


@pytest.mark.parametrize("checkpoint_s", [0.0, 1000.0])
def test_what_this_process_cannot_do_is_tried_again_in_another_and_then_given_up(
    tmp_path: Path, checkpoint_s: float
) -> None:
    """Like a device that has failed: nothing more is done here, what was loaded is given back, and the rest goes on."""
    job = AddJob(tmp_path, checkpoint_s, loaded=Loaded(os.getpid()))
    events: list[Event] = []
    with pytest.raises(ModelError, match=r"number 5 failed 3 times: ZeroDivisionError: a bug.*--without 5"):
        here_first().run(
            job, GivenTasks([Number(value, "bug" if value == 5 else "") for value in range(9)]), events.append
        )
    assert taken(tmp_path) == done(events) == [0, 1, 2, 3, 4, 6, 7, 8]
    assert [event.kind for event in events if event.task == "5"] == ["restart", "restart", "failed", "restart"]
    assert job.loaded is not None and job.loaded.is_released


def test_nothing_is_given_back_while_this_process_goes_on(tmp_path: Path) -> None:
    job = AddJob(tmp_path, loaded=Loaded(os.getpid()))
    with pytest.raises(ModelError, match="number 2 failed: not a finite number"):
        here_first().run(
            job, GivenTasks([Number(value, "nan" if value == 2 else "") for value in range(4)]), lambda _: None
        )
    assert taken(tmp_path) == [0, 1, 3]
    assert job.loaded is not None and not job.loaded.is_released


@pytest.mark.parametrize("kind", ["ready", "tokens", "task"])
def test_what_a_listener_raises_ends_the_run_and_is_no_failure_of_a_task(tmp_path: Path, kind: str) -> None:
    def listen(event: Event) -> None:
        if event.kind == kind:
            raise ArithmeticError("of the listener")

    with pytest.raises(ArithmeticError, match="of the listener"):
        here_first().run(AddJob(tmp_path), GivenTasks([Number(1), Number(2)]), listen)


def test_what_the_user_can_mend_ends_the_run_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a bad number"):
        here_first().run(AddJob(tmp_path), GivenTasks([Number(1, "mend"), Number(2)]), lambda _: None)
    assert taken(tmp_path) == []


def test_an_error_that_is_kept_holds_on_to_no_worker(tmp_path: Path) -> None:
    """A worker's lists may fill half of a GPU, and the next worker has its own."""
    alive: list[weakref.ref[AddWorker]] = []

    class Watched(AddJob):
        def start(self, slot: int, files: Files | None = None) -> AddWorker:
            worker = super().start(slot, files)
            assert not [one for one in alive if one() is not None]
            alive.append(weakref.ref(worker))
            return worker

    tasks = [Number(value, "nan" if value in (1, 3) else "") for value in range(5)]
    with pytest.raises(ModelError, match="number 1 failed"):
        here_first().run(Watched(tmp_path), GivenTasks(tasks), lambda _: None)
    assert len(alive) == 3
