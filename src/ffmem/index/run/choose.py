"""Which executor the options of a run choose."""

from ffmem.errors import InputError
from ffmem.index.machine import n_processors
from ffmem.index.run.executors import Executor, InProcessExecutor
from ffmem.index.run.processes import ProcessExecutor
from ffmem.index.run.ray.cluster import RayOptions
from ffmem.index.run.ray.executor import RayExecutor
from ffmem.options import IndexOptions, RunOptions


def make_executor(options: IndexOptions, run: RunOptions, *, apart: bool = False) -> Executor:
    """Worker processes of one thread each on a CPU; one worker, as on a GPU, or none: this process; or a Ray cluster.

    Args:
        options: of the index.
        run: of the run.
        apart: let one worker be a process of its own, which can be started again if it dies.
    """
    on_cpu = options.device == "cpu"
    if run.executor == "ray":
        _check_cluster_device(options.device, run.gpus_per_worker)
        gpus = run.gpus_per_worker if run.gpus_per_worker is not None else float(not on_cpu)
        return RayExecutor(RayOptions(run.address, run.workers, options.threads, gpus, run.shared))
    workers = run.workers
    if workers is None:
        workers = max(1, n_processors() // options.threads) if on_cpu else 1
    if workers == 1 and not apart:
        return InProcessExecutor(elsewhere=ProcessExecutor(1))
    return ProcessExecutor(workers) if workers else InProcessExecutor()


def _check_cluster_device(device: str, gpus: float | None) -> None:
    if device not in ("cpu", "cuda"):
        raise InputError(
            f"--device is {device!r} with --executor ray",
            "Expected cpu or cuda: the cluster gives each worker GPUs of its own, of which it sees no others",
            "Write --device cuda",
        )
    if device == "cpu" and gpus:
        raise InputError(
            f"--gpus-per-worker is {gpus:g} with --device cpu",
            "Expected GPUs only where the model is to run on them",
            "Write --device cuda, or leave --gpus-per-worker out",
        )
