"""Runs tasks in worker processes of this machine."""

import atexit
import gc
import multiprocessing
import signal
import time
import traceback
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from ffmem.errors import FfmemError
from ffmem.index.interrupts import no_interrupt
from ffmem.index.parent import end_with_parent
from ffmem.index.run.executors import WAIT_S, Event, EventListener, report_death, take_known
from ffmem.index.run.failures import ends_run, reason
from ffmem.index.run.job import Job, Tasks
from ffmem.index.run.ledger import Ledger


class ProcessExecutor:
    """Does the tasks in worker processes of this machine; they end when their parent does."""

    works_here = False

    def __init__(self, n_workers: int) -> None:
        self.n_workers = n_workers
        self._early: list[_Process] = []

    def prepare(self, load: Callable[[], Any], n_workers: int) -> None:
        """See Executor.prepare."""
        n_early = min(n_workers, self.n_workers) - len(self._early)
        self._early += [_start(slot, load, None) for slot in range(len(self._early), len(self._early) + n_early)]

    def run(self, job: Job, tasks: Tasks, listen: EventListener) -> frozenset[int]:
        """See Executor.run."""
        ledger = Ledger(job.leave_out, self.n_workers)
        take_known(ledger, tasks)
        self.go_on(job, ledger, tasks, listen)
        ledger.raise_if_given_up()
        return frozenset()

    def go_on(self, job: Job, ledger: Ledger, tasks: Tasks, listen: EventListener) -> None:
        """See Successor.go_on."""
        n_workers = min(self.n_workers, len(ledger.waiting)) if ledger.is_closed else self.n_workers
        if n_workers == 0:
            return
        pool = _Pool(job, ledger, tasks, listen)
        try:
            early, self._early = self._early[:n_workers], self._early[n_workers:]
            self.close()  # there is too little to do for these
            pool.run(early, n_workers)
        finally:
            pool.kill()

    def close(self) -> None:
        """See Executor.close."""
        _end(self._early)
        self._early = []


@dataclass(frozen=True)
class _Process:
    """A worker process as its parent sees it."""

    slot: int
    process: BaseProcess
    connection: Connection


class _Pool:
    """Starts processes, passes messages between them and the ledger, and reports their deaths."""

    def __init__(self, job: Job, ledger: Ledger, tasks: Tasks, listen: EventListener) -> None:
        self._job, self._ledger, self._tasks, self._listen = job, ledger, tasks, listen
        self._processes: dict[int, _Process] = {}
        self._idle: set[int] = set()
        """Slots of workers that wait for more tasks."""

    def run(self, early: Sequence[_Process], n_workers: int) -> None:
        for worker in early:
            self._processes[worker.slot] = worker
            self._ledger.started(worker.slot)
            try:
                if worker.connection.poll():
                    self._take(worker, *worker.connection.recv())  # an error: it has nothing else to say yet
                worker.connection.send(self._job)
            except (
                EOFError,
                ConnectionResetError,
                BrokenPipeError,
            ):  # killed before there was any job: that tells nothing
                _end([worker])
                self._start(worker.slot)
        for slot in range(len(early), n_workers):
            self._start(slot)
        while self._processes:
            by_handle: dict[Any, _Process] = {}
            for worker in self._processes.values():
                by_handle[worker.connection] = worker
                by_handle[worker.process.sentinel] = worker
            answered = wait(list(by_handle), None if self._ledger.is_closed else WAIT_S)
            for worker in {by_handle[handle].slot: by_handle[handle] for handle in answered}.values():
                self._read(worker)
            take_known(self._ledger, self._tasks)
            for slot in sorted(self._idle & self._processes.keys()):
                self._give(self._processes[slot])

    def _start(self, slot: int) -> None:
        self._processes[slot] = _start(slot, None, self._job)
        self._ledger.started(slot)

    def _read(self, worker: _Process) -> None:
        """Take all that a worker has sent; it has died if the line is closed before it said that it leaves."""
        try:
            while worker.connection.poll():
                if not self._take(worker, *worker.connection.recv()):
                    return
        except (EOFError, ConnectionResetError):
            self._replace(worker)
            return
        if not worker.process.is_alive() and not worker.connection.poll():
            self._replace(worker)

    def _take(self, worker: _Process, kind: str, value: Any) -> bool:
        """Act on one message; False if the worker has ended."""
        slot, ledger = worker.slot, self._ledger
        if kind == "error":
            if not ledger.is_at_task(slot) or ends_run(value, at_task=True):
                raise value
            self._replace(worker, value)
            return False
        if kind == "tokens":
            n_tokens, text, n_values = value
            self._listen(Event("tokens", slot, n_tokens, n_values, text=text))
        elif kind == "saved":
            ledger.saved(slot, value)
        elif kind == "left":
            ledger.left(slot)
            worker.process.join()
            del self._processes[slot]
            return False
        else:  # "ready" or "task": give it something to do
            if kind == "ready":
                ledger.ready(slot)
            task_id = ledger.done(slot).task_id if kind == "task" else ""
            self._listen(Event(kind, slot, task=task_id))
            self._give(worker)
        return True

    def _give(self, worker: _Process) -> None:
        """Give a worker a task; let it wait if none is known, and leave if none will be."""
        tasks = self._ledger.hand_out(worker.slot)
        if not tasks and not self._ledger.is_closed:
            self._idle.add(worker.slot)
            return
        self._idle.discard(worker.slot)
        with suppress(BrokenPipeError):  # it has died: the next look at it will show
            worker.connection.send(self._job.packed(tasks[0]) if tasks else None)

    def _replace(self, worker: _Process, error: Exception | None = None) -> None:
        """Start another worker in the place of a dead one, unless the run ends with it."""
        worker.process.join()
        worker.connection.close()
        del self._processes[worker.slot]
        self._idle.discard(worker.slot)
        why = _how_it_ended(worker.process.exitcode) if error is None else reason(error)
        death = self._ledger.died(worker.slot, why, self._job.covered(worker.slot), error=error)
        report_death(self._listen, death, worker.slot)
        self._start(worker.slot)

    def kill(self) -> None:
        _end(self._processes.values())


def _start(slot: int, load: Callable[[], Any] | None, job: Job | None) -> _Process:
    """A worker process that has its job, or loads and waits for it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(
        target=_worker_main, args=(load, job, slot, theirs), name=f"ffmem-worker-{slot}", daemon=True
    )
    with no_interrupt():
        process.start()
    theirs.close()
    return _Process(slot, process, ours)


def _end(workers: Collection[_Process]) -> None:
    for worker in workers:
        worker.process.kill()
    for worker in workers:
        worker.process.join()
        worker.connection.close()


def _how_it_ended(exitcode: int | None) -> str:
    return f"signal {signal.Signals(-exitcode).name}" if exitcode is not None and exitcode < 0 else f"exit {exitcode}"


def _worker_main(load: Callable[[], Any] | None, job: Job | None, slot: int, connection: Connection) -> None:
    """What a worker process does: load, if it is early; wait for its job, if it has none; ask for tasks while there are any."""

    def report(n_tokens: int, text: str = "", n_values: int = 0) -> None:
        connection.send(("tokens", (n_tokens, text, n_values)))

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends us
    end_with_parent()
    atexit.register(gc.freeze)  # the parent waits for the end, and what is left goes with the process
    try:
        loaded = load() if load is not None else None
        job = job or connection.recv()
        worker = (job if loaded is None else job.with_loaded(loaded)).start(slot)
        connection.send(("ready", None))
        saved = time.monotonic()
        while (task := connection.recv()) is not None:
            worker.do(task, report)
            if time.monotonic() - saved >= job.checkpoint_s:
                connection.send(("saved", worker.save()))
                saved = time.monotonic()
            connection.send(("task", None))
        connection.send(("saved", worker.save()))
        connection.send(("left", None))
    except FfmemError as error:
        connection.send(("error", error))
    except (EOFError, BrokenPipeError):
        pass  # the parent has gone
    except Exception:  # noqa: BLE001 (any bug, of a library too: sent whole, or it would be lost with this process)
        connection.send(("error", RuntimeError(f"a worker process failed:\n{traceback.format_exc()}")))
