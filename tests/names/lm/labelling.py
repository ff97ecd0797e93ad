"""A labelling run in small, as a process of its own that can be killed at any point: one label and three judgements a unit."""

import json
import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ffmem.names.lm.client.address import parse_address
from ffmem.names.lm.client.cache import ReplyCache
from ffmem.names.lm.client.reply import choice_probabilities, json_object
from ffmem.names.lm.client.server import Server
from ffmem.names.lm.run import Failed, results

N_UNITS = 6
CALLS_PER_UNIT = 4


def work(server: Server, unit: int) -> list[Any] | Failed:
    """A unit's label, and how the judge sees it on three items."""
    prompt = [{"role": "user", "content": f"Name unit {unit}."}]
    said = json_object(server.ask(prompt, 40, json=True, purpose="label").text)
    if said is None:
        return Failed("no JSON")
    judged = [
        choice_probabilities(
            server.ask([{"role": "user", "content": f"{said['label']}? item {item}"}], 1, 5), ("0", "1")
        )
        for item in range(CALLS_PER_UNIT - 1)
    ]
    return [said["label"], judged]


def rows(folder: Path) -> list[tuple[int, str]]:
    """What was written, in the order of the units."""
    with sqlite3.connect(folder / "rows.sqlite") as database:
        return database.execute("SELECT unit, value FROM rows ORDER BY unit").fetchall()


def label(url: str, folder: Path, n_threads: int = 1, die: Callable[[str], None] = lambda _: None) -> None:
    """Label all units into a folder; `die` is told of each commit before and after it."""

    class Mortal(ReplyCache):
        def put(self, *arguments: Any) -> None:
            die("before")
            super().put(*arguments)
            die("after")

    sink = sqlite3.connect(folder / "rows.sqlite", isolation_level=None)
    sink.execute("CREATE TABLE IF NOT EXISTS rows (unit INTEGER PRIMARY KEY, value TEXT)")
    cache = Mortal(folder / "label_cache.sqlite")
    with Server(parse_address(url), "model", cache=cache, concurrency=n_threads, first_wait_s=0.01) as server:
        die("start")
        for done in results(range(N_UNITS), lambda unit: work(server, unit), threads=n_threads, halt=server.halt):
            value = json.dumps(done.failure or done.result)
            sink.execute("INSERT OR REPLACE INTO rows VALUES (?, ?)", (done.unit, value))
            die("row")


def main() -> None:
    """URL FOLDER THREADS MOMENT NUMBER: die at the NUMBERth MOMENT, or NUMBER seconds after the start if it is "time".

    "ctrl-c" is heard at the NUMBERth answer that is kept.
    """
    url, folder, n_threads, moment, number = sys.argv[1:]
    left = {moment: float(number)}

    def die(now: str) -> None:
        if now == "start" and moment == "time":
            signal.signal(signal.SIGALRM, signal.SIG_DFL)  # the system ends the process, which hears nothing of it
            signal.setitimer(signal.ITIMER_REAL, float(number))
        elif now == moment:
            left[now] -= 1
            if left[now] < 1:
                os.kill(os.getpid(), signal.SIGKILL)
        elif now == "after" and "ctrl-c" in left:
            left["ctrl-c"] -= 1
            if left["ctrl-c"] == 0:
                os.kill(os.getpid(), signal.SIGINT)

    label(url, Path(folder), int(n_threads), die)
