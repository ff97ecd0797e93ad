"""Joining a Ray cluster, and what it has room for."""

import os
import re
import socket
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ffmem.errors import InputError
from ffmem.extras import extra_module
from ffmem.index.machine import n_processors

_CONNECT_S = 5.0
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # a cluster that we make tells nobody of itself
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # Ray's coming default, without its warning
}


@dataclass(frozen=True)
class RayOptions:
    """Which cluster, and what a worker needs of it."""

    address: str = "auto"
    """HOST:PORT of a cluster; "local": one made for this run; "auto": that of RAY_ADDRESS, else one that runs on this
    machine, else "local"."""
    workers: int | None = None
    """How many, by default as many as it has free resources for."""
    cpus: int = 1
    """Processors of a worker."""
    gpus: float = 0.0
    """GPUs of a worker."""
    shared: bool | None = None
    """Whether all nodes have the work folder; None: each worker looks."""

    def needs(self) -> str:
        """What a worker needs, in words."""
        return f"{self.cpus:g} CPU" + (f" and {self.gpus:g} GPU" if self.gpus else "")


class RayCluster:
    """A cluster that this process has joined; one that was there before stays when it is left.

    Args:
        options: which, and what a worker needs of it.

    Raises:
        InputError: Ray is not installed, or the cluster cannot be reached.
    """

    def __init__(self, options: RayOptions) -> None:
        self.ray = extra_module("ray", "ray", "--executor ray runs on a Ray cluster")
        """The library."""
        self.options = options
        self._joined = False
        if not self.ray.is_initialized():  # else whoever called us has joined one, and leaves it
            _join(self.ray, options)
            self._joined = True

    def nodes(self) -> list[dict[str, Any]]:
        """The nodes that are alive, as Ray tells them."""
        return [node for node in self.ray.nodes() if node["Alive"]]

    def room(self) -> int:
        """Workers that its nodes have room for when nothing else runs there."""
        return sum(self._room_of(node["Resources"]) for node in self.nodes())

    def resources(self) -> str:
        """What its nodes have, in words."""
        has = (node["Resources"] for node in self.nodes())
        kinds = Counter(f"{one.get('CPU', 0):g} CPU and {one.get('GPU', 0):g} GPU" for one in has)
        return "; ".join(f"{n} of {kind}" for kind, n in sorted(kinds.items())) or "none"

    def leave(self) -> None:
        """Leave the cluster; one that was made for this run ends."""
        if self._joined:
            self.ray.shutdown()
            self._joined = False

    def _room_of(self, has: dict[str, float]) -> int:
        n_by_cpu = has.get("CPU", 0) // self.options.cpus
        if not self.options.gpus:
            return int(n_by_cpu)
        gpus = has.get("GPU", 0)
        on_gpus = gpus // self.options.gpus if self.options.gpus >= 1 else gpus * (1 // self.options.gpus)
        return int(min(n_by_cpu, on_gpus))  # a part of a GPU is a part of one


def first_line(error: BaseException) -> str:
    """What an exception of Ray says, without the pages that follow."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__


def answers(host: str, port: int) -> str | None:
    """None if something listens there, else why not."""
    try:
        socket.create_connection((host, port), timeout=_CONNECT_S).close()
    except OSError as error:
        return str(error)
    return None


def _join(ray: Any, options: RayOptions) -> None:
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    address = _address(options.address)
    silent = {"logging_level": "ERROR", "log_to_driver": False}
    try:
        if address == "local":
            n_cpus = max(n_processors(), (options.workers or 1) * options.cpus)
            ray.init(address="local", num_cpus=n_cpus, include_dashboard=False, **silent)
        else:
            ray.init(address=address, **silent)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError, ray.exceptions.RayError) as error:
        raise (_locked(address) if _wants_token(error) else _unreachable(address, first_line(error))) from error


def _wants_token(error: BaseException) -> bool:
    """Whether a cluster refused us as strangers. Ray has an error of its own for it, but does not always raise that."""
    found: BaseException | None = error
    while found is not None and type(found).__name__ != "AuthenticationError" and "AuthToken" not in str(found):
        found = found.__cause__ or found.__context__
    return found is not None


def _locked(address: str) -> InputError:
    return InputError(
        f"the Ray cluster at {address} requires a token, and none or a wrong one was given",
        "Expected RAY_AUTH_MODE=token, and the cluster's token in ~/.ray/auth_token or RAY_AUTH_TOKEN",
        "Set them as on the cluster's nodes: `ray get-auth-token` prints the token there",
    )


def _address(asked: str) -> str:
    """What to join: HOST:PORT, "auto" or "local". Ray itself would try for minutes where nothing answers."""
    address, named_by = asked, "--address"
    if address == "auto":
        address, named_by = os.environ.get("RAY_ADDRESS") or "auto", "RAY_ADDRESS"
    if address == "auto":
        # where `ray start` leaves the address; it is still there after the cluster was killed
        left = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()) / "ray" / "ray_current_cluster"
        address = left.read_text().strip() if left.is_file() else ""
        host, port = _host_and_port(address) or ("", 0)
        return "auto" if host and answers(host, port) is None else "local"
    if address == "local":
        return address
    found = _host_and_port(address)
    if found is None:
        raise InputError(
            f"{named_by} is {address!r}",
            "Expected auto, local, or HOST:PORT of a cluster's head",
            "Run this command on a node of the cluster with --address auto, or give what `ray start --head` printed",
        )
    silence = answers(*found)
    if silence is not None:
        raise _unreachable(address, silence)
    return address


def _host_and_port(address: str) -> tuple[str, int] | None:
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not re.fullmatch("[0-9]{1,5}", port) or int(port) >= 2**16:
        return None
    return host.removeprefix("[").removesuffix("]"), int(port)  # an IPv6 address stands in brackets


def _unreachable(address: str, why: str) -> InputError:
    return InputError(
        f"no Ray cluster can be reached at {address}: {why}",
        "Expected the HOST:PORT that `ray start --head` printed, with the same Ray and Python as here",
        "Check it with `ray status --address HOST:PORT`; write --address local to use this machine alone",
    )
