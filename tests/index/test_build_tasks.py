"""What the workers of a build are to do, as its text becomes known."""

from pathlib import Path
from typing import Any

from ffmem import IndexOptions, RunOptions
from ffmem.index.build_tasks import BuildTasks
from ffmem.index.build_text import PlacedShard
from ffmem.index.progress import Meter, Progress
from ffmem.index.run.executors import Event
from ffmem.index.run.runlog import RunLog
from ffmem.index.scan.batches import Shard
from ffmem.index.scan.tasks import ProjectLayer, ScanShard


class Arriving:
    """A text of which some shards are there at a time."""

    def __init__(self, *parts: list[int]) -> None:
        self._parts = list(parts)

    @property
    def is_whole(self) -> bool:
        return not self._parts

    def take(self, wait_s: float = 0.0) -> list[PlacedShard]:
        part = self._parts.pop(0) if self._parts else []
        return [PlacedShard(Shard(number, number, number + 1, 10), 10 * number) for number in part]


def test_shards_come_as_they_are_known_and_layers_when_the_text_is_whole(tmp_path: Path) -> None:
    heard: list[Progress] = []
    meter = Meter(heard.append, RunLog(tmp_path / "run.json", IndexOptions(), RunOptions()), n_values=[5, 5])
    text: Any = Arriving([0, 1], [], [2, 3], [4])
    tasks = BuildTasks(text, meter, covered={1}, left_out={3}, layers=[ProjectLayer(1)])
    taken = []
    while not tasks.is_whole:
        taken.append(tasks.take())
        meter.hear(Event("note", -1))
    assert taken == [
        [ScanShard(Shard(0, 0, 1, 10), 0)],
        [],
        [ScanShard(Shard(2, 2, 3, 10), 20)],
        [ScanShard(Shard(4, 4, 5, 10), 40), ProjectLayer(1)],
    ]
    assert tasks.take() == [], "each once"
    assert [(now.n_tokens, now.n_tokens_all, now.n_shards_all, now.is_text_whole) for now in heard] == [
        (10, 20, 2, False),
        (10, 20, 2, False),
        (10, 30, 3, False),
        (10, 40, 4, True),
    ]
