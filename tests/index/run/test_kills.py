"""kill -9 at any moment, then the same command: an index of the same bytes."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ffmem import open_index
from tests.conftest import write_corpus

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX")

OPTIONS = ["--top", "9", "--batch-tokens", "300", "--shard-tokens", "600", "--workers", "2", "--checkpoint-s", "0"]


def start(model: Path, corpus: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "ffmem", "index", str(model), str(corpus), "--out", str(out), *OPTIONS, "--quiet"]
    return subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE)


def workers_of(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()]
    return [int(row[0]) for row in rows if int(row[1]) == pid and "spawn_main" in row[2]]


def kill(process: subprocess.Popen[bytes], whom: str, rng: random.Random) -> bool:
    """Kill the parent, one worker, or the whole group; True if there was something to kill."""
    try:
        if whom == "worker":
            workers = workers_of(process.pid)
            if not workers:
                return False
            os.kill(rng.choice(workers), signal.SIGKILL)
        elif whom == "parent":
            os.kill(process.pid, signal.SIGKILL)
        else:
            os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def last_words(process: subprocess.Popen[bytes]) -> str:
    """What it wrote to stderr, when it has ended."""
    return process.communicate(timeout=400)[1].decode()


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


def disturb(model: Path, corpus: Path, out: Path, n_kills: int, seed: int) -> tuple[int, int, float]:
    """Build while killing at random moments; the number of kills, of builds, and how long an undisturbed build takes."""
    rng = random.Random(seed)
    begin = time.monotonic()
    whole = start(model, corpus, out / "whole")
    assert last_words(whole) == "" and whole.returncode == 0
    whole_s = time.monotonic() - begin
    n_done = n_builds = 0
    while n_done < n_kills:
        target = out / f"killed-{n_builds}"
        n_builds += 1
        while True:
            process = start(model, corpus, target)
            while n_done < n_kills and process.poll() is None:
                try:
                    process.wait(rng.uniform(0.0, 0.7 * whole_s))
                except subprocess.TimeoutExpired:
                    n_done += kill(process, rng.choice(["parent", "worker", "group"]), rng)
            message = last_words(process)
            if process.returncode == 0:
                break
            assert (
                process.returncode == -signal.SIGKILL or "in use" in message or " failed 3 times: signal" in message
            ), message
        assert contents(target) == contents(out / "whole")
        assert not list(target.glob("**/*.tmp")) and not (target / "work").exists()
    return n_done, n_builds, whole_s


@pytest.mark.timeout(900)
def test_twenty_kills_at_random_moments_leave_the_same_bytes(
    tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    corpus = write_corpus(tmp_path / "words.txt", 800, seed=3)
    n_kills, n_builds, _ = disturb(tiny_folder("llama"), corpus, tmp_path, 20, seed=11)
    assert n_kills == 20 and n_builds >= 1
    assert open_index(tmp_path / "whole").manifest.same_bytes.holds


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_hundred_kills(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "words.txt", 800, seed=4)
    assert disturb(tiny_folder("gpt2"), corpus, tmp_path, 100, seed=12)[0] == 100


def test_ctrl_c_stops_at_once_and_the_same_command_goes_on(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "words.txt", 3000, seed=3)
    out = tmp_path / "stopped"
    process = start(tiny_folder("llama"), corpus, out)
    deadline = time.monotonic() + 300
    while not list(out.glob("work/state-*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    workers = workers_of(process.pid)
    os.killpg(process.pid, signal.SIGINT)
    message = last_words(process)
    assert process.returncode == 130, message
    assert "Run the same command again to resume from the last checkpoint" in message and "Traceback" not in message
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]
    assert list(out.glob("work/state-*"))
    again = start(tiny_folder("llama"), corpus, out)
    assert last_words(again) == "" and again.returncode == 0
    assert open_index(out).manifest.counts.n_sentences > 1000
