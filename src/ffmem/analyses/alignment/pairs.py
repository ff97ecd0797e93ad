"""Pairs of sentences, a line each, as words."""

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import regex

from ffmem.corpus.compression import DAMAGED, open_plain
from ffmem.errors import InputError

Cut = Literal["spaces", "marks"]
"""What a word is: "spaces": what stands between blanks and tabs, as in all alignment data, where any other white space, such as
U+00A0, is part of a word; "marks": for raw text, letters and digits with what combines with them, and each other character by
itself but for white space of any kind."""

_MARKS = regex.compile(r"[\w\p{M}\u200c\u200d]+|[^\w\s]")
_BLANKS = re.compile("[ \t]+")
_LINE_END = re.compile("\r\n|\n|\r")
_ENCODINGS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


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


def split_words(text: str) -> list[str]:
    """What stands between blanks and tabs: the only characters that part words in files of parallel text and links."""
    return [word for word in _BLANKS.split(text) if word]


def read_lines(path: str | Path) -> list[str]:
    """The lines of a text file, decompressed as its suffix says; they end at LF, CR LF or CR, and nowhere else.

    Raises:
        InputError: there is no such file, it is empty, damaged or not UTF-8.
    """
    try:
        with open_plain(Path(path)) as file:
            data = file.read()
        _check_encoding(path, data)
        text = data.decode("utf-8-sig")  # a byte order mark at the beginning is no part of the first word
    except (OSError, UnicodeDecodeError, *DAMAGED) as error:
        raise InputError(
            f"{path} cannot be read: {error}", "Expected a text file, UTF-8, plain or .gz", "Check its name and content"
        ) from error
    lines = _LINE_END.split(text)
    if lines == [""]:
        raise InputError(f"{path} is empty", "Expected a line for each pair", "Check the file")
    return lines[:-1] if lines[-1] == "" else lines


def _check_encoding(path: str | Path, data: bytes) -> None:
    found = next((name for mark, name in _ENCODINGS if data.startswith(mark)), None)
    line = data[: data.index(0)].count(b"\n") + 1 if found is None and 0 in data else None
    if found is not None or line is not None:
        name = found or "UTF-16"
        raise InputError(
            f"{path} is {found}"
            if found
            else f"{path}, line {line}: it has a NUL character, which no text has; it may be UTF-16 without a byte-order mark",
            "Expected a text file, UTF-8, plain or .gz",
            f"Convert it: iconv -f {name}{'' if found else 'LE'} -t UTF-8 {path} > text.utf8",
        )


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
            f"{path}, line {number}: it has ||| {line.count('|||')} times, not once",
            "Expected source ||| target, since no second file is given",
            "Correct the line, or give two files",
        )
    return left, right


def _words(path: str | Path, number: int, text: str, cut: Cut) -> tuple[str, ...]:
    words = tuple(split_words(text) if cut == "spaces" else _MARKS.findall(text))
    if not words:
        raise InputError(
            f"{path}, line {number}: it has no words on one side",
            "Expected some words on both sides of every pair",
            "Remove the pair from every file, the gold links included",
        )
    return words
