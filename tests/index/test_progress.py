"""One view over all workers: what is counted, how fast it goes, and how long it will take."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ffmem import IndexOptions, RunOptions, build_index
from ffmem.index.progress import Meter, Progress
from ffmem.index.run.executors import Event
from ffmem.index.run.runlog import RunLog
from ffmem.index.scan.batches import Shard

HOST = "host-b (node 1f2e3d4c, process 17)"
EVENTS = [
    Event("ready", 0, where=HOST),
    Event("tokens", 0, 60, where=HOST),
    Event("task", 0, task="shard-1", where=HOST),
    Event("task", 0, task="values-0", where=HOST),
    Event("tokens", 1, 30, where=HOST),
    Event("restart", 1, task="shard-2", where=HOST, text="signal\nSIGKILL"),
    Event("failed", 1, task="shard-2", where=HOST, text="signal SIGKILL"),
    Event("note", -1, text="waiting for free resources"),
]


def told(tmp_path: Path) -> list[Progress]:
    """What a meter makes of EVENTS; one of four shards is there from an earlier run."""
    found: list[Progress] = []
    shards = [Shard(number, number, number + 1, 100) for number in range(4)]
    meter = Meter(found.append, RunLog(tmp_path / "run.json", IndexOptions(), RunOptions()))
    meter.add(shards, {0}, is_text_whole=True)
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
    meter = Meter(found.append, RunLog(tmp_path / "run.json", IndexOptions(), RunOptions()))
    meter.add(shards, set(), is_text_whole=True)
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


def test_a_build_tells_of_its_values(tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path) -> None:
    found: list[Progress] = []
    options, run = IndexOptions(top=3, max_tokens=500), RunOptions(workers=0)
    index = build_index(tiny_folder("mixtral"), corpus, tmp_path / "i", options=options, run=run, progress=found.append)
    scan = [now for now in found if now.stage == "memories"]
    assert {now.n_values_all for now in scan} == {index.n_cells} and scan[0].n_values == 0
    counted = [now.n_values for now in scan]
    assert counted == sorted(counted) and counted[-1] == index.n_cells and scan[-1].n_layers == index.n_layers
    told = [now for now in scan if now.event == "tokens" and now.n_values]
    assert len(told) >= index.n_layers and all(now.values_per_s > 0 for now in told)
    assert scan[-1].remaining_s == 0


Hear = Callable[..., Progress]


@pytest.fixture
def hear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Hear]:
    """A meter over two shards of 100 and 50 tokens and a layer of 30 values, with a clock that one sets by hand."""
    now = [1000.0]
    monkeypatch.setattr("ffmem.index.progress.time.monotonic", lambda: now[0])

    def make(covered: set[int], projected: tuple[int, ...] = ()) -> Hear:
        found: list[Progress] = []
        log = RunLog(tmp_path / "run.json", IndexOptions(), RunOptions())
        shards = [Shard(0, 0, 5, 100), Shard(1, 5, 7, 50)]
        meter = Meter(found.append, log, n_values=[30], projected=projected)
        meter.add(shards, covered, is_text_whole=True)

        def take(
            after: float, kind: str, slot: int = 0, n_tokens: int = 0, n_values: int = 0, **named: object
        ) -> Progress:
            now[0] += after
            meter.hear(Event(kind, slot, n_tokens, n_values, **named))  # type: ignore[arg-type]
            return found[-1]

        return take

    return make


def test_speed_is_over_the_time_since_the_first_worker_was_ready(hear: Callable[..., Hear]) -> None:
    take = hear(set())
    assert take(5, "ready", 0).tokens_per_s == 0, "loading a model is no part of it"
    take(1, "ready", 1)
    first = take(1, "tokens", 0, 20)
    assert (first.n_tokens, first.n_tokens_all, first.tokens_per_s, first.remaining_s) == (20, 150, 10, 13)
    second = take(2, "tokens", 1, 20)
    assert (second.n_tokens, second.tokens_per_s, second.remaining_s) == (40, 10, 11)
    waiting = take(4, "note", -1, text="waiting")
    assert (waiting.tokens_per_s, waiting.remaining_s, waiting.message) == (5, 22, "waiting")


def test_what_earlier_runs_did_counts_but_is_not_fast(hear: Callable[..., Hear]) -> None:
    take = hear({0})
    ready = take(0, "ready")
    assert (ready.n_tokens, ready.n_shards, ready.n_shards_all, ready.remaining_s) == (100, 1, 2, None)
    now = take(10, "tokens", 0, 25)
    assert (now.n_tokens, now.tokens_per_s, now.remaining_s) == (125, 2.5, 10)


def test_of_a_shard_that_is_done_its_own_length_counts_whatever_was_told_on_the_way(hear: Callable[..., Hear]) -> None:
    take = hear(set())
    take(0, "ready")
    take(1, "tokens", 0, 60)
    assert take(1, "tokens", 0, -60, text="too little memory").n_tokens == 0, "it is read again, in smaller batches"
    take(1, "tokens", 0, 60)
    take(1, "tokens", 0, 40)
    assert take(0, "task", task="shard-0").n_tokens == 100
    assert take(0, "task", 1, task="shard-1").n_tokens == 150, "saved by a worker that died before it could tell"
    assert take(0, "task", 1, task="shard-1").n_tokens == 150, "told twice is done once"


def test_time_left_is_of_the_text_then_of_the_values_then_none(hear: Callable[..., Hear]) -> None:
    take = hear({0})
    take(0, "ready")
    assert take(5, "tokens", 0, 50).remaining_s is None, "the text is read; of values there is no speed yet"
    take(0, "task", task="shard-1")
    assert take(2, "tokens", 0, n_values=10).remaining_s == 4
    take(4, "tokens", 0, n_values=20)
    done = take(0, "task", task="values-0")
    assert (done.remaining_s, done.n_layers, done.tokens_per_s, done.values_per_s) == (0, 1, 10, 5)
    assert take(100, "note", -1, text="x").tokens_per_s == 10, "once all is read, the clock stands"


def test_what_is_done_already_needs_no_time(hear: Callable[..., Hear]) -> None:
    now = hear({0, 1}, (0,))(0, "ready")
    assert (now.n_tokens, now.n_values, now.n_layers, now.remaining_s) == (150, 30, 1, 0)


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (Event("tokens", 3, text="cpu has too little memory"), "worker 3: cpu has too little memory"),
        (Event("note", -1, text="waiting"), "waiting"),
        (Event("restart", 2, text="signal SIGKILL"), "worker 2 died (signal SIGKILL) and is started again"),
        (Event("failed", 2, task="shard-4", text="exit 1"), "shard-4 is given up: exit 1"),
        (Event("ready", 0), ""),
    ],
)
def test_what_people_are_told(event: Event, message: str, tmp_path: Path) -> None:
    found: list[Progress] = []
    log = RunLog(tmp_path / "run.json", IndexOptions(), RunOptions())
    meter = Meter(found.append, log)
    meter.add([Shard(4, 0, 1, 10)], set(), is_text_whole=True)
    meter.hear(event)
    assert found[0].message == message and found[0].stage == "memories"


def test_while_the_text_is_written_there_is_more_than_is_told_and_no_time_left(tmp_path: Path) -> None:
    found: list[Progress] = []
    meter = Meter(found.append, RunLog(tmp_path / "run.json", IndexOptions(), RunOptions()), n_values=[30])
    meter.hear(Event("ready", 0))
    for number, is_whole in ((0, False), (1, True)):
        meter.add([Shard(number, number, number + 1, 100)], set(), is_whole)
        meter.hear(Event("tokens", 0, 60))
        meter.hear(Event("task", 0, task=f"shard-{number}"))
    assert [(now.n_tokens, now.n_tokens_all, now.n_shards_all, now.is_text_whole) for now in found[1::2]] == [
        (60, 100, 1, False),
        (160, 200, 2, True),
    ]
    assert found[1].remaining_s is None and found[3].remaining_s is not None
