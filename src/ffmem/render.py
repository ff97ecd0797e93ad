"""Results -> text for people. The only file that knows how things look in a terminal."""

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ffmem.cell import Cell, PromotedToken, Trigger
from ffmem.index.reader import Index
from ffmem.queries import CellRow, Highlight

if TYPE_CHECKING:
    from ffmem.index.build import Progress
    from ffmem.index.verify import Verification

_STAGES = {
    "model": "loading the model",
    "text": "reading the corpus",
    "certificate": "measuring the identities",
    "files": "writing the index",
    "done": "done",
}


def say(message: str) -> None:
    """A line of progress."""
    print(f"checking {message}", file=sys.stderr)


@contextmanager
def progress(quiet: bool) -> Iterator[Callable[["Progress"], None]]:
    """A listener that shows a build's progress on stderr: a live line on a terminal, a line now and then elsewhere."""
    if quiet:
        yield lambda _: None
        return
    live = sys.stderr.isatty()
    shown: dict[str, Any] = {"stage": "", "at": 0.0}

    def listen(now: "Progress") -> None:
        if now.message:
            print(("\r\033[K" if live else "") + now.message, file=sys.stderr)
        if now.stage != shown["stage"] and now.stage in _STAGES:
            print(("\r\033[K" if live else "") + _STAGES[now.stage], file=sys.stderr)
            shown["stage"] = now.stage
        if now.stage == "memories" and time.monotonic() - shown["at"] >= (0.2 if live else 10.0):
            shown["at"] = time.monotonic()
            line = _line(now)
            print("\r\033[K" + line if live else line, file=sys.stderr, end="" if live else "\n", flush=True)

    try:
        yield listen
    finally:
        if live:
            print("\r\033[K", file=sys.stderr, end="", flush=True)


def _line(now: "Progress") -> str:
    left = "" if now.remaining_s is None else f", {_duration(now.remaining_s)} left"
    share = now.n_tokens / now.n_tokens_all if now.n_tokens_all else 0.0
    return f"{share:4.0%}  {now.n_tokens:,} of {now.n_tokens_all:,} tokens, {now.tokens_per_s:,.0f} tokens/s{left}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def summary(index: Index, highlights: list[Highlight]) -> str:
    """The end of `ffmem index`: what was built, three cells, and what to try next."""
    counts, folder = index.manifest["counts"], index.folder
    lines = [
        "",
        f"{index.manifest['identity']['model']['name']} over {index.manifest['identity']['corpus']['name']}",
        f"  layers     {index.n_layers}",
        f"  cells      {index.n_cells:,} ({index.d_ff:,} a layer)",
        f"  sentences  {counts['n_sentences']:,} indexed; {counts['n_duplicates']:,} repeats counted with their first; "
        f"{counts['n_sentences_held_out']:,} held out",
        f"  tokens     {counts['n_tokens']:,} indexed",
        f"  speed      {_speed(index)}",
    ]
    lines += [f"  note       {note}" for note in _notes(counts)]
    for highlight in highlights:
        strongest = [trigger for trigger in highlight.cell.triggers[:5] if trigger.sign == 1]
        lines += ["", f"{highlight.cell.cell}: {highlight.why}", *(_trigger(one, _width()) for one in strongest)]
        lines += [f"  promotes {_tokens(highlight.cell.promoted[:10])}"]
    example = highlights[0].cell.cell if highlights else "L0.0"
    last = index.n_layers - 1
    lines += [
        "",
        "Try next:",
        f"  ffmem info {folder}",
        f"  ffmem cell {folder} {example}",
        f"  ffmem cells {folder} --layer {last} --sort max",
        f"  ffmem verify {folder}",
    ]
    return "\n".join(lines)


def _speed(index: Index) -> str:
    from ffmem.index.store import read_run

    run = read_run(index.folder)
    speeds = [entry["tokens_per_s"] for entry in run["runs"] if entry.get("tokens_per_s")] if run else []
    return f"{speeds[-1]:,.0f} tokens/s" if speeds else "not recorded"


def _notes(counts: dict[str, Any]) -> Iterator[str]:
    if counts["n_undecodable_bytes"]:
        yield f"{counts['n_undecodable_bytes']:,} bytes were not UTF-8 and stand as U+FFFD"
    if counts["n_long_sentences"]:
        yield f"{counts['n_long_sentences']:,} sentences were longer than the context: cut into {counts['n_windows']:,} windows"
    if counts["n_documents_empty"]:
        yield f"{counts['n_documents_empty']:,} documents had no sentence"
    if counts["stopped_by"]:
        yield f"the corpus was read up to --{counts['stopped_by'].replace('_', '-')}"


def info(found: dict[str, Any]) -> str:
    """`ffmem info`."""
    identity, model, counts = found["identity"], found["model"], found["counts"]
    errors = found["certificate"]["errors"]
    options = ", ".join(f"{name} {value}" for name, value in identity["options"].items() if value is not None)
    lines = [
        f"model        {identity['model']['name']} ({model['family']}, {model['activation']}"
        f"{', gated' if model['gated'] else ''})",
        f"cells        {found['n_cells']:,}: {found['n_layers']} layers of {found['d_ff']:,}",
        f"corpus       {identity['corpus']['name']} ({identity['corpus']['kind']})",
        f"documents    {counts['n_documents']:,}, {counts['n_documents_held_out']:,} of them held out",
        f"sentences    {counts['n_sentences']:,} indexed, {counts['n_duplicates']:,} repeats, "
        f"{counts['n_sentences_held_out']:,} held out",
        f"tokens       {counts['n_tokens']:,} indexed, {counts['n_tokens_held_out']:,} held out",
        *(f"note         {note}" for note in _notes(counts)),
        f"projection   {found['projection']}",
        f"options      {options}",
        f"certificate  sum of coefficients x values + bias = output: {max(errors['ff_sum_errors']):.1e}; "
        f"residual + output: {max(errors['residual_errors']):.1e} (largest relative errors)",
        f"bytes        {found['same_bytes']['why']}",
        f"size         {found['n_bytes'] / 1e6:,.1f} MB, format {found['format']}, ffmem {identity['ffmem']}",
    ]
    return "\n".join(lines)


def cell(found: Cell, n_triggers: int) -> str:
    """`ffmem cell`."""
    stats = found.statistics
    lines = [
        f"{found.cell}",
        f"  active at {stats.active_fraction:.2%} of {stats.n_tokens:,} positions; coefficients from "
        f"{stats.minimum:.4g} to {stats.maximum:.4g}, mean {stats.mean:.4g}, root mean square {stats.mean_square**0.5:.4g}",
        f"  promotes    {_tokens(found.promoted[:12])}",
        f"  suppresses  {_tokens(found.suppressed[:12])}   ({found.projection})",
    ]
    return "\n".join([*lines, *_triggers(found, n_triggers, _width())])


def _triggers(found: Cell, n: int, width: int) -> Iterator[str]:
    for sign in (1, -1):
        shown = [trigger for trigger in found.triggers if trigger.sign == sign and trigger.rank < n]
        if shown and sign == -1:
            yield "  negative coefficients:"
        yield from (_trigger(trigger, width) for trigger in shown)


def _trigger(trigger: Trigger, width: int) -> str:
    """One line: coefficient, and the text around the firing token, its end always in sight."""
    left, token, right = (_one_line(part) for part in trigger.marked())
    room = max(30, width - 12)
    keep = max(10, room - len(token) - min(len(right), room // 3))
    left = left if len(left) <= keep else "…" + left[-(keep - 1) :]
    rest = max(0, room - len(left) - len(token))
    right = right if len(right) <= rest else right[: max(0, rest - 1)] + "…"
    return f"  {trigger.coefficient:8.3f}  {left}{token}{right}"


def _one_line(text: str) -> str:
    """Line ends and control characters made visible, so that a text cannot disturb the terminal."""
    return "".join(" " if c in "\n\r\t" else c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def _tokens(tokens: tuple[PromotedToken, ...]) -> str:
    return " ".join(f"⟨{_one_line(token.token)}⟩" for token in tokens)


def cells(rows: list[CellRow]) -> str:
    """`ffmem cells`."""
    head = f"{'cell':>10}  {'active':>7}  {'mean':>9}  {'min':>9}  {'max':>9}  {'fires on':16}  promotes"
    return "\n".join([head, *(_row(row) for row in rows)])


def _row(row: CellRow) -> str:
    trigger = "-" if row.trigger is None else f"⟨{_one_line(row.trigger)}⟩"
    promoted = " ".join(f"⟨{_one_line(token)}⟩" for token in row.promoted)
    return (
        f"{row.cell!s:>10}  {row.active_fraction:7.2%}  {row.mean:9.3g}  {row.minimum:9.3g}  {row.maximum:9.3g}  "
        f"{trigger:16}  {promoted}"
    )


def verification(found: "Verification") -> str:
    """`ffmem verify`."""
    lines = [f"{found.n_files} files and {found.n_arrays} arrays checked"]
    if found.largest_error is not None:
        bits = "the same bits" if found.same_bytes else f"largest relative difference {found.largest_error:.1e}"
        lines.append(
            f"{found.n_triggers:,} triggers and {found.n_comparisons:,} sentence-cell pairs recomputed: {bits}"
        )
    lines += [f"WRONG: {problem}" for problem in found.problems] or ["everything is in order"]
    return "\n".join(lines)


def _width() -> int:
    return shutil.get_terminal_size((110, 20)).columns
