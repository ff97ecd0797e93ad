"""Clusters of several nodes on this machine, for tests."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
N_NODES = 3
ENVIRONMENT = {
    "PYTHONPATH": os.pathsep.join(
        filter(None, (os.environ.get("PYTHONPATH"), str(ROOT)))
    ),  # workers import tests' jobs
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AUTH_MODE": "disabled",  # whatever token lies in this user's home
    "RAY_worker_niceness": "0",  # else anything else that runs on this machine comes before workers, for minutes
}
"""Of each node, and of what runs there."""


class Nodes:
    """A head without processors, and nodes that have some; each is a raylet of its own."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        # a cluster's address is noted there, and on a machine where Ray has never run nothing has made the folder
        (Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()) / "ray").mkdir(parents=True, exist_ok=True)
        self._folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # names of sockets must be short
        head = {"num_cpus": 0, "include_dashboard": False, "temp_dir": self._folder, "env_vars": ENVIRONMENT}
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self.nodes: list[Any] = []

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return str(self._cluster.address)

    def add(self, num_cpus: int = 2, **environment: str) -> Any:
        """One more node, with other variables in its environment."""
        node = self._cluster.add_node(num_cpus=num_cpus, env_vars=ENVIRONMENT | environment)
        self.nodes.append(node)
        return node

    def kill(self, node: Any) -> None:
        """End a node with everything on it, as if its plug were pulled."""
        workers = self.workers_of(node)
        self.nodes.remove(node)
        self._cluster.remove_node(node, allow_graceful=False)
        for worker in workers:  # they would end by themselves, a moment later
            with suppress(psutil.NoSuchProcess):
                worker.kill()

    def workers(self) -> list[psutil.Process]:
        """The workers of builds, on all nodes."""
        return [worker for node in self.nodes for worker in self.workers_of(node)]

    def workers_of(self, node: Any) -> list[psutil.Process]:
        """The workers of builds on a node."""
        found = []
        for raylet in node.all_processes["raylet"]:
            with suppress(psutil.NoSuchProcess):
                found += [p for p in psutil.Process(raylet.process.pid).children(recursive=True) if _is_worker(p)]
        return found

    def close(self) -> None:
        """End everything."""
        self._cluster.shutdown()
        shutil.rmtree(self._folder, ignore_errors=True)


def _is_worker(process: psutil.Process) -> bool:
    try:
        return "FfmemWorker" in " ".join(process.cmdline())
    except psutil.Error:
        return False


@contextmanager
def cluster_of(n_nodes: int = N_NODES) -> Iterator[Nodes]:
    """Nodes, for a while."""
    nodes = Nodes()
    try:
        for _ in range(n_nodes):
            nodes.add()
        yield nodes
    finally:
        nodes.close()
