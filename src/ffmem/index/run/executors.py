"""What runs tasks to state files, and what is asked of it; the simplest of them, in this process.

An executor knows nothing of models or corpora. It is given a picklable job that can start a worker anywhere, and
picklable tasks; each worker does tasks one after the other, keeps a cumulative state, and writes it to a file of its
own every so many seconds, with the tasks it covers. What a dead worker had not yet written is handed out again.
`processes` runs workers as processes of this machine, `ray` on the nodes of a cluster; they and this one only start
workers, pass messages on and report deaths: what follows from them, the `ledger` says.

A worker in this process has the model that the process has loaded, and begins at once. What it cannot do is outlive its own
death: see `InProcessExecutor`.
"""

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from ffmem.errors import FfmemError, ModelError
from ffmem.index.run.failures import reason
from ffmem.index.run.job import Job, Task, Tasks
from ffmem.index.run.ledger import Death, Ledger


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


EventListener = Callable[[Event], None]


class Successor(Protocol):
    """Goes on where workers of this process cannot."""

    def go_on(self, job: Job, ledger: Ledger, tasks: Tasks, listen: EventListener) -> None:
        """Do all that waits and all that comes."""
        ...


@runtime_checkable
class Executor(Protocol):
    """map(tasks) -> state files, which the job's workers have written."""

    @property
    def n_workers(self) -> int:
        """Workers that run at a time; each has a state file."""
        ...

    @property
    def works_here(self) -> bool:
        """Whether workers run in this process, and use what it has loaded."""
        ...

    def prepare(self, load: Callable[[], Any], n_workers: int) -> None:
        """Let workers begin to load while this process still has something to do before it can say what the job is.

        Args:
            load: picklable; what it gives is what `Job.with_loaded` takes, in the same process.
            n_workers: no more than these; there will be as many tasks.
        """
        ...

    def run(self, job: Job, tasks: Tasks, listen: EventListener) -> frozenset[int]:
        """Return when each task is done and covered by a state file.

        Returns:
            Slots of workers that were given up and may live on where they cannot be seen: what lies under their names is
            not to be read.

        Raises:
            ModelError: tasks were given up, and all others are done: see `failures`. Or too many were.
            FfmemError: any other, as a worker, or where tasks come from, raised it; the tasks covered so far stay covered.
        """
        ...

    def close(self) -> None:
        """Give back what was taken to run."""
        ...


WAIT_S = 0.1
"""Between two looks for more tasks, while workers are at work or wait for them."""


def take_known(ledger: Ledger, tasks: Tasks, wait_s: float = 0.0) -> None:
    """Put those tasks into the ledger that are known by now, or become so while it waits."""
    if not ledger.is_closed:
        ledger.add(tasks.take(wait_s))
        if tasks.is_whole:
            ledger.close()


def report_death(listen: EventListener, death: Death, slot: int, where: str = "") -> None:
    """Tell what the death of a worker means, and raise the error that ends the run, if there is one.

    Args:
        listen: what is told.
        death: what follows, as the ledger says.
        slot: the worker.
        where: its node and process, where there are several nodes.
    """
    for task_id in death.done:
        listen(Event("task", slot, task=task_id, where=where))
    for task_id in death.given_up:
        listen(Event("failed", slot, task=task_id, where=where, text=death.why))
    if death.ends_run is not None:
        raise death.ends_run from death.error
    if death.is_replaced:
        listen(Event("restart", slot, task=death.at, where=where, text=death.why, lost=death.lost))
    else:
        text = f"workers on {where} died before they could begin ({death.why}): the others go on without"
        listen(Event("note", slot, where=where, text=text))


class InProcessExecutor:
    """Does the tasks one after the other in this process.

    A task that raises what no FfmemError is (a device that has failed, a bug) may have left the process unable to go on:
    then a process of its own does that, from the last checkpoint, and the task counts as failed once. What kills this process
    ends the run; its state file stays, and the same command goes on from there.

    Args:
        elsewhere: does the rest; None: what such a task raises ends the run as it is, with its traceback.
    """

    n_workers = 1
    works_here = True

    def __init__(self, elsewhere: "Successor | None" = None) -> None:
        self._elsewhere = elsewhere

    def prepare(self, load: Callable[[], Any], n_workers: int) -> None:
        """See Executor.prepare: this process has loaded already."""

    def run(self, job: Job, tasks: Tasks, listen: EventListener) -> frozenset[int]:
        """See Executor.run."""
        ledger = Ledger(job.leave_out)
        take_known(ledger, tasks)
        while not ledger.is_over:
            if not self._work(job, ledger, tasks, listen):
                assert self._elsewhere is not None
                job.release()
                self._elsewhere.go_on(job, ledger, tasks, listen)
        ledger.raise_if_given_up()
        return frozenset()

    def _work(self, job: Job, ledger: Ledger, source: Tasks, listen: EventListener) -> bool:
        """A worker from its start until all is done, or a task fails; False if no other can follow in this process."""
        worker = job.start(0)
        ledger.started(0)
        ledger.ready(0)
        listen(Event("ready", 0))
        told = _Told(listen)
        saved = time.monotonic()
        while tasks := self._next(ledger, source):
            try:
                worker.do(job.packed(tasks[0]), told.report)
            except ModelError as error:  # its state holds half of the task: back to the checkpoint
                _let_go(error)
                del worker
                death = ledger.died(0, error.got, error=error)
                lost = tuple(task_id for task_id in death.lost if task_id != death.at)
                listen(Event("failed", 0, task=death.at, text=error.got, lost=lost))
                if death.ends_run is not None:
                    raise death.ends_run from error
                return True
            except FfmemError:
                raise
            except Exception as error:
                if self._elsewhere is None or error is told.raised:
                    raise
                _let_go(error)
                del worker
                report_death(listen, ledger.died(0, reason(error), job.covered(0), error=error), 0)
                return False
            listen(Event("task", 0, task=ledger.done(0).task_id))
            if time.monotonic() - saved >= job.checkpoint_s:
                ledger.saved(0, worker.save())
                saved = time.monotonic()
        ledger.saved(0, worker.save())
        ledger.left(0)
        return True

    def _next(self, ledger: Ledger, source: Tasks) -> list[Task]:
        """The next task, if there is one yet to do."""
        take_known(ledger, source)
        while not (tasks := ledger.hand_out(0)) and not ledger.is_closed:
            take_known(ledger, source, WAIT_S)
        return tasks

    def close(self) -> None:
        """See Executor.close."""


def _let_go(error: BaseException | None) -> None:
    """Forget what the frames hold that an error came through: the lists of a worker, which the next one needs room for."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__


class _Told:
    """Passes on what a worker says; what a listener raises at that is not the task's."""

    def __init__(self, listen: EventListener) -> None:
        self._listen = listen
        self.raised: Exception | None = None

    def report(self, n_tokens: int, text: str = "", n_values: int = 0) -> None:
        """See Report."""
        try:
            self._listen(Event("tokens", 0, n_tokens, n_values, text=text))
        except Exception as error:
            self.raised = error
            raise
