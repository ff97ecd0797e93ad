"""kill -9 at any moment, then the same command: an index of the same bytes."""

import multiprocessing
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import psutil
import pytest

from ffmem import open_index
from tests.conftest import write_corpus
from tests.index.run import warm

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX")

OPTIONS = [
    "--top",
    "9",
    "--sample",
    "3",
    "--batch-tokens",
    "300",
    "--shard-tokens",
    "600",
    "--workers",
    "2",
    "--checkpoint-s",
    "0",
]


class Build(Protocol):
    """A build that runs, as a process and its workers."""

    @property
    def pid(self) -> int | None: ...

    def is_over_after(self, seconds: float) -> bool:
        """Whether it has ended, after so many seconds at most."""
        ...

    def end(self) -> tuple[int, str]:
        """Wait until it has ended: how, and what it wrote to stderr."""
        ...


class ColdBuild:
    """A build as a shell starts it."""

    def __init__(self, model: Path, corpus: Path, out: Path) -> None:
        command = [sys.executable, "-m", "ffmem", *arguments(model, corpus, out)]
        self._process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE)
        self.pid = self._process.pid

    def is_over_after(self, seconds: float) -> bool:
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def end(self) -> tuple[int, str]:
        message = self._process.communicate(timeout=400)[1].decode()
        return self._process.returncode, message


class WarmBuild:
    """The same, forked from a process in which everything is imported."""

    def __init__(self, model: Path, corpus: Path, out: Path) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tests.index.run.warm"])
        self._stderr = out.parent / f"{out.name}.stderr"
        self._process = context.Process(target=warm.run, args=(arguments(model, corpus, out), self._stderr))
        self._process.start()
        self.pid = self._process.pid

    def is_over_after(self, seconds: float) -> bool:
        self._process.join(seconds)
        return self._process.exitcode is not None

    def end(self) -> tuple[int, str]:
        self._process.join(400)
        assert self._process.exitcode is not None
        return (
            self._process.exitcode,
            self._stderr.read_text() if self._stderr.exists() else "",
        )  # killed before it began


def arguments(model: Path, corpus: Path, out: Path) -> list[str]:
    return ["index", str(model), str(corpus), "--out", str(out), *OPTIONS, "--quiet"]


def workers_of(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()]
    return [int(row[0]) for row in rows if int(row[1]) == pid and "resource_tracker" not in row[2]]


def runs(pid: int) -> bool:
    """Whether a process does anything still: one that has ended may stay listed until somebody asks for its exit code."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def kill(build: Build, whom: str, rng: random.Random) -> bool:
    """Kill the parent, one worker, or the whole group; True if there was something to kill."""
    assert build.pid is not None
    try:
        if whom == "worker":
            workers = workers_of(build.pid)
            if not workers:
                return False
            os.kill(rng.choice(workers), signal.SIGKILL)
        elif whom == "parent":
            os.kill(build.pid, signal.SIGKILL)
        else:
            os.killpg(build.pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def contents(folder: Path) -> dict[str, object]:
    """Bytes of the arrays, and the rows of the text (the bytes of its database are SQLite's business)."""
    found: dict[str, object] = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted((folder / "index").rglob("*.safetensors"))
    }
    database = sqlite3.connect(folder / "index" / "text.sqlite")
    for table in ("documents", "sentences", "vocabulary"):
        found[table] = database.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
    database.close()
    return found


def disturb(
    start: Callable[[Path, Path, Path], Build], model: Path, corpus: Path, out: Path, n_kills: int, seed: int
) -> tuple[int, int]:
    """Build while killing at random moments; the number of kills and of builds."""
    rng = random.Random(seed)
    begin = time.monotonic()
    assert start(model, corpus, out / "whole").end() == (0, "")
    whole_s = time.monotonic() - begin
    n_done = n_builds = 0
    while n_done < n_kills:
        target = out / f"killed-{n_builds}"
        n_builds += 1
        while True:
            build = start(model, corpus, target)
            while n_done < n_kills and not build.is_over_after(rng.uniform(0.0, 0.7 * whole_s)):
                n_done += kill(build, rng.choice(["parent", "worker", "group"]), rng)
            code, message = build.end()
            if code == 0:
                break
            assert code == -signal.SIGKILL or "in use" in message or " failed 3 times: signal" in message, message
        assert contents(target) == contents(out / "whole")
        assert not list(target.glob("**/*.tmp")) and not (target / "work").exists()
    return n_done, n_builds


@pytest.mark.timeout(900)
@pytest.mark.slow
def test_twenty_kills_at_random_moments_leave_the_same_bytes(
    tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    corpus = write_corpus(tmp_path / "words.txt", 300, seed=3)  # 64 shards, each with its checkpoint
    n_kills, n_builds = disturb(WarmBuild, tiny_folder("llama"), corpus, tmp_path, 20, seed=11)
    assert n_kills == 20 and n_builds >= 1
    assert open_index(tmp_path / "whole").manifest.same_bytes.holds


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_hundred_kills(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "words.txt", 800, seed=4)
    assert disturb(ColdBuild, tiny_folder("gpt2"), corpus, tmp_path, 100, seed=12)[0] == 100


def test_ctrl_c_stops_at_once_and_the_same_command_goes_on(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "words.txt", 1000, seed=3)
    out = tmp_path / "stopped"
    build = ColdBuild(tiny_folder("llama"), corpus, out)
    deadline = time.monotonic() + 300
    while not list(out.glob("work/state-*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    workers = workers_of(build.pid)
    os.killpg(build.pid, signal.SIGINT)
    code, message = build.end()
    assert code == 130, message
    assert "Run the same command again to resume from the last checkpoint" in message and "Traceback" not in message
    ends_by = time.monotonic() + 10
    while any(map(runs, workers)) and time.monotonic() < ends_by:
        time.sleep(0.05)
    assert workers and not [pid for pid in workers if runs(pid)]
    assert list(out.glob("work/state-*"))
    assert WarmBuild(tiny_folder("llama"), corpus, out).end() == (0, "")
    assert open_index(out).manifest.counts.n_sentences > 1000
