"""What failed in a run, and when it is no use to go on: the same for every executor.

A task fails when its worker dies at it, or raises. Its worker is then replaced by one that goes on from the last checkpoint,
and the task is tried again when all others have been, up to MAX_ATTEMPTS times: memory may have run out for another's sake.
A ModelError is no accident, the same numbers come out each time, so the task is given up at once. What is given up is left
out, everything else is done, and then the run ends in an error that names it.

Errors of another kind (a full disk, a model that is not there) are not the task's: they end the run at once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ffmem.errors import FfmemError, ModelError

if TYPE_CHECKING:
    from ffmem.index.run.executors import Job, Task

MAX_ATTEMPTS = 3
"""A task that has failed this often is given up; so is a place where workers die before they begin, this often in a row."""
LEAST_IN_A_ROW = 6
"""So many failures one after the other, or twice as many as there are workers, while other tasks wait and none is done: they
are not to blame, and the run stops before it has tried them all."""

_MAX_TOLD = 10
"""Tasks that a message tells one by one."""


@dataclass(frozen=True)
class Failure:
    """A task that failed, how often, and why the last time."""

    task: "Task"
    n_attempts: int
    why: str
    error: Exception | None
    """What its worker raised the last time; None if it died without a word."""


class Failures:
    """The account of what failed in a run.

    Args:
        job: what is done.
        n_workers: workers that run at a time.
    """

    def __init__(self, job: "Job", n_workers: int = 1) -> None:
        self._job = job
        self._most_in_a_row = max(LEAST_IN_A_ROW, 2 * n_workers)
        self._n_attempts: dict[str, int] = {}
        self._given_up: list[Failure] = []
        self._done: set[str] = set()
        self._in_a_row: list[Failure] = []
        self._deaths: dict[str, int] = {}

    def done(self, task: "Task") -> None:
        """A task is done; that one was done again, which no checkpoint had kept, says nothing of the others."""
        if task.task_id not in self._done:
            self._done.add(task.task_id)
            self._in_a_row.clear()

    def is_suspect(self, task: "Task") -> bool:
        """Whether it has failed before, or another that its worker held."""
        return task.task_id in self._n_attempts

    def failed(self, tasks: Sequence["Task"], why: str, error: Exception | None = None) -> list["Task"]:
        """A task has failed once more; of several it is not known which.

        Returns:
            Those to be given up.
        """
        given_up = []
        for task in tasks:
            n_attempts = self._n_attempts[task.task_id] = self._n_attempts.get(task.task_id, 0) + 1
            if n_attempts >= MAX_ATTEMPTS or isinstance(error, ModelError):
                given_up.append(task)
                self._given_up.append(Failure(task, n_attempts, why, error))
        if tasks:
            self._in_a_row.append(Failure(tasks[0], self._n_attempts[tasks[0].task_id], why, error))
        return given_up

    def survived(self, place: str) -> None:
        """A worker has begun there, or has saved."""
        self._deaths.pop(place, None)

    def died(self, place: str) -> bool:
        """A worker died at no task; whether the place, such as a node, is to be given up."""
        self._deaths[place] = self._deaths.get(place, 0) + 1
        return self._deaths[place] >= MAX_ATTEMPTS

    def stop_if_hopeless(self, waiting: Iterable["Task"]) -> None:
        """Raise ModelError if tasks fail one after the other, while others wait that would fail as well."""
        if len(self._in_a_row) >= self._most_in_a_row and not all(map(self.is_suspect, waiting)):
            expected = "Expected other tasks to succeed in between: the cause is something that they have in common"
            raise self._error(self._in_a_row, expected, leave_out=False) from self._in_a_row[-1].error

    def raise_if_any(self) -> None:
        """Raise ModelError if anything was given up.

        The message names each task, why it failed, and how to go on without it.
        """
        if self._given_up:
            expected = "Expected every task to succeed; all others did, and their results are kept"
            raise self._error(self._given_up, expected, leave_out=True) from self._given_up[-1].error

    def _error(self, failures: Sequence[Failure], expected: str, leave_out: bool) -> ModelError:
        told = "; ".join(map(_told, failures[:_MAX_TOLD]))
        if len(failures) > _MAX_TOLD:
            told += f"; and {len(failures) - _MAX_TOLD} more"
        errors = [failure.error for failure in failures if isinstance(failure.error, FfmemError)]
        mend = errors[0].mend if errors else "Run the same command again, with fewer --workers if memory ran out"
        without = self._job.leave_out([failure.task for failure in failures]) if leave_out else ""
        return ModelError(told, expected, f"{mend}{f'; or leave out what fails: {without}' if without else ''}")


def _told(failure: Failure) -> str:
    times = f" {failure.n_attempts} times" if failure.n_attempts > 1 else ""
    return f"{failure.task.describe()} failed{times}: {failure.why}"


def reason(error: Exception) -> str:
    """What an exception says, in one line."""
    if isinstance(error, FfmemError):
        return error.got
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__


def never_began(where: str, why: str) -> ModelError:
    """Workers died again and again before they could begin."""
    return _died_again(f"before they could begin, last {where}: {why}", "load the model")


def never_saved(where: str, why: str) -> ModelError:
    """Workers died again and again at their last checkpoint."""
    return _died_again(f"while they wrote their state, last {where}: {why}", "write what they found")


def _died_again(when: str, expected: str) -> ModelError:
    return ModelError(
        f"workers died {MAX_ATTEMPTS} times in a row {when}",
        f"Expected them to {expected}; most often memory runs out",
        "Run the same command again with fewer --workers, or where there is more memory (what is finished is kept)",
    )
