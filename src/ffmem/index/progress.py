"""How far a build is: one view over all of its workers, wherever they are."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from ffmem.index.run.executors import Event
from ffmem.index.run.runlog import RunLog
from ffmem.index.scan.batches import Shard
from ffmem.json_values import Record


@dataclass(frozen=True)
class Progress(Record):
    """How far a build is."""

    stage: str
    """"model", "text", "certificate", "memories", "files" or "done"."""
    event: str = "stage"
    """What this tells: "stage", where the build is, with a message perhaps; and while memories are read, see
    executors.Event.kind, "ready", "tokens", "task", "restart", "failed" or "note"."""
    n_tokens: int = 0
    """Tokens that are done, those of earlier runs included."""
    n_tokens_all: int = 0
    """Tokens there are; while the text is still being written, those of its shards so far."""
    is_text_whole: bool = True
    """In "memories": whether the text is written to its end."""
    n_layers: int = 0
    """Layers whose values are projected, those of earlier runs included."""
    n_values: int = 0
    """Values that are projected, those of earlier runs included."""
    n_values_all: int = 0
    """Values there are: as many as cells."""
    tokens_per_s: float = 0.0
    """Speed of this run at reading text, so far; once all is read, over the time that it took."""
    values_per_s: float = 0.0
    """Speed of this run at projecting values, likewise."""
    remaining_s: float | None = None
    """Estimated seconds left: of the text while it is read, then of the values; None before there is an estimate."""
    n_shards: int = 0
    """Shards that are done, those of earlier runs included."""
    n_shards_all: int = 0
    """Shards there are."""
    n_restarts: int = 0
    """Workers that died in this run and were started again."""
    worker: str = ""
    """With the end of a task, or the death of a worker: which worker, and on a cluster on which node."""
    task: str = ""
    """With `worker`: the shard ("shard-17") or layer ("values-3") that is done, or that the worker died at."""
    message: str = ""
    """Anything else worth saying: a worker that was started again, a resumed build."""


ProgressListener = Callable[[Progress], None]


class _Tally:
    """How much of some tasks is done: of those that are finished, and of those that a worker is at."""

    def __init__(self) -> None:
        self._sizes: dict[str, int] = {}
        self.finished: set[str] = set()
        self.all = 0
        self.is_whole = True
        """Whether no more tasks come."""
        self._of_finished = 0
        self._begun: dict[int, int] = {}
        """Done of the task that each worker is at, by slot."""
        self._in_this_run = 0
        """What had to be done again included."""
        self._since: float | None = None
        self._until = 0.0

    def add(self, sizes: Mapping[str, int], finished: Collection[str]) -> None:
        """More tasks, some of which earlier runs have done."""
        self._sizes |= sizes
        self.all += sum(sizes.values())
        self.finished |= set(finished)
        self._of_finished += sum(self._sizes[task] for task in finished)

    @property
    def done(self) -> int:
        return self._of_finished + sum(self._begun.values())

    def more(self, slot: int, n: int, begun: float | None, now: float) -> None:
        """A worker has done more, at what it began at some time."""
        self._since = begun if self._since is None else self._since
        self._until = now
        self._begun[slot] = self._begun.get(slot, 0) + n
        self._in_this_run += n

    def finish(self, slot: int, task: str) -> None:
        """A task is done, if it is one of these."""
        if task in self._sizes:
            self._begun.pop(slot, None)
            self._of_finished += 0 if task in self.finished else self._sizes[task]
            self.finished.add(task)

    def lose(self, slot: int, tasks: Sequence[str]) -> None:
        """What a dead worker was at, and some that it had done, must be done again."""
        lost = self.finished.intersection(tasks)
        self.finished -= lost
        self._of_finished -= sum(self._sizes[task] for task in lost)
        self._begun.pop(slot, None)

    def speed(self, now: float) -> float:
        """A second, from the beginning of the first of them in this run until the last is done."""
        if self._since is None:
            return 0.0
        elapsed = (self._until if self.is_whole and self.done == self.all else now) - self._since
        return self._in_this_run / elapsed if elapsed > 0 else 0.0


class Meter:
    """Turns an executor's events into progress, and into the record of the run.

    Args:
        listen: what is told.
        log: the record.
        n_values: of each layer, by place.
        projected: the places of layers whose values earlier runs have projected.
    """

    def __init__(
        self, listen: ProgressListener, log: RunLog, n_values: Sequence[int] = (), projected: Collection[int] = ()
    ) -> None:
        self._listen, self._log = listen, log
        self._tokens, self._values = _Tally(), _Tally()
        layer_sizes = {f"values-{place}": n for place, n in enumerate(n_values)}
        self._values.add(layer_sizes, [f"values-{place}" for place in projected])
        self._n_shards = 0
        self._n_restarts = 0
        self._free: dict[int, float] = {}
        """When each worker was last ready for a task, by slot."""

    def add(self, shards: Sequence[Shard], covered: Collection[int], is_text_whole: bool) -> None:
        """More shards of the text.

        Args:
            shards: the shards.
            covered: by their numbers, those of the text that earlier runs have read.
            is_text_whole: whether they are the last.
        """
        sizes = {f"shard-{shard.shard_id}": shard.n_tokens for shard in shards}
        self._tokens.add(sizes, [f"shard-{shard.shard_id}" for shard in shards if shard.shard_id in covered])
        self._tokens.is_whole = is_text_whole
        self._n_shards += len(sizes)

    def hear(self, event: Event) -> None:
        """Take one event."""
        now = time.monotonic()
        self._count(event, now)
        if event.kind in ("ready", "restart", "failed") or event.text:
            self._log.note(event)
        speed = self._tokens.speed(now)
        self._log.count_tokens(event.n_tokens, speed)
        tokens, values = self._tokens, self._values
        self._listen(
            Progress(
                "memories",
                event.kind,
                n_tokens=tokens.done,
                n_tokens_all=tokens.all,
                is_text_whole=tokens.is_whole,
                n_layers=len(values.finished),
                n_values=values.done,
                n_values_all=values.all,
                tokens_per_s=speed,
                values_per_s=values.speed(now),
                remaining_s=self._remaining(now),
                n_shards=len(tokens.finished),
                n_shards_all=self._n_shards,
                n_restarts=self._n_restarts,
                worker=_worker(event) if event.kind in ("task", "restart", "failed") else "",
                task=event.task,
                message=_message(event),
            )
        )

    def _count(self, event: Event, now: float) -> None:
        both = (self._tokens, self._values)
        if event.kind == "tokens":
            for tally, n in zip(both, (event.n_tokens, event.n_values), strict=True):
                if n:
                    tally.more(event.slot, n, self._free.get(event.slot), now)
        elif event.kind == "task":
            for tally in both:
                tally.finish(event.slot, event.task)
        elif event.kind in ("restart", "failed"):
            self._n_restarts += event.kind == "restart"
            for tally in both:
                tally.lose(event.slot, event.lost)
        if event.kind in ("ready", "task"):
            self._free[event.slot] = now

    def _remaining(self, now: float) -> float | None:
        """Of the text while there is some to read, then of the values."""
        if not self._tokens.is_whole:
            return None
        tally = self._tokens if self._tokens.done < self._tokens.all else self._values
        if tally.done == tally.all:
            return 0.0
        speed = tally.speed(now)
        return (tally.all - tally.done) / speed if speed else None


def _worker(event: Event) -> str:
    return f"worker {event.slot}" + (f" on {event.where}" if event.where else "")


def _message(event: Event) -> str:
    at = f" at {event.task}" if event.task else ""
    if event.kind == "restart":
        return f"{_worker(event)} died{at} ({event.text}) and is started again"
    if event.kind == "failed":
        return f"{event.task} is given up: {event.text}"
    return f"{_worker(event)}: {event.text}" if event.text and event.slot >= 0 else event.text
