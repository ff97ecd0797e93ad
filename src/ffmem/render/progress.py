"""How far a build is, as it goes on."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ffmem.json_values import JsonObject, to_json
from ffmem.render.terminal import duration, one_line, width

if TYPE_CHECKING:
    from ffmem.index.progress import Progress
    from ffmem.studies.study import Stage

_TOKENS_S = 1.0
"""Between two lines of JSON that tell nothing but tokens."""

_STAGES = {
    "model": "loading the model",
    "text": "reading the corpus",
    "certificate": "measuring the identities",
    "files": "writing the index",
    "done": "done",
}


def say(what: str) -> Callable[[str], None]:
    """A listener that prints a line for each thing that is done next: "checking files"."""
    return lambda message: print(f"{what} {message}", file=sys.stderr)


@contextmanager
def progress(quiet: bool, form: str = "text") -> Iterator[Callable[["Progress"], None]]:
    """A listener that shows a build's progress on stderr.

    Args:
        quiet: show nothing.
        form: "text": a live line on a terminal, a line now and then elsewhere; "json": see `json_lines`.
    """
    if quiet:
        yield lambda _: None
    elif form == "json":
        yield json_lines()
    else:
        with _text_lines() as listen:
            yield listen


def json_lines(clock: Callable[[], float] = time.monotonic) -> Callable[["Progress"], None]:
    """A listener that prints an object a line on stderr: the fields of a Progress, and the seconds since it began.

    Everything is told but tokens, of which there is a line a second at most.
    """
    begin = clock()
    shown = {"at": -_TOKENS_S}

    def listen(now: "Progress") -> None:
        elapsed = clock() - begin
        if now.event == "tokens" and not now.message:
            if elapsed - shown["at"] < _TOKENS_S:
                return
            shown["at"] = elapsed
        told = {"elapsed_s": round(elapsed, 3)} | to_json(now)
        print(json.dumps(told, allow_nan=False), file=sys.stderr, flush=True)

    return listen


@contextmanager
def _text_lines() -> Iterator[Callable[["Progress"], None]]:
    live = sys.stderr.isatty()
    shown: JsonObject = {"stage": "", "at": 0.0, "last": ""}

    def listen(now: "Progress") -> None:
        if now.message:
            print(("\r\033[K" if live else "") + one_line(now.message), file=sys.stderr)
        if now.stage != shown["stage"] and now.stage in _STAGES:
            print(("\r\033[K" if live else "") + _STAGES[now.stage], file=sys.stderr)
            shown["stage"] = now.stage
        if now.event == "task" and " on " in now.worker:
            shown["last"] = f"; last {now.task}, {now.worker}"
        if now.stage == "memories" and time.monotonic() - shown["at"] >= (0.2 if live else 10.0):
            shown["at"] = time.monotonic()
            line = one_line(_line(now) + shown["last"])
            # a live line that is longer than the terminal could not be replaced by the next
            print(
                "\r\033[K" + line[: width() - 1] if live else line,
                file=sys.stderr,
                end="" if live else "\n",
                flush=True,
            )

    try:
        yield listen
    finally:
        if live:
            print("\r\033[K", file=sys.stderr, end="", flush=True)


@contextmanager
def study_progress(quiet: bool) -> Iterator[Callable[["Stage"], None]]:
    """A listener that shows a study's progress on stderr."""
    with steps(quiet) as listen:
        yield lambda now: listen(now.experiment, now.done, now.total)


@contextmanager
def steps(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A listener that shows on stderr what is being done, how much of it is done, and how much there is."""
    if quiet:
        yield lambda _what, _done, _total: None
        return
    live = sys.stderr.isatty()
    shown: JsonObject = {"what": "", "at": 0.0, "begin": time.monotonic()}

    def listen(what: str, done: int, total: int) -> None:
        passed = time.monotonic()
        if what == shown["what"] and passed - shown["at"] < (0.2 if live else 10.0):
            return
        shown.update(what=what, at=passed)
        share = f"{done:,} of {total:,}" if total else "begins"
        line = f"{duration(passed - shown['begin']):>9}  {what}: {share}"
        print("\r\033[K" + line if live else line, file=sys.stderr, end="" if live else "\n", flush=True)

    try:
        yield listen
    finally:
        if live:
            print("\r\033[K", file=sys.stderr, end="", flush=True)


def _line(now: "Progress") -> str:
    left = "" if now.remaining_s is None else f", {duration(now.remaining_s)} left"
    share = now.n_tokens / now.n_tokens_all if now.n_tokens_all else 0.0
    if now.is_text_whole and now.n_tokens == now.n_tokens_all and now.n_values_all:
        share = now.n_values / now.n_values_all
        return (
            f"{share:4.0%}  {now.n_values:,} of {now.n_values_all:,} values projected, {now.values_per_s:,.0f} values/s"
            f"{_restarts(now)}{left}"
        )
    # more text is coming: there is no share of it yet
    share_told, more = (f"{share:4.0%}", "") if now.is_text_whole else ("    ", " and more")
    return (
        f"{share_told}  {now.n_tokens:,} of {now.n_tokens_all:,}{more} tokens, "
        f"{now.n_shards:,} of {now.n_shards_all:,}{more} shards, "
        f"{now.tokens_per_s:,.0f} tokens/s{_restarts(now)}{left}"
    )


def _restarts(now: "Progress") -> str:
    return f", {now.n_restarts:,} restart{'s' if now.n_restarts > 1 else ''}" if now.n_restarts else ""
