"""How far a build or a study is, as lines on stderr."""

import json
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from types import SimpleNamespace

import pytest

from ffmem.index.progress import Progress
from ffmem.render.progress import json_lines, progress, say, steps, study_progress
from ffmem.studies.study import Stage

TOKENS = Progress(
    "memories", "tokens", n_tokens=1200, n_tokens_all=4800, n_shards=2, n_shards_all=8, tokens_per_s=34.4, remaining_s=61,
)  # fmt: skip
LINE = " 25%  1,200 of 4,800 tokens, 2 of 8 shards, 34 tokens/s"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now = {"s": 1000.0}
    module = sys.modules["ffmem.render.progress"]  # the function hides the module
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now["s"]))
    return lambda seconds: now.update(s=now["s"] + seconds)


def live(monkeypatch: pytest.MonkeyPatch, columns: int = 200) -> None:
    monkeypatch.setenv("COLUMNS", f"{columns}")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)


@pytest.mark.parametrize(
    ("now", "shown"),
    [
        (TOKENS, f"{LINE}, 1 min 01 s left"),
        (replace(TOKENS, remaining_s=None), LINE),
        (replace(TOKENS, n_restarts=1, remaining_s=None), f"{LINE}, 1 restart"),
        (replace(TOKENS, n_restarts=2), f"{LINE}, 2 restarts, 1 min 01 s left"),
        (
            replace(TOKENS, n_tokens_all=0, n_tokens=0),
            "  0%  0 of 0 tokens, 2 of 8 shards, 34 tokens/s, 1 min 01 s left",
        ),
        (
            replace(TOKENS, n_tokens=4800, n_values=856, n_values_all=1800, values_per_s=25.6),
            " 48%  856 of 1,800 values projected, 26 values/s, 1 min 01 s left",
        ),
    ],
)
def test_a_line(now: Progress, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    with progress(quiet=False) as listen:
        listen(now)
    assert capsys.readouterr() == ("", f"{shown}\n")  # of what is printed for other programs, nothing


def test_away_from_a_terminal_a_line_is_shown_every_ten_seconds(
    clock: Callable[[float], None], capsys: pytest.CaptureFixture[str]
) -> None:
    with progress(quiet=False) as listen:
        for n in range(0, 4800, 100):
            listen(replace(TOKENS, n_tokens=n, remaining_s=None))
            clock(1)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" of ")[0].split()[-1] for line in lines] == ["0", "1,000", "2,000", "3,000", "4,000"]


def test_stages_are_named_once_and_messages_always(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(quiet=False) as listen:
        for now in (Progress("model"), Progress("text"), Progress("text", message="a\nb"), Progress("certificate"),
                    Progress("memories"), Progress("files"), Progress("done")):  # fmt: skip
            listen(now)
    assert capsys.readouterr().err.splitlines() == [
        "loading the model", "reading the corpus", "a b", "measuring the identities",
        "  0%  0 of 0 tokens, 0 of 0 shards, 0 tokens/s",
        "writing the index", "done",
    ]  # fmt: skip


def test_the_last_task_of_another_machine_is_named(
    clock: Callable[[float], None], capsys: pytest.CaptureFixture[str]
) -> None:
    with progress(quiet=False) as listen:
        listen(replace(TOKENS, event="task", task="shard-1", worker="worker 0"))  # of this machine: nothing to tell
        clock(11)
        listen(replace(TOKENS, event="task", task="shard-2", worker="worker 1 on host-b"))
        clock(11)
        listen(TOKENS)
    first, *others = capsys.readouterr().err.splitlines()
    assert first.endswith("left") and all(line.endswith("left; last shard-2, worker 1 on host-b") for line in others)
    assert len(others) == 2


def test_a_live_line_replaces_the_one_before_and_fits(
    clock: Callable[[float], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    live(monkeypatch, columns=50)
    with progress(quiet=False) as listen:
        for seconds in (0, 0.1, 0.2):
            clock(seconds)
            listen(TOKENS)
        listen(Progress("files"))
    written = capsys.readouterr().err.split("\r\033[K")
    assert written == ["", LINE[:49], LINE[:49], "writing the index\n", ""]  # at the end, the line is cleared


def test_json_lines_tell_everything_but_tokens_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    seconds = iter([0.0, 0.1, 0.2, 0.3, 0.9, 1.3, 1.4, 1.5])
    listen = json_lines(lambda: next(seconds))
    restart = replace(TOKENS, event="restart", worker="worker 1", task="shard-2", message="died")
    for now in (Progress("text"), TOKENS, TOKENS, TOKENS, TOKENS, restart, Progress("done")):
        listen(now)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert all([*line] == ["elapsed_s", *(field.name for field in fields(Progress))] for line in lines)
    assert [(line["event"], line["elapsed_s"]) for line in lines] == [
        ("stage", 0.1), ("tokens", 0.2), ("tokens", 1.3), ("restart", 1.4), ("stage", 1.5),
    ]  # fmt: skip
    assert (lines[3]["worker"], lines[3]["message"]) == ("worker 1", "died") and lines[-1]["stage"] == "done"
    assert lines[1]["remaining_s"] == 61 and lines[0]["remaining_s"] is None


@pytest.mark.parametrize("form", ["text", "json"])
def test_quiet_is_quiet(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    with progress(quiet=True, form=form) as listen, study_progress(quiet=True) as other, steps(quiet=True) as third:
        listen(Progress("text"))
        other(Stage("agreement", 1, 2))
        third("reading", 1, 2)
    assert capsys.readouterr() == ("", "")


def test_steps_are_shown_as_they_begin_and_now_and_then(
    clock: Callable[[float], None], capsys: pytest.CaptureFixture[str]
) -> None:
    with study_progress(quiet=False) as listen:
        listen(Stage("agreement", 0, 0))
        for done in range(0, 3000, 1000):
            clock(6)
            listen(Stage("agreement", done, 3000))
        listen(Stage("refinement", 1, 2))
    assert capsys.readouterr().err.splitlines() == [
        "      0 s  agreement: begins",
        "     12 s  agreement: 1,000 of 3,000",
        "     18 s  refinement: 1 of 2",
    ]


def test_live_steps_leave_no_line_behind(
    clock: Callable[[float], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    live(monkeypatch)
    with steps(quiet=False) as listen:
        listen("reading", 1, 4)
        listen("reading", 2, 4)  # too soon
        clock(0.3)
        listen("reading", 3, 4)
    line = "      0 s  reading: "
    assert capsys.readouterr().err == f"\r\033[K{line}1 of 4\r\033[K{line}3 of 4\r\033[K"


def test_what_is_done_next(capsys: pytest.CaptureFixture[str]) -> None:
    say("checking")("files")
    assert capsys.readouterr() == ("", "checking files\n")
