"""A worker on a node of a Ray cluster, as Ray runs it; and how it tells whether its node has the work folder."""

import secrets
from pathlib import Path
from typing import Any


class Probe:
    """A file of the work folder by which a worker sees whether its node has that folder.

    Args:
        folder: the work folder.
        run_id: of this run.
    """

    def __init__(self, folder: Path, run_id: str) -> None:
        self.path = folder.absolute() / f"probe-{run_id}"
        self.token = secrets.token_hex(8)
        self.path.write_text(self.token)

    def remove(self) -> None:
        """Remove it, and what workers put beside it."""
        for path in self.path.parent.glob(f"{self.path.name}*"):
            path.unlink(missing_ok=True)


def actor_class() -> type:
    """The class of the actors.

    It is made here, so that Ray sends it whole: a node without ffmem, or with another one, can still say so. Each method
    imports what it needs where it runs.
    """

    class FfmemWorker:
        def inspect(self, probe: str, token: str) -> dict[str, Any]:
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

        def start(self, job: Any, slot: int, shared: bool, state: Any, check: bool) -> Any:
            """Load the model."""
            from ffmem.index.run.ray.remote_worker import RemoteWorker

            self._worker = RemoteWorker(job, slot, shared, state)
            return self._worker.start(check)

        def do(self, task: Any) -> Any:
            """Do a task."""
            return self._worker.do(task)

        def save(self) -> Any:
            """Save."""
            return self._worker.save()

    return FfmemWorker
