"""A real browser, and a server of its own process for it to look at."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_SYSTEM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# a container has neither a sandbox nor a GPU
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]


def has_module(name: str) -> bool:
    from importlib.util import find_spec

    return find_spec(name) is not None


@pytest.fixture(scope="module")  # while it runs, its thread has an event loop, which tests of others cannot bear
def chromium() -> Iterator[Any]:
    """A headless Chromium: the system's, or the one that `playwright install chromium` brings."""
    if not has_module("playwright"):
        pytest.skip("playwright is not installed: it comes with the extra dev")
    from playwright.sync_api import Error, sync_playwright

    path = next((found for name in _SYSTEM if (found := shutil.which(name))), None)
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=path, args=_FLAGS)
        except Error as error:
            pytest.skip(
                f"there is no Chromium ({str(error).splitlines()[0]}); `playwright install chromium` brings one"
            )
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium: Any) -> Iterator[Any]:
    """A fresh page of a fresh profile; an error in a script, or a complaint of the browser, fails the test."""
    with new_tab(chromium) as page:
        yield page


@contextmanager
def new_tab(browser: Any, **options: Any) -> Iterator[Any]:
    """A page; see `tab`."""
    context = browser.new_context(**options)
    page = context.new_page()
    page.set_default_timeout(20_000)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    try:
        yield page
    finally:
        context.close()
    # answers that a test asks for, and servers that it stops
    unexpected = [
        one
        for one in problems
        if not re.search("status of (4|503)", one)
        and not re.search(
            "ERR_CONNECTION_(REFUSED|RESET)|ERR_EMPTY_RESPONSE|ERR_CONTENT_LENGTH_MISMATCH|ERR_FILE_NOT_FOUND", one
        )
    ]
    assert not unexpected, unexpected


class Server:
    """`ffmem serve` as a user starts it."""

    def __init__(self, *arguments: str | Path, port: int = 0) -> None:
        self._arguments, self.port = [str(one) for one in arguments], port
        self.start()

    def start(self) -> None:
        """Start it, on the port that it had if it ran before, and wait until it can be asked."""
        command = [sys.executable, "-m", "ffmem", "serve", *self._arguments, "--port", str(self.port)]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )
        assert self._process.stdout is not None
        told = self._process.stdout.readline()
        found = re.match(r"http://[^:]+:(\d+) ", told)
        assert found, f"the server said {told!r}"
        self.port = int(found[1])

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def kill(self) -> None:
        """At once, as a crash does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """As Ctrl-C does."""
        self._end(signal.SIGINT)

    def _end(self, how: signal.Signals) -> None:
        if self._process.poll() is None:
            self._process.send_signal(how)
        self._process.wait(30)
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[..., Server]]:
    """Starts servers; what still runs at the end is stopped."""
    started: list[Server] = []

    def start(*arguments: str | Path) -> Server:
        started.append(Server(*arguments))
        return started[-1]

    yield start
    for one in started:
        one.stop()
