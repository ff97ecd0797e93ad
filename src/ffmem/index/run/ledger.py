"""The account of a run: which tasks wait, which each worker holds, which are done but unsaved, which failed.

It is told what happens to workers, and says what follows; it starts nothing, sends nothing and knows no time. A task is
always in one of four places: it waits; it is unsaved, so one worker holds it or has done it; a state file covers it; or
it is given up.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from ffmem.errors import ModelError
from ffmem.index.run.failures import Failures, never_began, never_saved
from ffmem.index.run.job import Task

_SAVING = "saving"
"""Where workers die that have begun and hold no task, beside the nodes where others die before they begin."""


@dataclass(frozen=True)
class Death:
    """What follows from the death of a worker."""

    why: str
    """It died."""
    at: str = ""
    """The id of the task that it was at; "": none."""
    done: tuple[str, ...] = ()
    """Ids of tasks that it had done and saved before it could say so."""
    lost: tuple[str, ...] = ()
    """Ids of tasks that it had done, or begun, and not saved: they wait again, but for those given up."""
    given_up: tuple[str, ...] = ()
    """Ids of tasks that are not tried again."""
    is_replaced: bool = True
    """Whether another worker is to be started for its state; not where workers die again and again before they begin."""
    ends_run: ModelError | None = None
    """The error that ends the run."""
    error: Exception | None = None
    """What the worker raised, if it did not die by itself."""


@dataclass
class _Worker:
    """A worker as the ledger sees it."""

    node: str = ""
    """"": not known yet, or there is but one."""
    is_ready: bool = False
    is_saving: bool = False
    held: deque[Task] = field(default_factory=deque)
    """Tasks that it was given and has not said to be done, in order."""
    unsaved: dict[str, Task] = field(default_factory=dict)
    """Tasks done, or held, that no state file covers yet, by id."""


class Ledger:
    """What waits, what each worker has, and what failed.

    Args:
        leave_out: the option that leaves tasks out of the job, for messages: see `Job.leave_out`.
        n_workers: workers that run at a time.
        n_ahead: tasks that a worker may hold while many wait, so that it need not wait for an answer between two.
        several_nodes: whether workers go on elsewhere when they die again and again on one node before they begin.
    """

    def __init__(
        self,
        leave_out: Callable[[Sequence[Task]], str],
        n_workers: int = 1,
        n_ahead: int = 1,
        several_nodes: bool = False,
    ) -> None:
        self._waiting = deque[Task]()
        self._is_closed = False
        self._failures = Failures(leave_out, n_workers)
        self._n_ahead, self._several_nodes = n_ahead, several_nodes
        self._workers: dict[int, _Worker] = {}

    def add(self, tasks: Iterable[Task]) -> None:
        """More tasks are known; they wait behind the others."""
        self._waiting.extend(tasks)

    def close(self) -> None:
        """All tasks are known."""
        self._is_closed = True

    @property
    def is_closed(self) -> bool:
        """Whether all tasks are known: where none waits, a worker is to wait for more if they are not, or else to leave."""
        return self._is_closed

    @property
    def is_over(self) -> bool:
        """Whether each task is covered by a state file or given up."""
        return self._is_closed and not self._waiting and not any(worker.unsaved for worker in self._workers.values())

    @property
    def waiting(self) -> tuple[Task, ...]:
        """What no worker has, in the order in which it is handed out."""
        return tuple(self._waiting)

    def unsaved(self, slot: int) -> tuple[Task, ...]:
        """What a worker holds or has done, and no state file covers yet."""
        return tuple(self._workers[slot].unsaved.values())

    def started(self, slot: int) -> None:
        """A worker was started."""
        self._workers[slot] = _Worker()

    def placed(self, slot: int, node: str) -> None:
        """A worker runs on this node of several."""
        self._failures.survived(self._workers[slot].node)
        self._workers[slot].node = node

    def ready(self, slot: int) -> None:
        """A worker can take tasks."""
        worker = self._workers[slot]
        worker.is_ready = True
        self._failures.survived(worker.node)

    def is_ready(self, slot: int) -> bool:
        """Whether a worker can take tasks."""
        return self._workers[slot].is_ready

    def is_at_task(self, slot: int) -> bool:
        """Whether a worker holds a task."""
        return bool(self._workers[slot].held)

    def hand_out(self, slot: int) -> list[Task]:
        """Tasks for a worker to do after those that it holds."""
        worker, tasks = self._workers[slot], []
        n_ahead = self._n_ahead if len(self._waiting) > len(self._workers) else 1
        while self._waiting and len(worker.held) + worker.is_saving < n_ahead:
            if (worker.held or worker.is_saving) and any(
                map(self._failures.is_suspect, (self._waiting[0], *worker.held))
            ):
                break  # what has failed before is done alone, so that it is known what failed
            task = self._waiting.popleft()
            worker.held.append(task)
            worker.unsaved[task.task_id] = task
            tasks.append(task)
        return tasks

    def save_now(self, slot: int) -> bool:
        """Whether a worker is to save now: nothing is left for it, and it has done what is not saved."""
        worker = self._workers[slot]
        if not self._is_closed or self._waiting or worker.held or worker.is_saving or not worker.unsaved:
            return False
        worker.is_saving = True
        return True

    def done(self, slot: int) -> Task:
        """A worker has done the first of the tasks that it holds; that task."""
        task = self._workers[slot].held.popleft()
        self._failures.done(task)
        return task

    def saved(self, slot: int, task_ids: Iterable[str]) -> None:
        """A worker's state file covers these."""
        for task_id in task_ids:
            self._workers[slot].unsaved.pop(task_id, None)

    def saved_at_end(self, slot: int) -> None:
        """A worker lives after it was asked to save, with nothing left to do."""
        self._workers[slot].is_saving = False
        self._failures.survived(_SAVING)

    def left(self, slot: int) -> None:
        """A worker has saved, and ended, since nothing was left to do."""
        self.saved_at_end(slot)
        del self._workers[slot]

    def died(
        self,
        slot: int,
        why: str,
        covered: Iterable[str] = (),
        *,
        error: Exception | None = None,
        blame: bool = True,
        where: str = "",
    ) -> Death:
        """A worker died: what it had not saved waits again, what it was at after all others.

        Args:
            slot: the worker.
            why: it died.
            covered: the ids of the tasks that its state file covers, since it may have saved before it could say so.
            error: what it raised, if it did not die by itself.
            blame: whether what it was at may be the cause; not if its whole node died.
            where: its node and process, where there are several nodes.
        """
        self.saved(slot, covered)
        worker = self._workers.pop(slot)
        lost, unsaved = tuple(worker.unsaved), dict(worker.unsaved)
        # it answers in order, but its last answers may be lost with it: any of these may have been its end
        candidates = list(worker.held) if error is None else list(worker.held)[:1]
        suspects = [task for task in candidates if blame and task.task_id in unsaved]
        given_up = self._failures.failed(suspects, f"{why}, last on {where}" if where else why, error)
        for task in suspects:
            del unsaved[task.task_id]
            if task not in given_up:
                self._waiting.append(task)
        self._waiting.extendleft(reversed(unsaved.values()))
        ends_run, is_replaced = self._failures.hopeless(self._waiting), True
        if blame and not worker.held and self._failures.died(_SAVING if worker.is_ready else worker.node):
            is_replaced = False
            if worker.is_ready or not self._several_nodes or not self._workers:
                explain = never_saved if worker.is_ready else never_began
                ends_run = ends_run or explain(f"on {where}" if where else f"worker {slot}", why)
        return Death(
            why,
            at=worker.held[0].task_id if worker.held else "",
            done=tuple(task.task_id for task in worker.held if task.task_id not in worker.unsaved),
            lost=lost,
            given_up=tuple(task.task_id for task in given_up),
            is_replaced=is_replaced,
            ends_run=ends_run,
            error=error,
        )

    def raise_if_given_up(self) -> None:
        """Raise ModelError, which names each task that was given up, if there are any."""
        self._failures.raise_if_given_up()
