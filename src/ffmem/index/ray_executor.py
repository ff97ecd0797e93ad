"""Runs tasks on a Ray cluster: actors on any of its nodes, each with the model and a cumulative state.

This process, the driver, hands out tasks and keeps the account of which are covered by a state file; it never sees the
model's numbers, unless a node does not share the work folder: then states come to it as bytes, and it writes them.

A worker that dies gets a successor under a new number, to whom its state file is handed over by renaming it. So whatever
a worker that is thought dead may still write lies under a name that is never read.
"""

import os
import pickle
import secrets
import socket
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ffmem.errors import FfmemError, InputError, ModelError, StoreError
from ffmem.extras import extra_module
from ffmem.index.executors import MAX_ATTEMPTS, Event, Job, Listener, Task, state_path, states_of_run
from ffmem.index.files import atomic_write
from ffmem.index.machine import n_processors
from ffmem.index.remote_worker import Answer
from ffmem.version import __version__

ROOM_S = 300.0
"""How long a cluster may take to make room for a first worker: one that grows by itself needs minutes for a machine."""
_CONNECT_S = 5.0
_TELL_S = 30.0
_AHEAD = 2
"""Tasks that a worker holds, so that it need not wait for the driver between two."""


@dataclass(frozen=True)
class RayOptions:
    """Which cluster, and what a worker needs of it."""

    address: str = "auto"
    """HOST:PORT of a cluster; "auto": that of RAY_ADDRESS, else one that runs on this machine, else one made for this run."""
    workers: int | None = None
    """How many, by default as many as there is room for."""
    cpus: int = 1
    """Processors of a worker."""
    gpus: float = 0.0
    """GPUs of a worker."""
    shared: bool | None = None
    """Whether all nodes have the work folder; None: each worker looks."""


class RayExecutor:
    """Connects to a cluster at once, so that an address that does not answer is told before any work is done.

    Raises:
        InputError: Ray is not installed, or the cluster cannot be reached.
    """

    def __init__(self, options: RayOptions) -> None:
        self._options = options
        self._ray = extra_module("ray", "ray", "--executor ray runs on a Ray cluster")
        self._own = _connect(self._ray, options)
        self.n_workers = options.workers or max(1, self._room())
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
        cluster = _Cluster(self._ray, self._options, job, tasks, listen)
        try:
            return cluster.run(min(self.n_workers, len(tasks)))
        finally:
            cluster.kill()

    def close(self) -> None:
        """Leave the cluster; one that was made for this run ends."""
        if self._own:
            self._ray.shutdown()

    def _room(self) -> int:
        """Workers that the cluster's nodes have room for."""
        return sum(
            int(min(node.get("CPU", 0) // self._options.cpus, _times(node.get("GPU", 0), self._options.gpus)))
            for node in _nodes(self._ray)
        )


def _times(there: float, needed: float) -> float:
    return there // needed if needed else float("inf")


def _nodes(ray: Any) -> list[dict[str, float]]:
    """The resources of each node that is alive."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _connect(ray: Any, options: RayOptions) -> bool:
    """Join the cluster, unless this process is in one already; whether it is ours to leave."""
    if ray.is_initialized():
        return False
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a cluster that we make tells nobody of itself
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # Ray's coming default, without its warning
    address = options.address if options.address != "auto" else os.environ.get("RAY_ADDRESS", "auto")
    silent = {"logging_level": "ERROR", "log_to_driver": False}
    try:
        if address != "auto":
            _knock(address)
            ray.init(address=address, **silent)
            return True
        try:
            ray.init(address="auto", **silent)
        except ConnectionError:
            n_cpus = max(n_processors(), (options.workers or 1) * options.cpus)
            ray.init(address="local", num_cpus=n_cpus, include_dashboard=False, **silent)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise _unreachable(address, _first_line(error)) from error
    return True


def _knock(address: str) -> None:
    """Raise InputError unless something answers there: Ray itself would try for a minute."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or "/" in address:
        raise InputError(
            f"--address is {address!r}",
            "Expected auto, or HOST:PORT of a cluster's head",
            "Run this command on a node of the cluster with --address auto, or give what `ray start --head` printed",
        )
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise _unreachable(address, str(error)) from error


def _unreachable(address: str, why: str) -> InputError:
    return InputError(
        f"no Ray cluster can be reached at {address}: {why}",
        "Expected the HOST:PORT that `ray start --head` printed, with the same Ray and Python as here",
        "Look at it with `ray status --address HOST:PORT`; leave --address out to use this machine alone",
    )


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__


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


class _Cluster:
    def __init__(self, ray: Any, options: RayOptions, job: Job, tasks: Sequence[Task], listen: Listener) -> None:
        self._ray, self._options, self._job, self._listen = ray, options, job, listen
        self._waiting = deque(tasks)
        self._members: list[_Member] = []
        self._n_done = self._false_starts = 0
        self._buried: set[int] = set()
        self._attempts: dict[str, int] = {}
        self._given_up: dict[str, tuple[Task, str]] = {}
        self._loading: set[str] = set()  # nodes where a first worker reads the model; the others find it in memory
        self._loaded: set[str] = set()
        self._job_bytes = pickle.dumps(job)
        self._actor_class = ray.remote(_actor_class())
        self._probe = _Probe(Path(job.folder), job.run_id)
        self._begun = self._told = time.monotonic()

    def run(self, n_workers: int) -> frozenset[int]:
        taken = states_of_run(
            Path(self._job.folder), self._job.run_id
        )  # a worker goes on from what it finds in its slot
        self._next_slot = max(n_workers, *(slot + 1 for slot in taken), 0)
        for slot in range(n_workers):
            self._hire(slot)
        while self._waiting or any(member.unsaved for member in self._members):
            self._deal()
            oldest = {member.calls[0].ref: member for member in self._members if member.calls}
            answered, _ = self._ray.wait(list(oldest), num_returns=1, timeout=1.0, fetch_local=False)
            for ref in answered:
                self._hear(oldest[ref])
            self._look_for_room()
        if self._given_up:
            raise _given_up(self._given_up)
        return frozenset(self._buried)

    def kill(self) -> None:
        self._probe.remove()
        for member in self._members:
            with suppress(Exception):  # the cluster itself may be gone
                self._ray.kill(member.actor)

    def _hire(self, slot: int) -> _Member:
        actor = self._actor_class.options(
            num_cpus=self._options.cpus, num_gpus=self._options.gpus, max_restarts=0, max_task_retries=0
        ).remote()
        member = _Member(slot, actor)
        self._members.append(member)
        self._ask(member, "meet", actor.meet.remote(str(self._probe.path), self._probe.token))
        return member

    def _ask(self, member: _Member, kind: str, ref: Any, task: Task | None = None) -> None:
        member.calls.append(_Call(kind, ref, task))

    def _deal(self) -> None:
        """Ask every worker that can for the next thing."""
        for member in self._members:
            if not member.ready:
                if member.where and not member.calls and member.node_id not in self._loading:
                    self._start(member)
                continue
            ahead = _AHEAD if len(self._waiting) > len(self._members) else 1
            while self._waiting and len(member.calls) < ahead:
                task = self._waiting.popleft()
                member.unsaved[task.task_id] = task
                sent = task if member.shared else self._job.packed(task)
                self._ask(member, "do", member.actor.do.remote(sent), task)
            if not self._waiting and not member.calls and member.unsaved:
                self._ask(member, "save", member.actor.save.remote())

    def _start(self, member: _Member) -> None:
        first = member.node_id not in self._loaded
        if first:
            self._loading.add(member.node_id)
        state = None
        path = state_path(Path(self._job.folder), self._job.run_id, member.slot)
        if not member.shared and path.exists():
            state = np.fromfile(path, dtype=np.uint8)
        started = member.actor.start.remote(self._job_bytes, member.slot, member.shared, state, first)
        self._ask(member, "start", started)

    def _hear(self, member: _Member) -> None:
        """Take a worker's answer to the oldest call."""
        call = member.calls[0]
        try:
            answer = self._ray.get(call.ref)
        except self._ray.exceptions.RayError as error:
            self._bury(member, _first_line(error), blame=self._is_alive(member))
            return
        if call.kind == "meet":
            self._meet(member, answer)
        elif answer.error is not None:
            self._take_error(member, call, answer.error)
            return
        elif call.kind == "start":
            member.ready, self._false_starts = True, 0
            self._loading.discard(member.node_id)
            self._loaded.add(member.node_id)
            self._listen(Event("ready", member.slot, where=member.where))
        else:
            self._take(member, call, answer)
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
                f"{self._probe.path.parent} cannot be written by the worker on {member.where}: {facts['unseen']}",
                "Expected a folder that all nodes share, since --shared is given",
                "Choose a shared folder with --out, or write --no-shared to send states through the cluster",
            )

    def _take(self, member: _Member, call: _Call, answer: Answer) -> None:
        for name, data in answer.files.items():
            atomic_write(Path(self._job.folder) / Path(name).name, data.data)
        for task_id in answer.saved:
            member.unsaved.pop(task_id, None)
        if call.task is not None:
            self._n_done += 1
            self._listen(
                Event("tokens", member.slot, answer.n_tokens, where=member.where, text="; ".join(answer.texts))
            )
            self._listen(Event("task", member.slot, task=call.task.task_id, where=member.where))

    def _take_error(self, member: _Member, call: _Call, error: Exception) -> None:
        if call.kind != "start":
            text = f"{error.got}" if isinstance(error, FfmemError) else str(error).strip().splitlines()[-1]
            self._bury(member, text, blame=True)
        elif isinstance(error, FfmemError):
            raise type(error)(f"on {member.where}, {error.got}", error.expected, error.mend)
        else:
            raise RuntimeError(f"a worker on {member.where} failed:\n{error}")

    def _bury(self, member: _Member, why: str, blame: bool) -> None:
        """Hand out again what a dead worker had not saved, and hire a successor for its state."""
        with suppress(Exception):  # it may hang on in a part of the cluster that does not answer
            self._ray.kill(member.actor)
        self._members.remove(member)
        self._loading.discard(member.node_id)
        self._buried.add(member.slot)
        successor = self._hire(self._next_slot)
        self._next_slot += 1
        _hand_over(Path(self._job.folder), self._job.run_id, member.slot, successor.slot)
        covered = self._job.covered(successor.slot)
        for task_id in covered:
            member.unsaved.pop(task_id, None)
        at = next((call.task for call in member.calls if call.kind == "do" and call.task), None)
        where = member.where or "a node of the cluster"
        task = at.task_id if at else ""
        if at is not None and at.task_id in member.unsaved and blame:
            self._attempts[at.task_id] = self._attempts.get(at.task_id, 0) + 1
            if self._attempts[at.task_id] >= MAX_ATTEMPTS:
                del member.unsaved[at.task_id]
                self._given_up[at.task_id] = at, f"{why}, last on {where}"
                self._listen(Event("failed", member.slot, task=task, where=where, text=why))
        elif at is None and blame:
            self._false_starts += 1
        self._waiting.extendleft(reversed(member.unsaved.values()))
        self._listen(Event("restart", member.slot, task=task, where=where, text=why))
        self._stop_if_hopeless(where, why)

    def _stop_if_hopeless(self, where: str, why: str) -> None:
        if len(self._given_up) >= MAX_ATTEMPTS and not self._n_done:
            raise _given_up(self._given_up)
        if self._false_starts >= MAX_ATTEMPTS * max(len(self._members), 1):
            raise ModelError(
                f"workers died {self._false_starts} times in a row before they could begin, last on {where}: {why}",
                "Expected them to load the model; most often memory runs out",
                "Run the same command again with fewer --workers a node, or on nodes with more memory",
            )

    def _is_alive(self, member: _Member) -> bool:
        """Whether its node is: if not, its task is not to blame."""
        return any(node["Alive"] for node in self._ray.nodes() if node["NodeID"] == member.node_id)

    def _look_for_room(self) -> None:
        """Say what is waited for, and give up when it does not come."""
        now = time.monotonic()
        if any(member.where for member in self._members):
            self._begun = self._told = now
            return
        needed = f"{self._options.cpus:g} CPU" + (f" and {self._options.gpus:g} GPU" if self._options.gpus else "")
        there = "; ".join(f"{n.get('CPU', 0):g} CPU, {n.get('GPU', 0):g} GPU" for n in _nodes(self._ray)) or "none"
        if now - self._begun >= ROOM_S:
            raise InputError(
                f"the cluster made no room for a worker in {ROOM_S:g} s: each needs {needed}; its nodes have {there}",
                "Expected a node with that much free",
                "Ask for less (--gpus-per-worker, --threads), end other jobs (`ray status`), or add a node",
            )
        if now - self._told >= _TELL_S:
            self._told = now
            self._listen(Event("note", -1, text=f"waiting for room: a worker needs {needed}; the nodes have {there}"))


def _given_up(tasks: dict[str, tuple[Task, str]]) -> ModelError:
    told = "; ".join(f"{task.describe()}: {why}" for task, why in tasks.values())
    shards = ",".join(task_id.removeprefix("shard-") for task_id in tasks if task_id.startswith("shard-"))
    leave_out = f", or leave the shards out with --exclude-shards {shards}" if shards else ""
    return ModelError(
        f"given up after {MAX_ATTEMPTS} failures each: {told}",
        "Expected every shard to be done; all others are, and are kept",
        f"Run the same command again to try once more{leave_out}",
    )


def _hand_over(folder: Path, run_id: str, slot: int, successor: int) -> None:
    with suppress(FileNotFoundError):
        os.replace(state_path(folder, run_id, slot), state_path(folder, run_id, successor))


class _Probe:
    """A file of the work folder by which a worker sees whether its node has that folder."""

    def __init__(self, folder: Path, run_id: str) -> None:
        self.path = folder.absolute() / f"probe-{run_id}"
        self.token = secrets.token_hex(8)
        self.path.write_text(self.token)

    def remove(self) -> None:
        for path in self.path.parent.glob(f"{self.path.name}*"):
            path.unlink(missing_ok=True)


def _actor_class() -> type:
    """The class of the actors. Made here, so that Ray sends it whole, and a node with another ffmem can say so."""

    class FfmemWorker:
        def meet(self, probe: str, token: str) -> dict[str, Any]:
            """What this node is, and whether it has the work folder; needs nothing but Ray."""
            import os
            import platform
            import socket

            import ray

            facts = {"host": socket.gethostname(), "pid": os.getpid(), "python": platform.python_version()}
            facts |= {"ffmem": None, "why": "", "unseen": None}
            facts["node_id"] = ray.get_runtime_context().get_node_id()
            try:
                from ffmem.version import __version__

                facts["ffmem"] = __version__
            except ImportError as error:
                facts["why"] = str(error)
            try:
                with open(probe) as file:
                    if file.read() != token:
                        facts["unseen"] = "another folder has that name there"
                with open(f"{probe}.{facts['node_id']}", "w"):
                    pass
            except OSError as error:
                facts["unseen"] = str(error)
            return facts

        def start(self, job: bytes, slot: int, shared: bool, state: Any, check: bool) -> Any:
            """Load the model."""
            import pickle

            from ffmem.index.remote_worker import Seat

            self._seat = Seat(pickle.loads(job), slot, shared, state)  # noqa: S301 (from the driver of this build)
            return self._seat.start(check)

        def do(self, task: Any) -> Any:
            """Do a task."""
            return self._seat.do(task)

        def save(self) -> Any:
            """Save."""
            return self._seat.save()

    return FfmemWorker
