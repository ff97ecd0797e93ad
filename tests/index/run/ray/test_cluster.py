"""What cannot be joined is told at once, and what does not fit together is refused; no test here starts a cluster."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import ffmem
from ffmem import IndexOptions, InputError, RunOptions
from ffmem.index.plan import plan_index
from ffmem.index.run.ray.cluster import RayCluster, RayOptions
from tests.conftest import IN_PROCESS


class FakeRay(SimpleNamespace):
    """Joins whatever it is given, or raises; a cluster of one node."""

    def __init__(self, error: Exception | None = None, resources: dict[str, float] | None = None) -> None:
        super().__init__(error=error, joined=[], resources=resources or {"CPU": 8.0, "GPU": 4.0})
        self.exceptions = SimpleNamespace(RayError=KeyError)

    def is_initialized(self) -> bool:
        return False

    def init(self, address: str, **_: Any) -> None:
        self.joined.append(address)
        if self.error:
            raise self.error

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": self.resources}, {"Alive": False, "Resources": {"CPU": 100.0}}]


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeRay:
    fake = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", fake)  # type: ignore[arg-type]
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    return fake


@pytest.fixture
def listening() -> Any:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def silent() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def test_without_ray_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # type: ignore[arg-type]
    with pytest.raises(InputError) as told:
        ffmem.build_index(tiny_folder("gpt2"), corpus, tmp_path / "i", run=RunOptions(executor="ray"))
    assert str(told.value) == (
        "--executor ray runs on a Ray cluster: a package that it needs is not installed. Expected the extra 'ray' of "
        "ffmem. In its clone, run pip install -e '.[ray]'."
    )


def test_an_address_where_nothing_answers(ray: FakeRay, silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for address, why in {
        silent: "Connection refused",
        "no-such-host.invalid:6379": "Name or service not known|Temporary failure in name resolution|No address",
    }.items():
        begin = time.monotonic()
        with pytest.raises(InputError, match=rf"no Ray cluster can be reached at {address}: .*({why})") as told:
            RayCluster(RayOptions(address))
        assert time.monotonic() - begin < 15
        assert told.value.mend.startswith("Check it with `ray status --address HOST:PORT`")
    monkeypatch.setenv("RAY_ADDRESS", silent)
    with pytest.raises(InputError, match=f"no Ray cluster can be reached at {silent}"):
        RayCluster(RayOptions())
    assert ray.joined == []


def test_what_is_no_address(ray: FakeRay, monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ("head", "head:", ":6379", "ray://head:10001", "http://head:8265", "head:six", "head:65536"):
        with pytest.raises(InputError) as told:
            RayCluster(RayOptions(wrong))
        assert told.value.got == f"--address is {wrong!r}"
        assert told.value.expected == "Expected auto, local, or HOST:PORT of a cluster's head"
    monkeypatch.setenv("RAY_ADDRESS", "ray://head:10001")
    with pytest.raises(InputError, match=r"^RAY_ADDRESS is 'ray://head:10001'"):
        RayCluster(RayOptions())
    assert ray.joined == []


def test_which_cluster_is_joined(
    ray: FakeRay, listening: str, silent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    RayCluster(RayOptions(listening))
    RayCluster(RayOptions("local"))
    RayCluster(RayOptions())  # nothing was started here
    left = tmp_path / "ray" / "ray_current_cluster"
    left.parent.mkdir()
    left.write_text(silent)
    RayCluster(RayOptions())  # something was, and is gone
    left.write_text(listening)
    RayCluster(RayOptions())
    monkeypatch.setenv("RAY_ADDRESS", listening)
    RayCluster(RayOptions())
    assert ray.joined == [listening, "local", "local", "local", "auto", listening]


def test_another_ray_or_a_token(ray: FakeRay, listening: str) -> None:
    ray.error = RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.49.0")
    with pytest.raises(
        InputError, match=r"reached at \S+: Version mismatch: The cluster was .*with the same Ray and Python"
    ):
        RayCluster(RayOptions(listening))
    ray.error = ConnectionError("Failed to connect to Ray cluster")
    ray.error.__cause__ = RuntimeError("Failed to connect to GCS. RPC error: InvalidAuthToken: token is missing")
    with pytest.raises(InputError) as told:
        RayCluster(RayOptions(listening))
    assert told.value.got == f"the Ray cluster at {listening} requires a token, and none or a wrong one was given"
    assert "RAY_AUTH_MODE=token" in told.value.expected


@pytest.mark.parametrize(
    ("cpus", "gpus", "room"),
    [(1, 0.0, 8), (3, 0.0, 2), (1, 1.0, 4), (1, 2.0, 2), (1, 0.5, 8), (1, 0.3, 8), (1, 0.4, 8)],
)
def test_how_many_workers_there_is_room_for(ray: FakeRay, listening: str, cpus: int, gpus: float, room: int) -> None:
    cluster = RayCluster(RayOptions(listening, cpus=cpus, gpus=gpus))
    assert cluster.room() == room
    assert cluster.resources() == "1 of 8 CPU and 4 GPU"


def test_options_that_do_not_fit_together(tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path) -> None:
    for given in ({"address": "head:6379"}, {"gpus_per_worker": 0.5}, {"shared": False}, {"shared": True}):
        (name,) = given
        with pytest.raises(
            InputError, match=rf"^--{name.replace('_', '-')} is given, but the workers .*Write --executor ray"
        ):
            RunOptions(**given)  # type: ignore[arg-type]
    for gpus in (-1, 1.5, float("nan"), 1000):
        with pytest.raises(
            InputError, match=r"--gpus-per-worker is .*Expected a part of one GPU, or a whole number of them"
        ):
            RunOptions(executor="ray", gpus_per_worker=gpus)
    with pytest.raises(InputError, match=r"--workers is 0.*at least 1"):
        RunOptions(executor="ray", workers=0)
    with pytest.raises(InputError, match=r"--executor is 'dask'.*Expected one of: local, ray"):
        RunOptions(executor="dask")  # type: ignore[arg-type]
    model, ray = tiny_folder("gpt2"), RunOptions(executor="ray", gpus_per_worker=1)
    with pytest.raises(InputError, match=r"--gpus-per-worker is 1 with --device cpu.*Write --device cuda"):
        ffmem.build_index(model, corpus, tmp_path / "i", run=ray)
    with pytest.raises(InputError, match=r"--device is 'cuda:1' with --executor ray.*Write --device cuda"):
        ffmem.build_index(model, corpus, tmp_path / "j", run=ray, options=IndexOptions(device="cuda:1"))
    with pytest.raises(InputError, match="--plan is given with --executor ray"):
        plan_index(model, corpus, tmp_path / "k", run=ray)


def test_nothing_but_a_cluster_imports_ray() -> None:
    script = (
        "import sys, ffmem, ffmem.cli, ffmem.index.build, ffmem.index.run.ray.executor\n"
        "try:\n    sys.argv = ['ffmem', '--help']; ffmem.cli.main()\nexcept SystemExit:\n    pass\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0] == 'ray'))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_states_under_the_names_of_lost_workers_are_not_read(
    tiny_folder: Callable[[str], Path], corpus: Path, small_options: IndexOptions, tmp_path: Path, monkeypatch: Any
) -> None:
    """A worker that was given up writes once more, while the run goes on and after it has ended."""
    from ffmem.index import build
    from ffmem.index.run.executors import InProcessExecutor
    from ffmem.index.state.states import state_path
    from tests.index.run.test_kills import contents

    class Haunted(InProcessExecutor):
        def run(self, job: Any, tasks: Any, listen: Any) -> frozenset[int]:
            super().run(job, tasks, listen)
            state_path(job.folder, job.run_id, 7).write_bytes(state_path(job.folder, job.run_id, 0).read_bytes())
            return frozenset({7})

    ffmem.build_index(tiny_folder("gpt2"), corpus, tmp_path / "whole", options=small_options, run=IN_PROCESS)
    with monkeypatch.context() as patched:
        patched.setattr(build, "make_executor", lambda *_, **__: Haunted())
        ffmem.build_index(tiny_folder("gpt2"), corpus, tmp_path / "haunted", options=small_options)
    assert contents(tmp_path / "haunted") == contents(tmp_path / "whole")
