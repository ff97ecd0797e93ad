"""Which executor the options of a run choose, and with how many workers."""

from typing import Any

import pytest

from ffmem import IndexOptions, InputError, RunOptions
from ffmem.index.run import choose
from ffmem.index.run.choose import make_executor
from ffmem.index.run.executors import InProcessExecutor
from ffmem.index.run.processes import ProcessExecutor
from ffmem.index.run.ray.cluster import RayOptions


@pytest.mark.parametrize(
    ("n_processors", "threads", "device", "asked", "expected"),
    [
        (8, 1, "cpu", None, 8),
        (8, 3, "cpu", None, 2),  # of three threads each, with two processors left over
        (1, 1, "cpu", 5, 5),
        (8, 1, "cuda", 2, 2),
    ],
)
def test_worker_processes_share_the_processors(
    n_processors: int, threads: int, device: str, asked: int | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choose, "n_processors", lambda: n_processors)
    executor = make_executor(IndexOptions(threads=threads, device=device), RunOptions(workers=asked))
    assert isinstance(executor, ProcessExecutor) and executor.n_workers == expected


@pytest.mark.parametrize(
    ("n_processors", "threads", "device", "asked"),
    [
        (8, 1, "cuda", None),
        (8, 1, "cuda:1", None),
        (8, 1, "cuda", 1),
        (8, 1, "cpu", 1),
        (1, 1, "cpu", None),
        (2, 4, "cpu", None),  # more threads than processors: still one
    ],
)
def test_one_worker_is_this_process_unless_it_is_to_be_apart(
    n_processors: int, threads: int, device: str, asked: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choose, "n_processors", lambda: n_processors)
    options, run = IndexOptions(threads=threads, device=device), RunOptions(workers=asked)
    here, apart = make_executor(options, run), make_executor(options, run, apart=True)
    assert isinstance(here, InProcessExecutor) and here.works_here and here.n_workers == 1
    assert isinstance(apart, ProcessExecutor) and not apart.works_here and apart.n_workers == 1


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_no_worker_is_this_process(device: str) -> None:
    executor = make_executor(IndexOptions(device=device), RunOptions(workers=0), apart=True)
    assert isinstance(executor, InProcessExecutor) and executor.n_workers == 1


@pytest.mark.parametrize(
    ("device", "given", "gpus"),
    [("cpu", None, 0.0), ("cuda", None, 1.0), ("cuda", 0.5, 0.5), ("cuda", 0, 0.0), ("cpu", 0, 0.0)],
)
def test_a_cluster_is_asked_for_what_a_worker_needs(
    device: str, given: float | None, gpus: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choose, "RayExecutor", lambda options: options)  # it would join the cluster at once
    run = RunOptions(workers=7, executor="ray", address="head:6379", gpus_per_worker=given, shared=True)
    found: Any = make_executor(IndexOptions(device=device, threads=4), run)
    assert found == RayOptions("head:6379", 7, 4, gpus, True)


@pytest.mark.parametrize("device", ["cuda:1", "mps"])
def test_a_cluster_has_no_device_of_a_number(device: str) -> None:
    with pytest.raises(InputError) as told:
        make_executor(IndexOptions(device=device), RunOptions(executor="ray"))
    assert str(told.value) == (
        f"--device is '{device}' with --executor ray. Expected cpu or cuda: the cluster gives each worker GPUs of its own, "
        "of which it sees no others. Write --device cuda."
    )


def test_gpus_for_a_model_on_a_processor_are_refused() -> None:
    with pytest.raises(InputError) as told:
        make_executor(IndexOptions(), RunOptions(executor="ray", gpus_per_worker=0.25))
    assert str(told.value) == (
        "--gpus-per-worker is 0.25 with --device cpu. Expected GPUs only where the model is to run on them. "
        "Write --device cuda, or leave --gpus-per-worker out."
    )
