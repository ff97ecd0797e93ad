"""What runs tasks to state files, and what is asked of it; the simplest of them, in this process.

An executor knows nothing of models or corpora. It is given a picklable job that can start a worker anywhere, and
picklable tasks; each worker does tasks one after the other, keeps a cumulative state, and writes it to a file of its
own every so many seconds, with the tasks it covers. What a dead worker had not yet written is handed out again.
`processes` runs workers as processes of this machine, `ray` on the nodes of a cluster; they and this one only start
workers, pass messages on and report deaths: what follows from them, the `ledger` says.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, runtime_checkable

from ffmem.errors import ModelError
from ffmem.index.run.job import Job, Task
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


@runtime_checkable
class Executor(Protocol):
    """map(tasks) -> state files, which the job's workers have written."""

    @property
    def n_workers(self) -> int:
        """Workers that run at a time; each has a state file."""
        ...

    def run(self, job: Job, tasks: Sequence[Task], listen: EventListener) -> frozenset[int]:
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
    """Does the tasks one after the other in this process; a bug in a task ends the run as it is, with its traceback."""

    n_workers = 1

    def run(self, job: Job, tasks: Sequence[Task], listen: EventListener) -> frozenset[int]:
        """See Executor.run."""
        ledger = Ledger(tasks, job.leave_out)
        while not ledger.is_over:
            self._work(job, ledger, listen)
        ledger.raise_if_given_up()
        return frozenset()

    def _work(self, job: Job, ledger: Ledger, listen: EventListener) -> None:
        """A worker from its start until all is done, or a task fails."""
        worker = job.start(0)
        ledger.started(0)
        ledger.ready(0)
        listen(Event("ready", 0))
        saved = time.monotonic()
        while tasks := ledger.hand_out(0):
            try:
                worker.do(tasks[0], partial(_report_tokens, listen))
            except ModelError as error:  # its state holds half of the task: back to the checkpoint
                death = ledger.died(0, error.got, error=error)
                lost = tuple(task_id for task_id in death.lost if task_id != death.at)
                listen(Event("failed", 0, task=death.at, text=error.got, lost=lost))
                if death.ends_run is not None:
                    raise death.ends_run from error
                return
            listen(Event("task", 0, task=ledger.done(0).task_id))
            if time.monotonic() - saved >= job.checkpoint_s:
                ledger.saved(0, worker.save())
                saved = time.monotonic()
        ledger.saved(0, worker.save())
        ledger.left(0)

    def close(self) -> None:
        """See Executor.close."""


def _report_tokens(listen: EventListener, n_tokens: int, text: str = "", n_values: int = 0) -> None:
    listen(Event("tokens", 0, n_tokens, n_values, text=text))
