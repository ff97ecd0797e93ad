"""Listens on an address until it is told to stop."""

import socket
import sys
from collections.abc import Callable
from typing import Any

from ffmem.errors import InputError
from ffmem.server.limits import SWITCH_S


def listen(uvicorn: Any, app: Any, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serve until Ctrl-C; ``say`` gets the address once it can be reached.

    Raises:
        InputError: the address cannot be listened on.
    """
    sys.setswitchinterval(SWITCH_S)
    with _socket(host, port) as bound:
        shown = f"[{host}]" if ":" in host else host
        say(f"http://{shown}:{bound.getsockname()[1]}")
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_keep_alive=30,
            proxy_headers=False,  # whose word is taken is said in safety.py
        )
        uvicorn.Server(config).run(sockets=[bound])


def _socket(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen(128)  # who comes before the server is ready waits
    except (OSError, OverflowError, TypeError) as error:  # no such port; a host with bytes that are no text
        bound.close()
        raise InputError(
            f"{host}:{port} cannot be listened on: {getattr(error, 'strerror', None) or error}",
            "Expected an address of this machine, and a port that is free",
            "Choose another one with --port, or --port 0 for any",
        ) from error
    return bound
