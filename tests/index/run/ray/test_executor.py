"""Workers on the nodes of a cluster: every task once, whatever dies."""

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ffmem.errors import InputError, ModelError, StoreError
from ffmem.index.run import failures
from ffmem.index.run.executors import Event
from ffmem.index.run.failures import LEAST_IN_A_ROW
from ffmem.index.run.job import Files, GivenTasks
from ffmem.index.run.ray import actor as ray_actor
from ffmem.index.run.ray import executor as ray_executor
from ffmem.index.run.ray.cluster import RayOptions
from ffmem.index.run.ray.executor import RayExecutor
from tests.index.run.adding import AddJob, AddWorker, Number, done, taken
from tests.index.run.ray.ray_nodes import Nodes, cluster_of

pytest.importorskip("ray", reason="the extra ray is not installed: `make test-ray` installs it and runs these tests")
pytestmark = pytest.mark.ray

WHERE = re.compile(r"\S+ \(node [0-9a-f]{8}, process \d+\)")
Run = Callable[..., frozenset[int]]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Nodes]:
    """Three nodes with room for two workers each."""
    with cluster_of() as nodes:
        yield nodes


@pytest.fixture
def run(cluster: Nodes) -> Run:
    def run(job: AddJob, tasks: list[Number], listen: Callable[[Event], None] = lambda _: None, **options: Any) -> Any:
        executor = RayExecutor(RayOptions(cluster.address, **{"workers": 4} | options))
        try:
            return executor.run(job, GivenTasks(tasks), listen)
        finally:
            executor.close()

    return run


@pytest.mark.parametrize("shared", [None, False], ids=["shared", "not-shared"])
def test_every_task_is_done_once_and_counted(run: Run, tmp_path: Path, shared: bool | None) -> None:
    events: list[Event] = []
    abandoned = run(
        AddJob(tmp_path), [Number(value) for value in range(2000)], events.append, shared=shared, workers=None
    )
    assert abandoned == frozenset() and taken(tmp_path) == list(range(2000))
    assert sum(event.n_tokens for event in events) == sum(range(2000))
    assert sorted(int(event.task) for event in events if event.kind == "task") == list(range(2000))
    assert all(WHERE.fullmatch(event.where) for event in events)
    assert 4 <= len({event.where for event in events if event.kind == "ready"}) <= 6  # the last may come too late
    assert len({event.where.split()[2] for event in events}) == 3
    assert not list(tmp_path.glob("probe-*"))


@pytest.mark.parametrize(
    ("shared", "checkpoint_s"), [(None, 1000.0), (False, 0.0)], ids=["shared", "not-shared, with checkpoints"]
)
def test_what_a_dead_worker_had_not_saved_is_done_again(
    run: Run, tmp_path: Path, checkpoint_s: float, shared: bool | None
) -> None:
    events: list[Event] = []
    tasks = [Number(value, "die once" if value in (3, 11, 20) else "") for value in range(24)]
    abandoned = run(AddJob(tmp_path, checkpoint_s), tasks, events.append, shared=shared)
    assert taken(tmp_path) == done(events) == list(range(24))
    restarts = [event for event in events if event.kind == "restart"]
    assert len(restarts) == len(abandoned) == 3
    assert all(WHERE.fullmatch(event.where) and "died" in event.text for event in restarts)
    # nothing is left under their names, and what they may still write there is not read
    assert not [slot for slot in abandoned if (tmp_path / f"state-r-{slot}.safetensors").exists()]


def test_a_task_that_fails_again_and_again_is_given_up_and_the_rest_goes_on(run: Run, tmp_path: Path) -> None:
    events: list[Event] = []
    behaviours = {5: "die", 7: "nan", 9: "bug"}
    with pytest.raises(ModelError) as told:
        run(AddJob(tmp_path), [Number(value, behaviours.get(value, "")) for value in range(16)], events.append)
    assert taken(tmp_path) == done(events) == [value for value in range(16) if value not in behaviours]
    assert sorted(event.task for event in events if event.kind == "failed") == ["5", "7", "9"]
    assert re.search(r"number 5 failed 3 times: The actor .*, last on \S+ \(node", told.value.got)
    # counted twice if its worker died at number 5 while it held both, so that either might have been the cause
    assert re.search(r"number 7 failed( 2 times)?: not a finite number, last on \S+ \(node", told.value.got)
    assert "number 9 failed 3 times: ZeroDivisionError: a bug, last on" in told.value.got
    assert told.value.expected == "Expected every task to succeed; all others did, and their results are kept"
    assert re.fullmatch(r"Use --dtype float32; or leave out what fails: --without [579],[579],[579]", told.value.mend)


def test_other_errors_end_the_run_and_say_where(run: Run, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"^on \S+ \(node [0-9a-f]{8}, process \d+\), a bad number\. Expected a good one"
    ):
        run(AddJob(tmp_path), [Number(1, "mend"), Number(2)])


def test_a_run_in_which_everything_fails_is_stopped_early(run: Run, tmp_path: Path) -> None:
    events: list[Event] = []
    with pytest.raises(ModelError, match="Expected other tasks to succeed in between"):
        run(AddJob(tmp_path), [Number(value, "die") for value in range(100)], events.append, workers=2)
    assert sum(event.kind == "restart" for event in events) == LEAST_IN_A_ROW - 1


def test_workers_that_never_begin_end_the_run(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"died 3 times in a row before they could begin, last on \S+ \(node"):
        run(AddJob(tmp_path, fault="start"), [Number(1), Number(2)], workers=2)


def test_workers_that_never_save_end_the_run(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"died 3 times in a row while they wrote their state, last on \S+ \(node"):
        run(AddJob(tmp_path, 1000.0, fault="save"), [Number(1), Number(2)], workers=1)


def test_another_model_on_a_node_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"^on \S+ \(node .*\), another model\. Expected the same\. Copy it"):
        run(AddJob(tmp_path, expected="multiplier"), [Number(1)], workers=1)


@dataclass(frozen=True)
class LoadJob(AddJob):
    """Notes when and on which node its workers load; the first of each node dies at it."""

    def start(self, slot: int, files: Files | None = None) -> AddWorker:
        import os
        import signal

        import ray

        node = ray.get_runtime_context().get_node_id()
        begin = time.time()
        time.sleep(0.7)
        (self.folder / f"load-{os.getpid()}").write_text(json.dumps([node, begin, time.time()]))
        try:
            (self.folder / f"first-{node}").touch(exist_ok=False)
        except FileExistsError:
            pass
        else:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().start(slot, files)


def test_one_worker_of_each_node_reads_the_model_before_the_others(cluster: Nodes, run: Run, tmp_path: Path) -> None:
    """So it is read from disk, or fetched, once; and if that worker dies, as here, another is the first."""
    events: list[Event] = []
    run(LoadJob(tmp_path), [Number(value) for value in range(200)], events.append, workers=6)
    assert taken(tmp_path) == list(range(200))
    loads: dict[str, list[tuple[float, float]]] = {}
    for path in tmp_path.glob("load-*"):
        node, begin, end = json.loads(path.read_text())
        loads.setdefault(node, []).append((begin, end))
    assert sorted(loads) == sorted(node.node_id for node in cluster.nodes)
    for times in loads.values():
        times.sort()
        # the one that died, then another alone, then the rest
        assert all(before[1] <= after[0] for before, after in pairwise(times[:3])), times
    assert sum(event.kind == "restart" for event in events) == len(cluster.nodes)


@dataclass(frozen=True)
class OddJob(AddJob):
    """Its workers cannot begin on a node that is marked as odd."""

    def start(self, slot: int, files: Files | None = None) -> AddWorker:
        import os

        if os.environ.get("ODD"):
            raise RuntimeError("out of memory")
        return super().start(slot, files)


def test_a_node_on_which_no_worker_can_begin_is_left_alone(
    cluster: Nodes, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "MAX_ATTEMPTS", 1)  # the others would be done before it has failed three times
    node = cluster.add(num_cpus=1, ODD="1")
    events: list[Event] = []
    try:
        run(OddJob(tmp_path), [Number(value) for value in range(400)], events.append, workers=7)
    finally:
        cluster.kill(node)
    assert taken(tmp_path) == list(range(400))
    (note,) = [event for event in events if event.kind == "note"]
    assert "died before they could begin (RuntimeError: out of memory): the others go on without" in note.text
    assert node.node_id[:8] in note.where


def test_a_node_that_dies_gives_its_tasks_to_the_others(cluster: Nodes, run: Run, tmp_path: Path) -> None:
    """However often it is at the same task: the task is not to blame."""
    events: list[Event] = []
    killed: list[str] = []

    def listen(event: Event) -> None:
        events.append(event)
        if event.kind == "task" and event.task == str(40 * (len(killed) + 1)) and len(killed) < 2:
            node = next(node for node in cluster.nodes if node.node_id[:8] == event.where.split()[2][:8])
            killed.append(node.node_id)
            cluster.kill(node)
            cluster.add()

    run(AddJob(tmp_path, 0.2), [Number(value) for value in range(250)], listen, workers=6)
    assert taken(tmp_path) == list(range(250)) and len(killed) == 2


def test_no_room_is_told(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_executor, "ROOM_S", 2.0)
    monkeypatch.setattr(ray_executor, "_NOTE_S", 0.5)
    events: list[Event] = []
    with pytest.raises(InputError) as told:
        run(AddJob(tmp_path), [Number(1)], events.append, workers=1, gpus=0.5)
    assert re.fullmatch(
        r"the cluster had no free resources for a worker within 2 s: each needs 1 CPU and 0\.5 GPU; its nodes: "
        r"1 of 0 CPU and 0 GPU; (\d of 1 CPU and 0 GPU; )?\d of 2 CPU and 0 GPU",
        told.value.got,
    )
    assert "Ask for less (--gpus-per-worker, --threads)" in told.value.mend
    assert events[0].kind == "note" and events[0].text.startswith(
        "waiting for free resources: a worker needs 1 CPU and 0.5 GPU"
    )


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"version.py": '__version__ = "0.0.1"'}, r"has ffmem 0\.0\.1"),
        ({"__init__.py": 'raise ImportError("No module named ffmem")'}, "has no ffmem: No module named ffmem"),
    ],
)
def test_a_node_with_another_ffmem_or_none_is_refused(
    cluster: Nodes, run: Run, tmp_path: Path, content: dict[str, str], found: str
) -> None:
    package = tmp_path / "elsewhere" / "ffmem"
    package.mkdir(parents=True)
    for name, text in ({"__init__.py": ""} | content).items():
        (package / name).write_text(text)
    node = cluster.add(num_cpus=1, PYTHONPATH=str(package.parent))
    try:
        with pytest.raises(
            InputError, match=rf"\(node {node.node_id[:8]}, process \d+\) {found}. Expected ffmem .* as here"
        ):
            run(AddJob(tmp_path), [Number(value) for value in range(1000)], workers=7)
    finally:
        cluster.kill(node)


def test_a_folder_that_is_said_to_be_shared_must_be(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not there, another one of that name, not to be written; without --shared, states travel through the cluster."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "probe").write_text("of another build")
    probes = {
        "No such file": tmp_path / "nowhere" / "probe",
        "another folder has that name": tmp_path / "other" / "probe",
    }
    for why, path in probes.items():
        init = ray_actor.Probe.__init__

        def moved(self: Any, folder: Path, run_id: str, path: Path = path, init: Any = init) -> None:
            init(self, folder, run_id)
            self.path = path

        with monkeypatch.context() as patched:
            patched.setattr(ray_actor.Probe, "__init__", moved)
            with pytest.raises(StoreError) as told:
                run(AddJob(tmp_path), [Number(1)], shared=True, workers=1)
            assert told.value.got.startswith(f"{tmp_path} cannot be used by the worker on ") and why in told.value.got
            assert "Choose a shared folder with --out, or write --no-shared" in told.value.mend
    path = tmp_path / "other"

    def full(self: Any, folder: Path, run_id: str) -> None:
        self.path, self.token = path / "probe", "token"
        self.path.write_text(self.token)
        import ray

        for node in ray.nodes():
            (path / f"probe.{node['NodeID']}").mkdir(exist_ok=True)  # root may write everywhere: so nobody can

    with monkeypatch.context() as patched:
        patched.setattr(ray_actor.Probe, "__init__", full)
        patched.setattr(ray_actor.Probe, "remove", lambda self: None)
        with pytest.raises(StoreError, match="Is a directory"):
            run(AddJob(tmp_path), [Number(1)], shared=True, workers=1)
        run(AddJob(tmp_path), [Number(1)], workers=1)
    assert taken(tmp_path) == [1]
