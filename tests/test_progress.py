"""One view over all workers: what is counted, what is shown, and the same as JSON lines."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from ffmem import IndexOptions, RunOptions, build_index, open_index, render
from ffmem.index.progress import Meter, Progress
from ffmem.index.run.executors import Event
from ffmem.index.run.job import Report
from ffmem.index.run.runlog import RunLog
from ffmem.index.scan.batches import Shard
from ffmem.index.scan.tasks import ScanShard
from ffmem.index.scan.worker import IndexWorker
from tests.fixtures.programs import ffmem
from tests.index.test_progress import HOST, told


def test_lines_show_shards_restarts_and_nodes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with render.progress(quiet=False) as listen:
        for now in told(tmp_path)[2:]:
            listen(now)
    lines = capsys.readouterr().err.splitlines()
    assert " 50%  200 of 400 tokens, 2 of 4 shards, " in lines[0] and "restart" not in lines[0]
    assert lines[0].endswith(f"left; last shard-1, worker 0 on {HOST}")
    assert f"worker 1 on {HOST} died at shard-2 (signal SIGKILL) and is started again" in lines
    assert lines[-1] == "waiting for free resources"


def test_values_are_counted_within_a_layer_and_have_a_speed_and_a_time_left_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = {"now": 100.0}
    monkeypatch.setattr("ffmem.index.progress.time.monotonic", lambda: seconds["now"])
    found: list[Progress] = []
    shards = [Shard(0, 0, 1, 100)]
    log = RunLog(tmp_path / "run.json", IndexOptions(), RunOptions())
    meter = Meter(found.append, log, n_values=[600, 600, 600], projected={0})
    meter.add(shards, set(), is_text_whole=True)

    def hear(after: float, event: Event) -> Progress:
        seconds["now"] += after
        meter.hear(event)
        return found[-1]

    first = hear(0, Event("ready", 0))
    assert (first.n_values, first.n_values_all, first.n_layers, first.remaining_s) == (600, 1800, 1, None)
    hear(2, Event("tokens", 0, 100))
    read = hear(0, Event("task", 0, task="shard-0"))
    assert (read.tokens_per_s, read.values_per_s, read.remaining_s) == (50, 0, None)
    part = hear(10, Event("tokens", 0, n_values=256))
    assert (part.n_values, part.values_per_s, part.tokens_per_s) == (856, 25.6, 50)
    assert part.remaining_s == pytest.approx(944 / 25.6)
    lost = hear(0, Event("restart", 0, task="values-1", lost=("values-1",)))
    assert lost.n_values == 600
    hear(0, Event("ready", 0))
    for place in (1, 2):
        for n in (256, 256, 88):
            last = hear(10, Event("tokens", 0, n_values=n))
        last = hear(0, Event("task", 0, task=f"values-{place}"))
    assert (last.n_values, last.n_layers, last.remaining_s, last.tokens_per_s) == (1800, 3, 0, 50)
    assert last.values_per_s == pytest.approx((1200 + 256) / 70)
    with render.progress(quiet=False) as listen:
        listen(part)
    assert capsys.readouterr().err == " 48%  856 of 1,800 values projected, 26 values/s, 37 s left\n"


def test_after_a_resume_the_speed_is_that_of_what_was_read(
    tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(patched: str = "", by: Callable[..., None] | None = None) -> str:
        run = RunOptions(workers=0, checkpoint_s=0.001)
        options = IndexOptions(top=3, holdout=0, shard_tokens=400)
        with monkeypatch.context() as patch:
            if patched:
                patch.setattr(IndexWorker, patched, by)
            return render.summary(
                build_index(tiny_folder("gpt2"), corpus, tmp_path / "i", options=options, run=run), []
            )

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build("_project", stop)
    assert re.search(r"speed +nothing was left to read in this run; [\d,]+ tokens/s in a run before\n", build())
    shutil.rmtree(tmp_path / "i")
    do, done = IndexWorker.do, []

    def some(self: IndexWorker, task: ScanShard, report: Report) -> None:
        done.append(task)
        return stop() if len(done) == 3 else do(self, task, report)

    with pytest.raises(KeyboardInterrupt):
        build("do", some)
    left = re.search(r"speed +[\d,]+ tokens/s, for the ([\d,]+) tokens that were left to read\n", build())
    n_tokens = open_index(tmp_path / "i").manifest.counts.n_tokens
    assert left is not None and 0 < int(left[1].replace(",", "")) < n_tokens


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
    n_cells = open_index(tmp_path / "i").n_cells
    last = [line for line in lines if line["stage"] == "memories"][-1]
    assert last["n_values"] == last["n_values_all"] == n_cells and last["values_per_s"] > 0


def test_every_field_of_the_json_lines_is_documented() -> None:
    text = (Path(__file__).parents[1] / "docs" / "reference" / "python.md").read_text()
    section = text.split("## Progress\n")[1].split("\n## ")[0]
    for name in ("elapsed_s", *(field.name for field in fields(Progress))):
        assert f"| `{name}` |" in section, name
    assert not [line for line in section.splitlines() if len(line) > 200]
