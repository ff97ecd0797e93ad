"""`ffmem label` as a process of its own that can be killed at any time, and what it leaves."""

import json
import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import ffmem
from ffmem.cli.labelling import LabelRun, run_labels
from ffmem.names.lm.client.cache import ReplyCache
from ffmem.store.labels import Labels


def label_rows(folder: Path) -> list[tuple[object, ...]]:
    """Labels and scores without their times, in order, also those that were replaced."""
    with sqlite3.connect(folder / "labels.sqlite") as database:
        labels = database.execute(
            "SELECT cell, sign, source, text, kind, evidence, author, run, superseded_by FROM labels ORDER BY cell, sign, id"
        ).fetchall()
        scores = database.execute(
            "SELECT l.cell, measure, value, low, high, n, n_failed, judge, split FROM scores s JOIN labels l ON l.id = s.label "
            "ORDER BY l.cell, l.sign, s.id"
        ).fetchall()
    return [*labels, *scores]


def runs(folder: Path) -> list[dict[str, object]]:
    """What is told of each run."""
    with sqlite3.connect(folder / "labels.sqlite") as database:
        return [json.loads(row[0]) for row in database.execute("SELECT content FROM runs ORDER BY id")]


def main() -> None:
    """FOLDER URL MOMENT NUMBER: die at the NUMBERth moment of that name, without hearing of it; "never": live.

    Moments: before and after an answer is put on disk; after the run's row, its labels, its end are there.
    """
    folder, url, moment, number = sys.argv[1:]
    left = {moment: int(number)}

    def die(now: str) -> None:
        if now == moment:
            left[now] -= 1
            if left[now] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def mortal(of: type, name: str, before: str, after: str) -> None:
        whole: Callable[..., object] = getattr(of, name)

        def do(*arguments: object) -> object:
            die(before)
            found = whole(*arguments)
            die(after)
            return found

        setattr(of, name, do)

    mortal(ReplyCache, "put", "before", "after")
    mortal(Labels, "add_run", "", "begun")
    mortal(Labels, "add", "", "kept")
    mortal(Labels, "finish_run", "", "finished")
    run_labels(ffmem.open_index(folder), url, "model", LabelRun(no_model=True, quiet=True, concurrency=2))
