"""One view over all workers: what is counted, what is shown, and the same as JSON lines."""

import json
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from ffmem import IndexOptions, RunOptions, render
from ffmem.index.batches import Shard
from ffmem.index.executors import Event
from ffmem.index.progress import Meter, Progress
from ffmem.index.runlog import RunLog
from ffmem.render.progress import json_lines
from tests.test_cli import ffmem

HOST = "host-b (node 1f2e3d4c, process 17)"
EVENTS = [
    Event("ready", 0, where=HOST),
    Event("tokens", 0, 60, where=HOST),
    Event("task", 0, task="shard-1", where=HOST),
    Event("task", 0, task="values-0", where=HOST),
    Event("tokens", 1, 30, where=HOST),
    Event("restart", 1, task="shard-2", where=HOST, text="signal\nSIGKILL"),
    Event("failed", 1, task="shard-2", where=HOST, text="signal SIGKILL"),
    Event("note", -1, text="waiting for room"),
]


def told(tmp_path: Path) -> list[Progress]:
    """What a meter makes of EVENTS; one of four shards is there from an earlier run."""
    found: list[Progress] = []
    shards = [Shard(number, number, number + 1, 100) for number in range(4)]
    meter = Meter(found.append, shards, {0}, RunLog(tmp_path / "run.json", IndexOptions(), RunOptions()))
    for event in EVENTS:
        meter.hear(event)
    return found


def test_a_meter_counts_over_all_workers(tmp_path: Path) -> None:
    found = told(tmp_path)
    assert [now.event for now in found] == [event.kind for event in EVENTS]
    assert [now.n_tokens for now in found] == [100, 160, 200, 200, 230, 200, 200, 200]
    assert [now.n_shards for now in found] == [1, 1, 2, 2, 2, 2, 2, 2] and found[0].n_shards_all == 4
    assert [now.n_restarts for now in found] == [0] * 5 + [1] * 3
    assert [(now.worker, now.task) for now in found[2:4]] == [
        (f"worker 0 on {HOST}", "shard-1"),
        (f"worker 0 on {HOST}", "values-0"),
    ]
    assert found[5].message == f"worker 1 on {HOST} died at shard-2 (signal\nSIGKILL) and is started again"
    assert found[-1].tokens_per_s > 0 and found[-1].remaining_s is not None


def test_what_a_dead_worker_lost_is_not_done(tmp_path: Path) -> None:
    found: list[Progress] = []
    shards = [Shard(number, number, number + 1, 100) for number in range(4)]
    meter = Meter(found.append, shards, set(), RunLog(tmp_path / "run.json", IndexOptions(), RunOptions()))
    meter.hear(Event("ready", 0))
    for task in ("shard-0", "shard-1"):
        meter.hear(Event("tokens", 0, 100))
        meter.hear(Event("task", 0, task=task))
    meter.hear(Event("tokens", 0, 50))
    meter.hear(Event("restart", 0, task="shard-2", lost=("shard-1", "shard-2")))
    assert (found[-2].n_tokens, found[-1].n_tokens, found[-1].n_shards) == (250, 100, 1)
    before, after = found[-2].remaining_s, found[-1].remaining_s
    assert before is not None and after is not None and after / before > 1.5
    for number in (1, 2, 3):
        meter.hear(Event("tokens", 0, 100))
        meter.hear(Event("task", 0, task=f"shard-{number}"))
    assert (found[-1].n_tokens, found[-1].n_shards, found[-1].remaining_s) == (400, 4, 0)


def test_lines_show_shards_restarts_and_nodes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with render.progress(quiet=False) as listen:
        for now in told(tmp_path)[2:]:
            listen(now)
    lines = capsys.readouterr().err.splitlines()
    assert " 50%  200 of 400 tokens, 2 of 4 shards, " in lines[0] and "restart" not in lines[0]
    assert lines[0].endswith(f"left; last shard-1, worker 0 on {HOST}")
    assert f"worker 1 on {HOST} died at shard-2 (signal SIGKILL) and is started again" in lines
    assert lines[-1] == "waiting for room"


def test_restarts_are_shown_when_there_are_some(capsys: pytest.CaptureFixture[str]) -> None:
    for n_restarts, shown in ((1, "9 tokens/s, 1 restart\n"), (2, "9 tokens/s, 2 restarts\n")):
        with render.progress(quiet=False) as listen:
            listen(Progress("memories", "tokens", 5, 10, tokens_per_s=9, n_restarts=n_restarts))
        assert capsys.readouterr().err.endswith(shown)


def test_a_live_line_is_no_longer_than_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with render.progress(quiet=False) as listen:
        listen(told(tmp_path)[2])
    line = capsys.readouterr().err.split("\r\033[K")[1]
    assert line.startswith(" 50%  200 of 400 tokens") and len(line) == 49


def test_json_lines_tell_everything_but_tokens_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seconds = iter([0.0, 0.1, 0.2, 0.3, 0.9, 1.3, 1.4, 1.5, 1.6, 1.7])
    listen = json_lines(lambda: next(seconds))
    listen(Progress("text"))
    tokens = Progress("memories", "tokens", 5, 10)
    for now in (tokens, tokens, tokens, tokens, *told(tmp_path)[5:], Progress("done")):
        listen(now)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert all([*line] == ["elapsed_s", *(field.name for field in fields(Progress))] for line in lines)
    assert [line["event"] for line in lines] == ["stage", "tokens", "tokens", "restart", "failed", "note", "stage"]
    assert [line["elapsed_s"] for line in lines] == [0.1, 0.2, 1.3, 1.4, 1.5, 1.6, 1.7]
    assert lines[3]["worker"] == f"worker 1 on {HOST}" and lines[3]["task"] == "shard-2"
    assert lines[-1]["stage"] == "done"


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with render.progress(quiet=True, form="json") as listen:
        listen(Progress("text"))
    assert capsys.readouterr() == ("", "")


def test_a_build_tells_its_progress_as_json(tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path) -> None:
    command = ("index", tiny_folder("gpt2"), corpus, "--out", tmp_path / "i", "--top", 3, "--workers", 2)
    shown, progress = ffmem(*command, "--shard-tokens", 400, "--progress", "json")
    lines = [json.loads(line) for line in progress.splitlines()]
    stages = [line["stage"] for line in lines if line["event"] == "stage"]
    assert stages == ["model", "text", "certificate", "files", "done"] and "Try next:" in shown
    done = [line for line in lines if line["event"] == "task" and line["task"].startswith("shard-")]
    assert [line["n_shards"] for line in done] == list(range(1, done[0]["n_shards_all"] + 1))
    assert done[-1]["n_tokens"] == done[-1]["n_tokens_all"] > 0
    read = [line["n_tokens"] for line in lines if line["stage"] == "memories"]
    assert read == sorted(read)  # of a shard, no more is counted while it is read than when it is done
    assert {line["worker"] for line in done} <= {"worker 0", "worker 1"}


def test_every_field_of_the_json_lines_is_documented() -> None:
    text = (Path(__file__).parents[1] / "docs" / "reference" / "python.md").read_text()
    section = text.split("## Progress\n")[1].split("\n## ")[0]
    for name in ("elapsed_s", *(field.name for field in fields(Progress))):
        assert f"| `{name}` |" in section, name
    assert not [line for line in section.splitlines() if len(line) > 200]
