"""The record of runs: what is written when, read back from the file."""

import json
from pathlib import Path

import pytest

from ffmem.index.run import runlog
from ffmem.index.run.executors import Event
from ffmem.index.run.runlog import RunLog, was_killed_at_work
from ffmem.options import IndexOptions, RunOptions


def log_in(folder: Path) -> RunLog:
    return RunLog(folder / "run.json", IndexOptions(threads=2), RunOptions(workers=3))


def runs(folder: Path) -> list[dict[str, object]]:
    return list(json.loads((folder / "run.json").read_bytes())["runs"])


def test_a_run_is_written_at_once_and_a_second_one_after_it(tmp_path: Path) -> None:
    log_in(tmp_path)
    (first,) = runs(tmp_path)
    assert (first["threads"], first["workers"], first["finished"]) == (2, 3, None)
    log = log_in(tmp_path)
    log.begin(resumed=True)
    log.finish(123, tmp_path / "whole.json")
    whole = json.loads((tmp_path / "whole.json").read_bytes())
    assert (whole["n_runs"], whole["n_resumes"], whole["n_tokens"]) == (2, 1, 123)
    assert whole["runs"][0] == first and whole["runs"][1]["resumed"] is True and whole["runs"][1]["finished"]


def test_events_are_kept_up_to_a_number_and_restarts_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runlog, "_MAX_EVENTS", 2)
    log = log_in(tmp_path)
    log.note(Event("ready", 0))
    log.note(Event("restart", 1, task="shard-4", where="host", text="signal SIGKILL"))
    log.note(Event("note", -1, text="waiting"))
    (entry,) = runs(tmp_path)
    assert entry["n_restarts"] == 1
    events = [{name: value for name, value in event.items() if name != "s"} for event in entry["events"]]  # type: ignore[attr-defined]
    assert events == [
        {"kind": "restart", "worker": 1, "where": "host", "task": "shard-4", "text": "signal SIGKILL"},
        {"kind": "note", "worker": -1, "text": "waiting"},
    ]


def test_tokens_are_written_after_some_seconds_and_a_run_that_fails_says_how_fast_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(runlog.time, "monotonic", lambda: now[0])
    log = log_in(tmp_path)
    log.count_tokens(10, 1.0)
    assert runs(tmp_path)[0]["n_tokens"] == 0
    now[0] = 6.0
    log.count_tokens(10, 2.04)
    assert (runs(tmp_path)[0]["n_tokens"], runs(tmp_path)[0]["tokens_per_s"]) == (20, 2.0)

    def stop() -> None:
        with log.stage("memories"):
            now[0] = 7.5
            log.count_tokens(5, 3.0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    (entry,) = runs(tmp_path)
    assert entry["n_tokens"] == 25 and entry["stages_s"] == {"memories": 1.5}


def test_stages_tell_what_was_done_before_and_when_the_pass_came_to_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [10.0]
    monkeypatch.setattr(runlog.time, "monotonic", lambda: now[0])
    log = RunLog(tmp_path / "run.json", IndexOptions(), RunOptions(), {"model": 1.23456})
    log.note(Event("note", -1, text="nothing has begun"))
    log.begin(resumed=False)
    for kind, n_tokens, seconds in (("ready", 0, 2.0), ("ready", 0, 1.0), ("tokens", 30, 0.5), ("tokens", 30, 4.0)):
        now[0] += seconds
        if kind == "ready":
            log.note(Event("ready", 0))
        log.count_tokens(n_tokens, 1.0)
    log.finish(60, tmp_path / "whole.json")
    whole = json.loads((tmp_path / "whole.json").read_bytes())
    assert whole["runs"][0]["stages_s"] == {"model": 1.235, "workers": 2.0, "first_batch": 3.5}


def test_a_run_that_was_killed_at_work_is_known_by_its_record(tmp_path: Path) -> None:
    assert not was_killed_at_work(tmp_path / "run.json")
    log = log_in(tmp_path)
    assert not was_killed_at_work(tmp_path / "run.json")  # in the text stage, say
    log.begin(resumed=False)
    assert was_killed_at_work(tmp_path / "run.json")
    with pytest.raises(KeyboardInterrupt), log.stage("memories"):
        raise KeyboardInterrupt
    assert not was_killed_at_work(tmp_path / "run.json")  # it could say so
    log_in(tmp_path).begin(resumed=True)
    assert was_killed_at_work(tmp_path / "run.json")
    log_in(tmp_path)
    assert not was_killed_at_work(tmp_path / "run.json")
