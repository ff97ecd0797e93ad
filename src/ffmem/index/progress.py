"""How far a build is: one view over all of its workers, wherever they are."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ffmem.index.batches import Shard
from ffmem.index.executors import Event
from ffmem.index.runlog import RunLog


@dataclass(frozen=True)
class Progress:
    """How far a build is."""

    stage: str
    """"model", "text", "certificate", "memories", "files" or "done"."""
    event: str = "stage"
    """What this tells: "stage", where the build is, with a message perhaps; and while memories are read, see
    executors.Event.kind, "ready", "tokens", "task", "restart", "failed" or "note"."""
    n_tokens: int = 0
    """Tokens that are done, those of earlier runs included."""
    n_tokens_all: int = 0
    """Tokens there are."""
    n_layers: int = 0
    """Layers whose values are projected."""
    tokens_per_s: float = 0.0
    """Speed of this run so far."""
    remaining_s: float | None = None
    """Estimated seconds left, None before there is an estimate."""
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

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)


Listener = Callable[[Progress], None]


class Meter:
    """Turns an executor's events into progress, and into the record of the run."""

    def __init__(self, listen: Listener, shards: Sequence[Shard], covered: set[int], log: RunLog) -> None:
        self._listen, self._log = listen, log
        self._n_tokens = {f"shard-{shard.shard_id}": shard.n_tokens for shard in shards}
        self._all = sum(self._n_tokens.values())
        self._shards_done = {f"shard-{shard_id}" for shard_id in covered}
        self._done = sum(self._n_tokens[shard] for shard in self._shards_done)
        self._begun: dict[int, int] = {}
        """Tokens done of the shard that each worker is at, by slot."""
        self._read = self._n_restarts = 0
        """Tokens read in this run, those that had to be read again included; and workers started again."""
        self._started: float | None = None

    def hear(self, event: Event) -> None:
        """Take one event."""
        now = time.monotonic()
        if event.kind == "ready":
            self._started = now if self._started is None else self._started
        elif event.kind == "task" and event.task in self._n_tokens:
            self._shards_done.add(event.task)
            self._done += self._n_tokens[event.task]
            self._begun.pop(event.slot, None)
        elif event.kind == "tokens":
            self._begun[event.slot] = self._begun.get(event.slot, 0) + event.n_tokens
        elif event.kind in ("restart", "failed"):
            self._n_restarts += event.kind == "restart"
            lost = self._shards_done.intersection(event.lost)
            self._shards_done -= lost
            self._done -= sum(self._n_tokens[shard] for shard in lost)
            self._begun.pop(event.slot, None)
        if event.kind in ("ready", "restart", "failed") or event.text:
            self._log.note(event)
        self._read += event.n_tokens
        self._log.count_tokens(event.n_tokens)
        elapsed = now - self._started if self._started is not None else 0.0
        speed = self._read / elapsed if elapsed > 0 else 0.0
        done = self._done + sum(self._begun.values())
        self._listen(
            Progress(
                "memories",
                event.kind,
                n_tokens=done,
                n_tokens_all=self._all,
                tokens_per_s=speed,
                remaining_s=(self._all - done) / speed if speed else None,
                n_shards=len(self._shards_done),
                n_shards_all=len(self._n_tokens),
                n_restarts=self._n_restarts,
                worker=_worker(event) if event.kind in ("task", "restart", "failed") else "",
                task=event.task,
                message=_message(event),
            )
        )


def _worker(event: Event) -> str:
    return f"worker {event.slot}" + (f" on {event.where}" if event.where else "")


def _message(event: Event) -> str:
    at = f" at {event.task}" if event.task else ""
    if event.kind == "restart":
        return f"{_worker(event)} died{at} ({event.text}) and is started again"
    if event.kind == "failed":
        return f"{event.task} is given up: {event.text}"
    return f"{_worker(event)}: {event.text}" if event.text and event.slot >= 0 else event.text
