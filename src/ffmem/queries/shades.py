"""The coefficient of a cell at every token of its triggers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ffmem.cell import Trigger
from ffmem.ids import CellId
from ffmem.json_values import Record
from ffmem.store.reader import Index
from ffmem.store.text import SentenceRow

_BEFORE, _AFTER = 90, 40
"""Tokens that are shown around the firing one."""


@dataclass(frozen=True)
class Piece:
    """A token of a sentence, or text between tokens."""

    text: str
    coefficient: float | None
    """None between tokens."""
    share: float
    """|coefficient| as a share of the cell's largest of that sign; 0 between tokens."""
    place: str
    """"before", "firing" or "after"."""


@dataclass(frozen=True)
class ShadedTrigger(Record):
    """A trigger, token by token."""

    sign: int
    rank: int
    sentence_id: int
    pieces: tuple[Piece, ...]


def shaded_triggers(
    index: Index, cell: CellId, triggers: Sequence[Trigger], coefficients: Mapping[int, np.ndarray]
) -> tuple[ShadedTrigger, ...]:
    """Triggers of a cell token by token.

    Args:
        index: an opened index.
        cell: one of its cells.
        triggers: some of its triggers.
        coefficients: of each of their sentences, by its id, the cell's coefficient at every token.
    """
    statistics = index.statistics(cell)
    extremes = statistics.minimum, statistics.maximum
    return tuple(
        ShadedTrigger(
            one.sign,
            one.rank,
            one.sentence_id,
            tuple(
                _pieces(
                    index.text.sentence(one.sentence_id),
                    coefficients[one.sentence_id].tolist(),
                    one.position,
                    extremes,
                )
            ),
        )
        for one in triggers
    )


def _pieces(
    sentence: SentenceRow, coefficients: list[float], position: int, extremes: tuple[float, float]
) -> Iterator[Piece]:
    """Tokens that share a character stand as one, with the strongest coefficient."""
    data = sentence.text.encode()
    lowest, largest = extremes
    at = None
    for first, last, tokens in _whole_characters(data, sentence):
        if last <= position - _BEFORE or first > position + _AFTER:
            continue
        start, end = tokens
        place = "before" if last < position else "after" if first > position else "firing"
        if at is None:
            at = start
            if first > 0:
                yield Piece("…", None, 0.0, "before")
        if start > at:
            yield Piece(data[at:start].decode(), None, 0.0, "before" if first <= position else "after")
        strongest = max(coefficients[first : last + 1], key=abs)
        bound = largest if strongest > 0 else lowest
        yield Piece(data[start:end].decode(), strongest, min(1.0, strongest / bound) if bound else 0.0, place)
        at = end
    if at is not None and at < len(data):
        yield Piece(data[at:].decode()[:200], None, 0.0, "after")


def _whole_characters(data: bytes, sentence: SentenceRow) -> Iterator[tuple[int, int, tuple[int, int]]]:
    """(first token, last token, (first byte, byte after the last)) of runs of tokens that are whole characters."""
    starts, ends = sentence.token_starts.tolist(), sentence.token_ends.tolist()
    first = 0
    for number, end in enumerate(ends):
        whole = end >= len(data) or data[end] & 0xC0 != 0x80
        follows = number + 1 < len(ends) and starts[number + 1] < end
        if (whole and not follows) or number + 1 == len(ends):
            start = min(starts[first : number + 1])
            while start > 0 and data[start] & 0xC0 == 0x80:
                start -= 1
            stop = max(ends[first : number + 1])
            while stop < len(data) and data[stop] & 0xC0 == 0x80:
                stop += 1
            yield first, number, (start, stop)
            first = number + 1
