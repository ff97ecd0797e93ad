"""Pairs of sentences, a line each, as words."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from ffmem.corpus.compression import DAMAGED, open_plain
from ffmem.errors import InputError

Cut = Literal["spaces", "marks"]
"""What a word is: "spaces": what stands between white space, as in all alignment data; "marks": that, with marks cut off the
words they stand at, for raw text."""

_MARKS = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True)
class Pair:
    """A sentence and its translation."""

    source: tuple[str, ...]
    """Words, at least one."""
    target: tuple[str, ...]


def read_pairs(source: str | Path, target: str | Path | None = None, *, cut: Cut = "spaces") -> list[Pair]:
    """The pairs of two files, line by line, or of one whose lines are ``source ||| target``; ``.gz`` files as well.

    Raises:
        InputError: a file cannot be read, the two have different numbers of lines, a line has no word or no ``|||``.
    """
    if cut not in get_args(Cut):
        raise InputError(f"--words is {cut!r}", f"Expected one of: {', '.join(get_args(Cut))}", "Write --words spaces")
    lines = read_lines(source)
    if target is None:
        halves = [_halves(source, number, line) for number, line in enumerate(lines, 1)]
        others, path = [half[1] for half in halves], source
        lines = [half[0] for half in halves]
    else:
        others, path = read_lines(target), target
        same_length(source, lines, target, others)
    return [
        Pair(_words(source, number, left, cut), _words(path, number, right, cut))
        for number, (left, right) in enumerate(zip(lines, others, strict=True), 1)
    ]


def read_lines(path: str | Path) -> list[str]:
    """The lines of a text file, decompressed as its suffix says.

    Raises:
        InputError: there is no such file, it is empty, damaged or not UTF-8.
    """
    try:
        with open_plain(Path(path)) as file:
            text = file.read().decode()
    except (OSError, UnicodeDecodeError, *DAMAGED) as error:
        raise InputError(
            f"{path} cannot be read: {error}", "Expected a text file, UTF-8, plain or .gz", "Check its name and content"
        ) from error
    lines = text.removesuffix("\n").split("\n")
    if lines == [""]:
        raise InputError(f"{path} is empty", "Expected a line for each pair", "Check the file")
    return [line.removesuffix("\r") for line in lines]


def same_length(path: str | Path, lines: Sequence[object], other: str | Path, others: Sequence[object]) -> None:
    """Refuse two files of which one has more lines, naming the first line without a partner."""
    if len(lines) == len(others):
        return
    longer, shorter = (path, other) if len(lines) > len(others) else (other, path)
    n_shorter = min(len(lines), len(others))
    raise InputError(
        f"{path} has {len(lines):,} lines, {other} has {len(others):,}: line {n_shorter + 1:,} of {longer} has no partner",
        "Expected one line for each pair in both",
        f"Look for a line that was cut or joined in {shorter} or {longer}",
    )


def _halves(path: str | Path, number: int, line: str) -> tuple[str, str]:
    left, bar, right = line.partition("|||")
    if not bar or "|||" in right:
        raise InputError(
            f"{path}, line {number}: it has {line.count('|||')} times |||",
            "Expected source ||| target, since no second file is given",
            "Mend the line, or give two files",
        )
    return left, right


def _words(path: str | Path, number: int, text: str, cut: Cut) -> tuple[str, ...]:
    words = tuple(text.split() if cut == "spaces" else _MARKS.findall(text))
    if not words:
        raise InputError(
            f"{path}, line {number}: there is no word in it",
            "Expected some words on both sides of every pair",
            "Take the pair out of every file, the gold links included",
        )
    return words
