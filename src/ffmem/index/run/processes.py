"""Runs tasks in worker processes of this machine."""

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from ffmem.errors import FfmemError, ModelError
from ffmem.index.run.executors import Event, Job, Listener, Task
from ffmem.index.run.failures import Failures, never_began, never_saved, reason


class ProcessExecutor:
    """Does the tasks in worker processes of this machine; they end when their parent does."""

    def __init__(self, n_workers: int) -> None:
        self.n_workers = n_workers

    def run(self, job: Job, tasks: Sequence[Task], listen: Listener) -> frozenset[int]:
        """See Executor.run."""
        if tasks:
            n_workers = min(self.n_workers, len(tasks))
            pool = _Pool(job, tasks, listen, n_workers)
            try:
                pool.run(n_workers)
            finally:
                pool.kill()
        return frozenset()

    def close(self) -> None:
        """See Executor.close."""


@dataclass
class _Member:
    """A worker process as its parent sees it."""

    slot: int
    process: BaseProcess
    connection: Connection
    ready: bool = False
    task: Task | None = None
    unsaved: dict[str, Task] | None = None
    """Tasks done, or begun, that no state file covers yet."""


class _Pool:
    def __init__(self, job: Job, tasks: Sequence[Task], listen: Listener, n_workers: int) -> None:
        self._job, self._listen = job, listen
        self._waiting = deque(tasks)
        self._failures = Failures(job, n_workers)
        self._members: dict[int, _Member] = {}
        self._context = multiprocessing.get_context("spawn")

    def run(self, n_workers: int) -> None:
        for slot in range(n_workers):
            self._start(slot)
        while self._members:
            by_handle: dict[Any, _Member] = {}
            for member in self._members.values():
                by_handle[member.connection] = member
                by_handle[member.process.sentinel] = member
            for member in {id(m): m for handle in wait(list(by_handle)) for m in [by_handle[handle]]}.values():
                self._hear(member)
        self._failures.raise_if_any()

    def _start(self, slot: int) -> None:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_worker_main, args=(self._job, slot, theirs), name=f"ffmem-worker-{slot}", daemon=True
        )
        process.start()
        theirs.close()
        self._members[slot] = _Member(slot, process, ours, unsaved={})

    def _hear(self, member: _Member) -> None:
        """Take all that a worker has said; it has died if the line is closed before it said goodbye."""
        try:
            while member.connection.poll():
                kind, value = member.connection.recv()
                if self._take(member, kind, value):
                    return
        except (EOFError, ConnectionResetError):
            self._bury(member, "")
            return
        if not member.process.is_alive() and not member.connection.poll():
            self._bury(member, "")

    def _take(self, member: _Member, kind: str, value: Any) -> bool:
        """Act on one message; True if the worker has left."""
        assert member.unsaved is not None
        if kind == "error":
            if member.task is None or (isinstance(value, FfmemError) and not isinstance(value, ModelError)):
                raise value
            self._bury(member, reason(value), value)
            return True
        if kind == "tokens":
            n_tokens, text, n_values = value
            self._listen(Event("tokens", member.slot, n_tokens, n_values, text=text))
        elif kind == "saved":
            for task_id in value:
                member.unsaved.pop(task_id, None)
        elif kind == "left":
            self._failures.survived("save")
            member.process.join()
            del self._members[member.slot]
            return True
        else:  # "ready" or "task": give it something to do
            done = ""
            if member.task is None:
                self._failures.survived("start")
                member.ready = True
            else:
                self._failures.done(member.task)
                done = member.task.task_id
            self._listen(Event(kind, member.slot, task=done))
            member.task = self._waiting.popleft() if self._waiting else None
            if member.task is not None:
                member.unsaved[member.task.task_id] = member.task
            with suppress(BrokenPipeError):  # it has died: the next look at it will tell
                member.connection.send(member.task)
        return False

    def _bury(self, member: _Member, why: str, error: Exception | None = None) -> None:
        """Hand out again what a dead worker had not saved, and start another in its place."""
        member.process.join()
        member.connection.close()
        del self._members[member.slot]
        assert member.unsaved is not None
        for task_id in self._job.covered(member.slot):  # it may have died after it saved, before it said so
            member.unsaved.pop(task_id, None)
        why = why or _how(member.process.exitcode)
        at = member.task.task_id if member.task else ""
        if at and at not in member.unsaved:
            self._listen(Event("task", member.slot, task=at))
        if member.task is None and self._failures.died("save" if member.ready else "start"):
            raise (never_saved if member.ready else never_began)(f"worker {member.slot}", why) from error
        lost = tuple(member.unsaved)
        suspect = member.unsaved.pop(at, None)
        if suspect is not None and self._failures.failed([suspect], why, error):
            self._listen(Event("failed", member.slot, task=at, text=why))
        elif suspect is not None:
            self._waiting.append(suspect)
        self._waiting.extendleft(reversed(member.unsaved.values()))
        self._failures.stop_if_hopeless(self._waiting)
        self._listen(Event("restart", member.slot, task=at, text=why, lost=lost))
        self._start(member.slot)

    def kill(self) -> None:
        for member in self._members.values():
            member.process.kill()
        for member in self._members.values():
            member.process.join()
            member.connection.close()


def _how(exitcode: int | None) -> str:
    return f"signal {signal.Signals(-exitcode).name}" if exitcode is not None and exitcode < 0 else f"exit {exitcode}"


def _worker_main(job: Job, slot: int, connection: Connection) -> None:
    """What a worker process does: ask for tasks until there are none."""

    def report(n_tokens: int, text: str = "", n_values: int = 0) -> None:
        connection.send(("tokens", (n_tokens, text, n_values)))

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends us
    _end_with_parent()
    try:
        worker = job.start(slot)
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
    except Exception:  # noqa: BLE001 (a bug: carried over whole, since the parent shows it)
        connection.send(("error", RuntimeError(f"a worker process failed:\n{traceback.format_exc()}")))


def _end_with_parent() -> None:
    """End this process as soon as its parent is gone, however that happened."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="ffmem-parent-watch").start()
