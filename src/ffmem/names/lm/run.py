"""The loop over units: many at a time, their results in order, stopped cleanly, and told."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Unit = TypeVar("Unit")
Result = TypeVar("Result")

_AHEAD = 4
"""Units for each thread that may be worked on before the results of an earlier one are in."""


@dataclass(frozen=True)
class Failed:
    """What `work` returns of a unit of which nothing came."""

    reason: str
    """In plain words; runs count how often each is met."""


@dataclass(frozen=True)
class Done(Generic[Unit, Result]):
    """A unit, and what came of it."""

    unit: Unit
    result: Result | None
    """None if it failed."""
    failure: str
    """Why; empty if it did not."""


def results(
    units: Sequence[Unit],
    work: Callable[[Unit], Result | Failed],
    *,
    threads: int = 1,
    halt: Callable[[], None] = lambda: None,
    listen: Callable[[str, int, int], None] = lambda _what, _done, _total: None,
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[Done[Unit, Result]]:
    """What comes of each unit, in the order of the units, while later ones are being worked on.

    What `work` raises is raised here once all results before it are out: the server refuses, the budget is spent, or there
    is a bug. On Ctrl-C and when the caller stops asking, no call is begun any more, and those under way are waited for, so
    that what they cost is kept; a second Ctrl-C does not wait.

    Args:
        units: what there is to do.
        work: called in threads of its own; returns what came of a unit, or why nothing did.
        threads: units at a time.
        halt: begins no more calls: `Server.halt`.
        listen: told how many units are done, as `render.progress.steps` wants it.
        say: told that the calls under way are waited for.
    """
    crew = _Crew(units, work, threads)
    n_failed = 0
    try:
        for number, unit in enumerate(units):
            result = crew.result(number)
            failure = result.reason if isinstance(result, Failed) else ""
            n_failed += bool(failure)
            yield Done(unit, None if isinstance(result, Failed) else result, failure)
            listen(f"labels ({n_failed:,} failed)" if n_failed else "labels", number + 1, len(units))
    finally:
        crew.stop()
        halt()
        if crew.busy:
            say("waiting for the calls under way, whose answers are kept (Ctrl-C again: do not wait)")
        crew.wait()


class _Crew(Generic[Unit, Result]):
    """Threads that work on units, a few ahead of the one whose result is asked for."""

    def __init__(self, units: Sequence[Unit], work: Callable[[Unit], Result | Failed], n_threads: int) -> None:
        self._units, self._work = units, work
        self._to_do: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._done = threading.Condition()
        self._results: dict[int, Result | Failed | BaseException] = {}
        self._stopped = False
        self._given = 0
        self._ahead = _AHEAD * n_threads
        # Daemons: a second Ctrl-C ends the program although calls are under way.
        self._threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(min(n_threads, len(units)))]
        for thread in self._threads:
            thread.start()

    @property
    def busy(self) -> bool:
        """Whether any thread is at work."""
        return any(thread.is_alive() for thread in self._threads)

    def result(self, number: int) -> Result | Failed:
        """What came of a unit, once it is done."""
        while self._given < min(number + self._ahead, len(self._units)):
            self._to_do.put(self._given)
            self._given += 1
        with self._done:
            while number not in self._results:
                self._done.wait(0.5)  # for ever, Ctrl-C would not be heard on every system
            result = self._results.pop(number)
        if isinstance(result, BaseException):
            raise result
        return result

    def stop(self) -> None:
        """Begin no more units."""
        self._stopped = True
        for _ in self._threads:
            self._to_do.put(None)

    def wait(self) -> None:
        """Until all threads have ended."""
        for thread in self._threads:
            while thread.is_alive():
                thread.join(0.5)

    def _serve(self) -> None:
        while (number := self._to_do.get()) is not None and not self._stopped:
            try:
                result: Result | Failed | BaseException = self._work(self._units[number])
            except BaseException as error:  # noqa: BLE001 (it is raised where the results are asked for)
                result = error
                self._stopped = True  # those before it are done or under way; none after it is asked for
            with self._done:
                self._results[number] = result
                self._done.notify_all()
