"""Runs tasks on a Ray cluster: actors on any of its nodes, each with the model and a cumulative state.

This process, the driver, hands out tasks as the ledger says; it never sees the model's numbers, unless a node does not
share the work folder: then states come to it as bytes, and it writes them.

A worker that dies gets a successor under a new number, to whom its state file is handed over by renaming it. So whatever
a worker that is thought dead may still write lies under a name that is never read.
"""

import os
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ffmem.errors import FfmemError, InputError, StoreError
from ffmem.index.run.executors import WAIT_S, Event, EventListener, report_death, take_known
from ffmem.index.run.failures import ends_run, reason
from ffmem.index.run.job import Job, Tasks
from ffmem.index.run.ledger import Ledger
from ffmem.index.run.ray.actor import Probe, actor_class
from ffmem.index.run.ray.cluster import RayCluster, RayOptions, answers, first_line
from ffmem.index.run.ray.remote_worker import Answer
from ffmem.index.state.states import state_path, states_of_run
from ffmem.store.files import atomic_write
from ffmem.version import __version__

ROOM_S = 300.0
"""How long a cluster may take to make room for a first worker: one that grows by itself needs minutes for a machine."""
_NOTE_S = 30.0
_AHEAD = 2
"""Tasks that a worker holds, so that it need not wait for the driver between two."""


class RayExecutor:
    """Connects to a cluster at once, so that an address that does not answer is told before any work is done.

    Raises:
        InputError: Ray is not installed, or the cluster cannot be reached.
    """

    works_here = False

    def __init__(self, options: RayOptions) -> None:
        self._cluster = RayCluster(options)
        self.n_workers = options.workers or max(1, self._cluster.room())
        """Workers that run at a time, if there is room."""

    def prepare(self, load: Callable[[], Any], n_workers: int) -> None:
        """See Executor.prepare: an actor has its job from the start."""

    def run(self, job: Job, tasks: Tasks, listen: EventListener) -> frozenset[int]:
        """See Executor.run.

        Raises:
            ModelError: tasks failed again and again; all others are done and covered.
            InputError: the cluster has no room for a worker, or another ffmem.
            StoreError: the work folder is said to be shared, and a worker does not see it.
        """
        ledger = Ledger(job.leave_out, self.n_workers, n_ahead=_AHEAD, several_nodes=True)
        take_known(ledger, tasks)
        n_workers = min(self.n_workers, len(ledger.waiting)) if ledger.is_closed else self.n_workers
        if n_workers == 0:
            return frozenset()
        pool = _Pool(self._cluster, job, ledger, tasks, listen)
        try:
            return pool.run(n_workers)
        finally:
            pool.kill()

    def close(self) -> None:
        """Leave the cluster; one that was made for this run ends."""
        self._cluster.leave()


@dataclass(frozen=True)
class _Call:
    kind: str
    """"inspect", "start", "do" or "save"."""
    ref: Any


@dataclass(eq=False)
class _Actor:
    """An actor as the driver sees it."""

    slot: int
    actor: Any
    calls: deque[_Call] = field(default_factory=deque)
    """What it was asked and has not answered, in order."""
    where: str = ""
    node_id: str = ""
    shared: bool = False

    def ask(self, kind: str, *args: Any) -> None:
        """Call a method of the actor."""
        self.calls.append(_Call(kind, getattr(self.actor, kind).remote(*args)))


class _Pool:
    """Starts actors, passes calls and answers between them and the ledger, and reports their deaths."""

    def __init__(self, cluster: RayCluster, job: Job, ledger: Ledger, tasks: Tasks, listen: EventListener) -> None:
        self._cluster, self._job, self._ledger, self._tasks, self._listen = cluster, job, ledger, tasks, listen
        self._ray, self._options = cluster.ray, cluster.options
        self._folder = Path(job.folder)
        self._actors: list[_Actor] = []
        self._abandoned: set[int] = set()
        # by node, who reads the model there, and where it has been read: the others then find it in memory
        self._loading: dict[str, _Actor] = {}
        self._loaded: set[str] = set()
        self._actor_class = self._ray.remote(actor_class())
        self._probe = Probe(self._folder, job.run_id)
        self._waited_from = self._noted = time.monotonic()

    def run(self, n_workers: int) -> frozenset[int]:
        taken = states_of_run(self._folder, self._job.run_id)  # a worker goes on from what it finds in its slot
        self._next_slot = max(n_workers, *(slot + 1 for slot in taken), 0)
        for slot in range(n_workers):
            self._start(slot)
        while not self._ledger.is_over:
            take_known(self._ledger, self._tasks)
            self._ask_all()
            oldest = {actor.calls[0].ref: actor for actor in self._actors if actor.calls}
            if not oldest:  # all wait for more tasks
                take_known(self._ledger, self._tasks, WAIT_S)
                continue
            self._ray.wait(
                list(oldest), num_returns=1, timeout=1.0 if self._ledger.is_closed else WAIT_S, fetch_local=False
            )
            # all that are there now, so that none waits behind one that answers often; states are large, so each comes here
            # only when the one before is written and forgotten
            answered, _ = self._ray.wait(list(oldest), num_returns=len(oldest), timeout=0, fetch_local=False)
            while answered:
                self._take_answer(oldest.pop(answered.pop()))
            self._look_for_room()
        self._ledger.raise_if_given_up()
        return frozenset(self._abandoned)

    def kill(self) -> None:
        self._probe.remove()
        for actor in self._actors:
            with suppress(Exception):  # the cluster itself may be gone
                self._ray.kill(actor.actor)

    def _start(self, slot: int) -> None:
        handle = self._actor_class.options(
            num_cpus=self._options.cpus, num_gpus=self._options.gpus, max_restarts=0, max_task_retries=0
        ).remote()
        actor = _Actor(slot, handle)
        self._actors.append(actor)
        self._ledger.started(slot)
        actor.ask("inspect", str(self._probe.path), self._probe.token)

    def _ask_all(self) -> None:
        """Ask every actor that can for the next thing."""
        for actor in self._actors:
            if not self._ledger.is_ready(actor.slot):
                if actor.where and not actor.calls and actor.node_id not in self._loading:
                    self._load(actor)
                continue
            for task in self._ledger.hand_out(actor.slot):
                actor.ask("do", self._job.packed(task))
            if self._ledger.save_now(actor.slot):
                actor.ask("save")

    def _load(self, actor: _Actor) -> None:
        """Ask an actor to load the model."""
        first = actor.node_id not in self._loaded
        if first:
            self._loading[actor.node_id] = actor
        state = None
        path = state_path(self._folder, self._job.run_id, actor.slot)
        if not actor.shared and path.exists():
            state = np.fromfile(path, dtype=np.uint8)
        actor.ask("start", self._job, actor.slot, actor.shared, state, first)

    def _take_answer(self, actor: _Actor) -> None:
        """Take an actor's answer to the oldest call."""
        call = actor.calls[0]
        try:
            answer = self._ray.get(call.ref)
        except self._ray.exceptions.RayError as error:
            self._replace(actor, first_line(error), blame=not self._lost_its_node(actor, error))
            return
        if call.kind == "inspect":
            self._take_facts(actor, answer)
        elif answer.error is not None:
            self._take_error(actor, answer.error, at_task=call.kind == "do")
            return
        elif call.kind == "start":
            self._ledger.ready(actor.slot)
            self._loading.pop(actor.node_id, None)
            self._loaded.add(actor.node_id)
            self._listen(Event("ready", actor.slot, where=actor.where))
        else:
            self._take_result(actor, call.kind, answer)
        actor.calls.popleft()

    def _take_facts(self, actor: _Actor, facts: dict[str, Any]) -> None:
        """Take what the node of an actor is, or refuse it."""
        actor.node_id = facts["node_id"]
        self._ledger.placed(actor.slot, actor.node_id)
        actor.where = f"{facts['host']} (node {actor.node_id[:8]}, process {facts['pid']})"
        if facts["ffmem"] != __version__:
            raise InputError(
                f"{actor.where} has {'ffmem ' + facts['ffmem'] if facts['ffmem'] else 'no ffmem: ' + facts['why']}",
                f"Expected ffmem {__version__} on every node, as here",
                f"Install it there in the Python that Ray runs ({facts['python']})",
            )
        actor.shared = facts["unseen"] is None and self._options.shared is not False
        if self._options.shared and facts["unseen"] is not None:
            raise StoreError(
                f"{self._folder} cannot be used by the worker on {actor.where}: {facts['unseen']}",
                "Expected a folder that all nodes can read and write, since --shared is given",
                "Choose a shared folder with --out, or write --no-shared to send states through the cluster",
            )

    def _take_result(self, actor: _Actor, kind: str, answer: Answer) -> None:
        """Take what came of a task, or of saving."""
        for name, data in answer.files.items():
            atomic_write(self._folder / Path(name).name, data.data)
        self._ledger.saved(actor.slot, answer.saved)
        if kind == "save":
            self._ledger.saved_at_end(actor.slot)
            return
        task_id, text = self._ledger.done(actor.slot).task_id, "; ".join(answer.texts)
        self._listen(Event("tokens", actor.slot, answer.n_tokens, answer.n_values, where=actor.where, text=text))
        self._listen(Event("task", actor.slot, task=task_id, where=actor.where))

    def _take_error(self, actor: _Actor, error: Exception, at_task: bool) -> None:
        """An actor lives, and says what it could not do."""
        if isinstance(error, FfmemError) and ends_run(error, at_task):
            raise type(error)(f"on {actor.where}, {error.got}", error.expected, error.mend) from error
        self._replace(actor, reason(error), error=error)

    def _replace(self, actor: _Actor, why: str, blame: bool = True, error: Exception | None = None) -> None:
        """Start another actor for the state of a dead one, unless the run ends with it, or the node is given up.

        Args:
            actor: which is dead.
            why: it died.
            blame: whether what it was at may be the cause; not if its whole node died.
            error: what it raised, if it did not die by itself.
        """
        with suppress(Exception):  # it may hang on in a part of the cluster that does not answer
            self._ray.kill(actor.actor)
        self._actors.remove(actor)
        if self._loading.get(actor.node_id) is actor:
            del self._loading[actor.node_id]
        self._abandoned.add(actor.slot)
        slot, self._next_slot = self._next_slot, self._next_slot + 1
        with suppress(FileNotFoundError):
            os.replace(*(state_path(self._folder, self._job.run_id, number) for number in (actor.slot, slot)))
        where, covered = actor.where or "a node of the cluster", self._job.covered(slot)
        death = self._ledger.died(actor.slot, why, covered, error=error, blame=blame, where=where)
        report_death(self._listen, death, actor.slot, where)
        if death.is_replaced:
            self._start(slot)

    def _lost_its_node(self, actor: _Actor, error: Exception) -> bool:
        """Whether its whole node is gone: then what it was at is not to blame. Ray needs half a minute to be sure."""
        if not actor.node_id:
            return "node has died" in str(error)
        node = next((node for node in self._cluster.nodes() if node["NodeID"] == actor.node_id), None)
        return node is None or answers(node["NodeManagerAddress"], node["NodeManagerPort"]) is not None

    def _look_for_room(self) -> None:
        """Say what is waited for, and give up when it does not come."""
        now = time.monotonic()
        if any(actor.where for actor in self._actors):
            self._waited_from = self._noted = now
            return
        needs, has = self._options.needs(), self._cluster.resources()
        if now - self._waited_from >= ROOM_S:
            raise InputError(
                f"the cluster had no free resources for a worker within {ROOM_S:g} s: each needs {needs}; its nodes: {has}",
                "Expected a node with that much free",
                "Ask for less (--gpus-per-worker, --threads), end other jobs (`ray status`), or add a node",
            )
        if now - self._noted >= _NOTE_S:
            self._noted = now
            self._listen(
                Event("note", -1, text=f"waiting for free resources: a worker needs {needs}; the nodes: {has}")
            )
