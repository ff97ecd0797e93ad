"""Runs tasks on a Ray cluster: actors on any of its nodes, each with the model and a cumulative state.

This process, the driver, hands out tasks and keeps the account of which are covered by a state file; it never sees the
model's numbers, unless a node does not share the work folder: then states come to it as bytes, and it writes them.

A worker that dies gets a successor under a new number, to whom its state file is handed over by renaming it. So whatever
a worker that is thought dead may still write lies under a name that is never read.
"""

import os
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ffmem.errors import FfmemError, InputError, ModelError, StoreError
from ffmem.index.run.executors import Event, Job, Listener, Task
from ffmem.index.run.failures import Failures, never_began, never_saved, reason
from ffmem.index.run.ray.actor import Probe, actor_class
from ffmem.index.run.ray.cluster import RayCluster, RayOptions, answers, first_line
from ffmem.index.run.ray.remote_worker import Answer
from ffmem.index.state.states import state_path, states_of_run
from ffmem.store.files import atomic_write
from ffmem.version import __version__

ROOM_S = 300.0
"""How long a cluster may take to make room for a first worker: one that grows by itself needs minutes for a machine."""
_TELL_S = 30.0
_AHEAD = 2
"""Tasks that a worker holds, so that it need not wait for the driver between two."""


class RayExecutor:
    """Connects to a cluster at once, so that an address that does not answer is told before any work is done.

    Raises:
        InputError: Ray is not installed, or the cluster cannot be reached.
    """

    def __init__(self, options: RayOptions) -> None:
        self._cluster = RayCluster(options)
        self.n_workers = options.workers or max(1, self._cluster.room())
        """Workers that run at a time, if there is room."""

    def run(self, job: Job, tasks: Sequence[Task], listen: Listener) -> frozenset[int]:
        """See Executor.run.

        Raises:
            ModelError: tasks failed again and again; all others are done and covered.
            InputError: the cluster has no room for a worker, or another ffmem.
            StoreError: the work folder is said to be shared, and a worker does not see it.
        """
        if not tasks:
            return frozenset()
        n_workers = min(self.n_workers, len(tasks))
        pool = _Pool(self._cluster, job, tasks, listen, n_workers)
        try:
            return pool.run(n_workers)
        finally:
            pool.kill()

    def close(self) -> None:
        """Leave the cluster; one that was made for this run ends."""
        self._cluster.leave()


@dataclass(eq=False)
class _Call:
    kind: str
    """"meet", "start", "do" or "save"."""
    ref: Any
    task: Task | None = None


@dataclass(eq=False)
class _Member:
    """An actor as the driver sees it."""

    slot: int
    actor: Any
    calls: deque[_Call] = field(default_factory=deque)
    """What it was asked and has not answered, in order."""
    where: str = ""
    node_id: str = ""
    shared: bool = False
    ready: bool = False
    unsaved: dict[str, Task] = field(default_factory=dict)
    """Tasks done, or begun, that no state file covers yet."""

    def ask(self, kind: str, ref: Any, task: Task | None = None) -> None:
        self.calls.append(_Call(kind, ref, task))


class _Pool:
    def __init__(self, cluster: RayCluster, job: Job, tasks: Sequence[Task], listen: Listener, n_workers: int) -> None:
        self._cluster, self._job, self._listen = cluster, job, listen
        self._ray, self._options = cluster.ray, cluster.options
        self._folder = Path(job.folder)
        self._waiting = deque(tasks)
        self._members: list[_Member] = []
        self._buried: set[int] = set()
        self._failures = Failures(job, n_workers)
        # by node, who reads the model there, and where it has been read: the others then find it in memory
        self._loading: dict[str, _Member] = {}
        self._loaded: set[str] = set()
        self._actor_class = self._ray.remote(actor_class())
        self._probe = Probe(self._folder, job.run_id)
        self._begun = self._told = time.monotonic()

    def run(self, n_workers: int) -> frozenset[int]:
        taken = states_of_run(self._folder, self._job.run_id)  # a worker goes on from what it finds in its slot
        self._next_slot = max(n_workers, *(slot + 1 for slot in taken), 0)
        for slot in range(n_workers):
            self._hire(slot)
        while self._waiting or any(member.unsaved for member in self._members):
            self._deal()
            oldest = {member.calls[0].ref: member for member in self._members if member.calls}
            self._ray.wait(list(oldest), num_returns=1, timeout=1.0, fetch_local=False)
            # all that are there now, so that no message is missed; states are large, so each comes here only when the one
            # before is written and forgotten
            answered, _ = self._ray.wait(list(oldest), num_returns=len(oldest), timeout=0, fetch_local=False)
            while answered:
                self._hear(oldest.pop(answered.pop()))
            self._look_for_room()
        self._failures.raise_if_any()
        return frozenset(self._buried)

    def kill(self) -> None:
        self._probe.remove()
        for member in self._members:
            with suppress(Exception):  # the cluster itself may be gone
                self._ray.kill(member.actor)

    def _hire(self, slot: int) -> None:
        actor = self._actor_class.options(
            num_cpus=self._options.cpus, num_gpus=self._options.gpus, max_restarts=0, max_task_retries=0
        ).remote()
        member = _Member(slot, actor)
        self._members.append(member)
        member.ask("meet", actor.meet.remote(str(self._probe.path), self._probe.token))

    def _deal(self) -> None:
        """Ask every worker that can for the next thing."""
        for member in self._members:
            if not member.ready:
                if member.where and not member.calls and member.node_id not in self._loading:
                    self._start(member)
                continue
            ahead = _AHEAD if len(self._waiting) > len(self._members) else 1
            while self._waiting and len(member.calls) < ahead:
                suspects = map(self._failures.is_suspect, (self._waiting[0], *(c.task for c in member.calls if c.task)))
                if member.calls and any(suspects):
                    break  # what has failed before is done alone, so that it is known what failed
                task = self._waiting.popleft()
                member.unsaved[task.task_id] = task
                sent = task if member.shared else self._job.packed(task)
                member.ask("do", member.actor.do.remote(sent), task)
            if not self._waiting and not member.calls and member.unsaved:
                member.ask("save", member.actor.save.remote())

    def _start(self, member: _Member) -> None:
        first = member.node_id not in self._loaded
        if first:
            self._loading[member.node_id] = member
        state = None
        path = state_path(self._folder, self._job.run_id, member.slot)
        if not member.shared and path.exists():
            state = np.fromfile(path, dtype=np.uint8)
        member.ask("start", member.actor.start.remote(self._job, member.slot, member.shared, state, first))

    def _hear(self, member: _Member) -> None:
        """Take a worker's answer to the oldest call."""
        call = member.calls[0]
        try:
            answer = self._ray.get(call.ref)
        except self._ray.exceptions.RayError as error:
            self._bury(member, first_line(error), blame=not self._lost_its_node(member, error))
            return
        if call.kind == "meet":
            self._failures.survived("")
            self._meet(member, answer)
        elif answer.error is not None:
            self._take_error(member, call, answer.error)
            return
        elif call.kind == "start":
            member.ready = True
            self._failures.survived(member.node_id)
            self._loading.pop(member.node_id, None)
            self._loaded.add(member.node_id)
            self._listen(Event("ready", member.slot, where=member.where))
        else:
            self._take(member, call, answer)
            if call.kind == "save":
                self._failures.survived("saving")
        member.calls.popleft()

    def _meet(self, member: _Member, facts: dict[str, Any]) -> None:
        member.node_id = facts["node_id"]
        member.where = f"{facts['host']} (node {member.node_id[:8]}, process {facts['pid']})"
        if facts["ffmem"] != __version__:
            raise InputError(
                f"{member.where} has {'ffmem ' + facts['ffmem'] if facts['ffmem'] else 'no ffmem: ' + facts['why']}",
                f"Expected ffmem {__version__} on every node, as here",
                f"Install it there in the Python that Ray runs ({facts['python']})",
            )
        member.shared = facts["unseen"] is None and self._options.shared is not False
        if self._options.shared and facts["unseen"] is not None:
            raise StoreError(
                f"{self._folder} cannot be used by the worker on {member.where}: {facts['unseen']}",
                "Expected a folder that all nodes can read and write, since --shared is given",
                "Choose a shared folder with --out, or write --no-shared to send states through the cluster",
            )

    def _take(self, member: _Member, call: _Call, answer: Answer) -> None:
        for name, data in answer.files.items():
            atomic_write(self._folder / Path(name).name, data.data)
        for task_id in answer.saved:
            member.unsaved.pop(task_id, None)
        if call.task is not None:
            self._failures.done(call.task)
            told = "; ".join(answer.texts)
            n_tokens, n_values = answer.n_tokens, answer.n_values
            self._listen(Event("tokens", member.slot, n_tokens, n_values, where=member.where, text=told))
            self._listen(Event("task", member.slot, task=call.task.task_id, where=member.where))

    def _take_error(self, member: _Member, call: _Call, error: Exception) -> None:
        """A worker lives, and says what it could not do."""
        if isinstance(error, FfmemError) and not (isinstance(error, ModelError) and call.kind == "do"):
            raise type(error)(f"on {member.where}, {error.got}", error.expected, error.mend) from error
        self._bury(member, reason(error), blame=True, error=error)

    def _bury(self, member: _Member, why: str, blame: bool, error: Exception | None = None) -> None:
        """Hand out again what a dead worker had not saved, and hire a successor for its state.

        Args:
            member: the worker.
            why: it died.
            blame: whether what it was at may be the cause; not if its whole node died.
            error: what it raised, if it did not die by itself.
        """
        with suppress(Exception):  # it may hang on in a part of the cluster that does not answer
            self._ray.kill(member.actor)
        self._members.remove(member)
        if self._loading.get(member.node_id) is member:
            del self._loading[member.node_id]
        self._buried.add(member.slot)
        slot, self._next_slot = self._next_slot, self._next_slot + 1
        with suppress(FileNotFoundError):
            os.replace(*(state_path(self._folder, self._job.run_id, number) for number in (member.slot, slot)))
        for task_id in self._job.covered(slot):
            member.unsaved.pop(task_id, None)
        lost = tuple(member.unsaved)
        # it answers in order, but its last answers may be lost with it: any of these may have been its end
        held = [call.task for call in member.calls if call.task]
        for task in held:
            if task.task_id not in member.unsaved:
                self._listen(Event("task", member.slot, task=task.task_id, where=member.where))
        at, where = held[0] if held else None, member.where or "a node of the cluster"
        suspects = [task for task in (held if error is None else held[:1]) if task.task_id in member.unsaved and blame]
        given_up = self._failures.failed(suspects, f"{why}, last on {where}", error)
        for task in suspects:
            del member.unsaved[task.task_id]
            if task in given_up:
                self._listen(Event("failed", member.slot, task=task.task_id, where=where, text=why))
            else:
                self._waiting.append(task)
        self._waiting.extendleft(reversed(member.unsaved.values()))
        self._failures.stop_if_hopeless(self._waiting)
        if blame and at is None and self._failures.died("saving" if member.ready else member.node_id):
            if member.ready or not self._members:
                raise (never_saved if member.ready else never_began)(f"on {where}", why) from error
            told = f"workers on {where} died before they could begin ({why}): the others go on without"
            self._listen(Event("note", member.slot, where=where, text=told))
            return
        self._listen(Event("restart", member.slot, task=at.task_id if at else "", where=where, text=why, lost=lost))
        self._hire(slot)

    def _lost_its_node(self, member: _Member, error: Exception) -> bool:
        """Whether its whole node is gone: then what it was at is not to blame. Ray needs half a minute to be sure."""
        if not member.node_id:
            return "node has died" in str(error)
        node = next((one for one in self._cluster.nodes() if one["NodeID"] == member.node_id), None)
        return node is None or answers(node["NodeManagerAddress"], node["NodeManagerPort"]) is not None

    def _look_for_room(self) -> None:
        """Say what is waited for, and give up when it does not come."""
        now = time.monotonic()
        if any(member.where for member in self._members):
            self._begun = self._told = now
            return
        needs, has = self._options.needs(), self._cluster.resources()
        if now - self._begun >= ROOM_S:
            raise InputError(
                f"the cluster had no free resources for a worker within {ROOM_S:g} s: each needs {needs}; its nodes: {has}",
                "Expected a node with that much free",
                "Ask for less (--gpus-per-worker, --threads), end other jobs (`ray status`), or add a node",
            )
        if now - self._told >= _TELL_S:
            self._told = now
            self._listen(
                Event("note", -1, text=f"waiting for free resources: a worker needs {needs}; the nodes: {has}")
            )
