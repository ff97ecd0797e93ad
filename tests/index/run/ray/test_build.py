"""Builds on a cluster: the bytes of a local build, whatever is killed and wherever the work folder is."""

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

import ffmem
from ffmem import IndexOptions, RunOptions
from ffmem.index.build import build_requested
from ffmem.index.progress import Progress
from ffmem.index.request import Request
from tests.conftest import write_corpus
from tests.index.run.ray.ray_nodes import ENVIRONMENT, Nodes, cluster_of
from tests.index.run.test_kills import contents
from tests.index.waiting_text import WaitingCorpus

pytest.importorskip("ray", reason="the extra ray is not installed: `make test-ray` installs it and runs these tests")
pytestmark = pytest.mark.ray

OPTIONS = ["--top", "9", "--batch-tokens", "300", "--shard-tokens", "600"]
N_WORKERS = 3
HOW = {"shared": ["--shared"], "not-shared": ["--no-shared"]}


def start(model: Path, corpus: Path, out: Path, *more: str) -> subprocess.Popen[bytes]:
    """A build, as a process group of its own; on a cluster if ``more`` says so."""
    command = [sys.executable, "-m", "ffmem", "index", str(model), str(corpus), "--out", str(out), *OPTIONS, *more]
    return subprocess.Popen(
        [*command, "--quiet"],
        start_new_session=True,
        stdout=subprocess.DEVNULL,  # Ray tells there of workers that die
        stderr=subprocess.PIPE,
        env=os.environ | ENVIRONMENT,
    )


def all_words(process: subprocess.Popen[bytes]) -> str:
    """What it wrote to stderr, when it has ended."""
    return process.communicate(timeout=400)[1].decode()


def last_words(process: subprocess.Popen[bytes]) -> str:
    """What it wrote to stderr, but what Ray itself says on a machine without a network."""
    return re.sub(r"(?m)^\[[^]]+ W \d+ \d+\] network_util\.cc:.*\n", "", all_words(process))


def on_cluster(address: str, n_workers: int = N_WORKERS) -> list[str]:
    return ["--executor", "ray", "--address", address, "--workers", str(n_workers), "--checkpoint-s", "0"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Nodes]:
    """Three nodes with room for two workers each."""
    with cluster_of() as nodes:
        yield nodes


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("text") / "words.txt", 500, seed=3)


@pytest.fixture(scope="module")
def local(tiny_folder: Callable[[str], Path], text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index as this machine alone builds it."""
    out = tmp_path_factory.mktemp("local") / "index"
    options = IndexOptions(top=9, batch_tokens=300, shard_tokens=600)
    ffmem.build_index(tiny_folder("llama"), text, out, options=options, run=RunOptions(workers=0))
    return out


@pytest.mark.parametrize("how", HOW)
def test_the_bytes_of_a_local_build(
    cluster: Nodes, local: Path, tiny_folder: Callable[[str], Path], text: Path, tmp_path: Path, how: str
) -> None:
    process = start(tiny_folder("llama"), text, tmp_path / "i", *on_cluster(cluster.address), *HOW[how])
    assert last_words(process) == "" and process.returncode == 0
    assert contents(tmp_path / "i") == contents(local)
    assert not (tmp_path / "i" / "work").exists()
    index = ffmem.open_index(tmp_path / "i")
    assert index.manifest.same_bytes == ffmem.open_index(local).manifest.same_bytes
    assert index.manifest.same_bytes.holds
    run = json.loads((tmp_path / "i" / "run.json").read_bytes())["runs"][0]
    ready = [event for event in run["events"] if event["kind"] == "ready"]
    assert run["executor"] == "ray" and len(ready) >= 2 and all("(node " in event["where"] for event in ready)


@pytest.mark.parametrize("how", HOW)
def test_workers_of_a_cluster_bring_weights_layer_by_layer(
    cluster: Nodes, local: Path, tiny_folder: Callable[[str], Path], text: Path, tmp_path: Path, how: str
) -> None:
    process = start(
        tiny_folder("llama"), text, tmp_path / "i", *on_cluster(cluster.address), *HOW[how], "--model-memory", "60KB"
    )
    assert last_words(process) == "" and process.returncode == 0
    assert contents(tmp_path / "i") == contents(local)


@pytest.mark.parametrize("shared", [None, False], ids=HOW)
def test_workers_of_a_cluster_read_a_text_that_is_still_written(
    cluster: Nodes, tiny_folder: Callable[[str], Path], tmp_path: Path, shared: bool | None
) -> None:
    options = IndexOptions(split="lines", holdout=0, top=3, promoted=3, cells="L1", shard_tokens=20_000)
    heard: list[Progress] = []

    def build(name: str, run: RunOptions, size: int | None) -> Path:
        go = tmp_path / f"{name}-go"
        if size == 0:
            go.touch()

        def listen(progress: Progress) -> None:
            heard.append(progress)
            if progress.event == "task" and progress.task.startswith("shard"):
                go.touch()

        request = Request(str(tiny_folder("gpt2")), None, (WaitingCorpus(go, size=size),), options)
        return build_requested(request, tmp_path / name, run, listen).folder

    whole = build("whole", RunOptions(workers=0), 0)
    assert all(one.is_text_whole for one in heard)
    on_nodes = RunOptions(executor="ray", address=cluster.address, workers=2, shared=shared)
    assert contents(build("nodes", on_nodes, None)) == contents(whole)
    assert any(one.event == "task" and not one.is_text_whole for one in heard)


def test_on_machines_that_differ_the_manifest_says_so(
    tiny_folder: Callable[[str], Path], text: Path, tmp_path: Path
) -> None:
    """One of two nodes believes that it has another processor."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "from pathlib import Path\n"
        "read = Path.read_text\n"
        "told = 'model name : Another processor'\n"
        "Path.read_text = lambda self, *a, **k: told if str(self) == '/proc/cpuinfo' else read(self, *a, **k)\n"
    )
    with cluster_of(0) as nodes:
        nodes.add(num_cpus=1)
        nodes.add(num_cpus=1, PYTHONPATH=os.pathsep.join((str(site), ENVIRONMENT["PYTHONPATH"])))
        process = start(tiny_folder("llama"), text, tmp_path / "i", *on_cluster(nodes.address, n_workers=2))
        assert last_words(process) == "" and process.returncode == 0
    same = ffmem.open_index(tmp_path / "i").manifest.same_bytes
    assert len(same.machines) == 2 and any("Another processor" in machine for machine in same.machines)
    assert not same.holds and same.why.startswith("computed on machines that differ (")


def kill(process: subprocess.Popen[bytes], cluster: Nodes, whom: str, rng: random.Random) -> bool:
    """Kill a worker, a node or the driver; True if there was one to kill."""
    if whom == "driver":
        workers = cluster.workers()
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while (alive := [one for one in workers if one.is_running()]) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not alive, "workers outlive their driver"
        return True
    workers = cluster.workers()
    if not workers:
        return False
    if whom == "worker":
        with suppress(psutil.NoSuchProcess):
            rng.choice(workers).kill()
        return True
    busy = [node for node in cluster.nodes if cluster.workers_of(node)]
    if not busy:
        return False
    cluster.kill(rng.choice(busy))
    cluster.add()
    return True


def disturb(
    cluster: Nodes, model: Path, text: Path, out: Path, more: list[str], whole_s: float, n_kills: int, seed: int
) -> dict[str, int]:
    """Build again and again until so many kills are done, at random moments; how many of each.

    Whatever was killed, the same command goes on, and each index that is finished must be the undisturbed one.
    """
    rng = random.Random(seed)
    done = dict.fromkeys(("worker", "node", "driver"), 0)
    n_builds, whom = 0, "worker"
    while sum(done.values()) < n_kills:
        target = out / f"killed-{n_builds}"
        n_builds += 1
        while True:
            process = start(model, text, target, *on_cluster(cluster.address), *more)
            while sum(done.values()) < n_kills and process.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(rng.uniform(0.1, 0.8 * whole_s))
                    break
                if kill(process, cluster, whom, rng):
                    done[whom] += 1
                    whom = min(done, key=lambda one: (done[one], rng.random()))
            message = last_words(process)
            if process.returncode == 0:
                break
            assert process.returncode == -signal.SIGKILL or " failed 3 times: " in message, message
        assert contents(target) == contents(out / "whole")
        assert not (target / "work").exists()
    return done


@pytest.mark.timeout(600)
def test_a_worker_a_node_and_the_driver_are_killed(
    cluster: Nodes, local: Path, tiny_folder: Callable[[str], Path], text: Path, tmp_path: Path
) -> None:
    (tmp_path / "whole").symlink_to(local)
    done = disturb(cluster, tiny_folder("llama"), text, tmp_path, [], 14.0, 3, seed=5)
    assert done == {"worker": 1, "node": 1, "driver": 1}


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("how", HOW)
def test_twenty_kills_on_a_cluster(
    cluster: Nodes, tiny_folder: Callable[[str], Path], tmp_path: Path, how: str
) -> None:
    text = write_corpus(tmp_path / "words.txt", 1500, seed=4)
    model = tiny_folder("gpt2")
    begin = time.monotonic()
    process = start(model, text, tmp_path / "whole", "--workers", "1")
    assert last_words(process) == "" and process.returncode == 0
    done = disturb(cluster, model, text, tmp_path, HOW[how], 20.0, 20, seed=len(how))
    print(how, done, f"{time.monotonic() - begin:.0f} s")  # noqa: T201 (what a soak is run for)
    assert sum(done.values()) == 20 and min(done.values()) >= 6


def test_ctrl_c_stops_at_once_and_the_same_command_goes_on(
    cluster: Nodes, tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    text = write_corpus(tmp_path / "words.txt", 3000, seed=3)
    out, command = tmp_path / "stopped", on_cluster(cluster.address)
    process = start(tiny_folder("llama"), text, out, *command)
    _wait_for(lambda: list(out.glob("work/state-*")))
    workers = cluster.workers()
    begin = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    message = last_words(process)
    assert process.returncode == 130 and time.monotonic() - begin < 30, message
    assert message == "ffmem: stopped. Run the same command again to resume from the last checkpoint.\n"
    _wait_for(lambda: not any(worker.is_running() for worker in workers))
    states = [path.stat().st_size for path in out.glob("work/state-*")]
    assert states
    again = start(tiny_folder("llama"), text, out, *command, "--max-tokens", "1000")
    assert "holds an index of something else" in last_words(again) and again.returncode == 2
    assert list(out.glob("work/state-*"))


def _wait_for(happens: Callable[[], Any], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_cluster_of_ray_start_is_found_by_its_address(
    local: Path, tiny_folder: Callable[[str], Path], text: Path, tmp_path: Path
) -> None:
    """`ray start --head` here, and its address in RAY_ADDRESS; afterwards it is gone, and that is told."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    ray = Path(sys.executable).with_name("ray")
    settings = ["--num-cpus", "2", "--include-dashboard", "false", "--disable-usage-stats", "--temp-dir", folder]
    head = subprocess.Popen(
        [ray, "start", "--head", "--port", str(port), *settings, "--block"],
        env=os.environ | ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait_for((Path(folder) / "ray_current_cluster").exists)
        address = (Path(folder) / "ray_current_cluster").read_text()
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("RAY_ADDRESS", address)
            process = start(tiny_folder("llama"), text, tmp_path / "i", "--executor", "ray")
            assert last_words(process) == "" and process.returncode == 0
        assert contents(tmp_path / "i") == contents(local)
    finally:
        started = psutil.Process(head.pid).children(recursive=True)
        head.terminate()
        head.wait(30)
        for one in started:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        shutil.rmtree(folder, ignore_errors=True)
    process = start(tiny_folder("llama"), text, tmp_path / "j", "--executor", "ray", "--address", address)
    assert f"no Ray cluster can be reached at {address}: [Errno 111]" in last_words(process)
    assert process.returncode == 2
