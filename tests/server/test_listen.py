"""Listening: an address that can be reached when it is told, and what is said of one that cannot be had."""

import socket
import threading
import urllib.request
from types import SimpleNamespace
from typing import Any

import pytest

from ffmem import InputError
from ffmem.server.listen import listen

uvicorn = pytest.importorskip("uvicorn", reason="listening needs the extra explorer")


async def hello(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answers with the path."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


class Stoppable:
    """Uvicorn, which hands out its servers so that a test can stop them."""

    def __init__(self) -> None:
        made = self.made = []  # type: ignore[var-annotated]

        class Server(uvicorn.Server):  # type: ignore[misc]
            def __init__(self, config: Any) -> None:
                super().__init__(config)
                made.append(self)

        self.module = SimpleNamespace(Config=uvicorn.Config, Server=Server)


@pytest.mark.parametrize(("host", "start"), [("127.0.0.1", "http://127.0.0.1:"), ("::1", "http://[::1]:")])
def test_the_address_that_is_told_answers(host: str, start: str) -> None:
    if host == "::1" and not _has_ipv6():
        pytest.skip("this machine has no IPv6")
    told, ready, stoppable = [], threading.Event(), Stoppable()

    def say(address: str) -> None:
        told.append(address)
        ready.set()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await hello(scope, receive, send)

    thread = threading.Thread(target=listen, args=(stoppable.module, app, host, 0, say))
    thread.start()
    assert ready.wait(20) and told[0].startswith(start) and int(told[0].rpartition(":")[2]) > 0
    with urllib.request.urlopen(f"{told[0]}/a/path", timeout=20) as answer:  # it may come before the server is up
        assert answer.read() == b"/a/path" and "server" not in answer.headers
    stoppable.made[0].should_exit = True
    thread.join(20)
    assert not thread.is_alive()
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind((host, int(told[0].rpartition(":")[2])))  # it is free again


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as one:
            one.bind(("::1", 0))
        return True
    except OSError:
        return False


def refused(host: str, port: int) -> InputError:
    with pytest.raises(InputError) as error:
        listen(None, None, host, port, lambda _: pytest.fail("it was told before it was there"))
    return error.value


def test_a_port_that_another_has_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        error = refused("127.0.0.1", port)
    assert error.got.startswith(f"127.0.0.1:{port} cannot be listened on: Address already in use")
    assert "--port 0" in error.mend


@pytest.mark.parametrize(
    ("host", "port"),
    [("127.0.0.1", 70_000), ("127.0.0.1", -1), ("203.0.113.9", 0), ("nowhere.invalid", 0), ("half \ud800", 0), ("::zz", 0)],
)  # fmt: skip
def test_an_address_that_this_machine_has_not_is_told(host: str, port: int) -> None:
    error = refused(host, port)
    assert error.got.startswith(f"{host}:{port} cannot be listened on: ") and not error.got.endswith("None")
    assert error.expected == "Expected an address of this machine, and a port that is free"
