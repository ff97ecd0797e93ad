"""The record of what may differ between builds of the same index: times, throughput, workers, resumes."""

import json
import os
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from ffmem.index.run.executors import Event
from ffmem.json_values import JsonObject
from ffmem.options import IndexOptions, RunOptions
from ffmem.store.files import write_json

_MAX_EVENTS = 1000
"""Of one run; the last are kept."""
_PASS = "memories"
"""The stage in which workers run."""
_WRITE_S = 5.0
"""Between two writings that tell nothing but tokens."""


def was_killed_at_work(path: Path) -> bool:
    """Whether the last run of the record, if there is one, ended within its pass and could not say so."""
    if not path.exists():
        return False
    last = json.loads(path.read_bytes())["runs"][-1]
    return "resumed" in last and _PASS not in last["stages_s"]


class RunLog:
    """One entry for each time the build was started; each is written when its run begins, and again when it ends.

    Args:
        path: of the record.
        options: of the index.
        run: of the run.
        stages_s: seconds of what was done before there was a record.
    """

    def __init__(
        self, path: Path, options: IndexOptions, run: RunOptions, stages_s: Mapping[str, float] | None = None
    ) -> None:
        self._path = path
        self._earlier: list[JsonObject] = json.loads(path.read_bytes())["runs"] if path.exists() else []
        self._started = time.monotonic()
        self._pass_began: float | None = None
        self._entry: JsonObject = {
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "finished": None,
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
            "python": platform.python_version(),
            "device": options.device,
            "threads": options.threads,
            "executor": run.executor,
            "workers": run.workers,
            "n_restarts": 0,
            "n_tokens": 0,
            "tokens_per_s": None,
            "stages_s": {name: round(seconds, 3) for name, seconds in (stages_s or {}).items()},
            "events": [],
        }
        self._write()

    def begin(self, resumed: bool) -> None:
        """The pass over the corpus begins."""
        self._entry |= {"resumed": resumed}
        self._pass_began = time.monotonic()
        self._write()

    def count_tokens(self, n_tokens: int, tokens_per_s: float) -> None:
        """These many more went through the model, at this speed so far; what is written down is some seconds old at most."""
        self._entry["n_tokens"] += n_tokens
        if n_tokens:
            self._since_pass_began("first_batch")
        if self._entry["n_tokens"]:
            self._entry["tokens_per_s"] = round(tokens_per_s, 1) or None
        if n_tokens and time.monotonic() - self._written >= _WRITE_S:
            self._write()

    def note(self, event: Event) -> None:
        """A worker began, died and was started again, or a task was given up."""
        if event.kind == "ready":
            self._since_pass_began("workers")
        self._entry["n_restarts"] += event.kind == "restart"
        told = {"s": round(time.monotonic() - self._started, 1), "kind": event.kind, "worker": event.slot}
        told |= {name: value for name in ("where", "task", "text") if (value := getattr(event, name))}
        self._entry["events"] = [*self._entry["events"], told][-_MAX_EVENTS:]
        self._write()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage."""
        begin = time.monotonic()
        try:
            yield
        finally:
            self._entry["stages_s"][name] = round(time.monotonic() - begin, 3)
            if name == _PASS:  # a run that ends here, by an error or Ctrl-C, says how fast it was
                self._write()

    def took(self, name: str, seconds: float | None) -> None:
        """How long something took that went on beside the stages; None: it was there already."""
        if seconds is not None:
            self._entry["stages_s"][name] = round(seconds, 3)

    def _since_pass_began(self, until: str) -> None:
        """How long the pass takes until something that happens again and again is there for the first time."""
        if self._pass_began is not None:
            self._entry["stages_s"].setdefault(until, round(time.monotonic() - self._pass_began, 3))

    def finish(self, n_tokens: int, target: Path) -> None:
        """The build is done: write the whole record beside the index."""
        self._entry["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
        runs = [*self._earlier, self._entry]
        write_json(target, {"n_runs": len(runs), "n_resumes": len(runs) - 1, "n_tokens": n_tokens, "runs": runs})

    def _write(self) -> None:
        self._written = time.monotonic()
        write_json(self._path, {"runs": [*self._earlier, self._entry]})
