"""Positions of the text that meet some conditions, a bit each: few are made one by one, many block by block.

So memory is an eighth of a byte for each token there is, and a block, whatever is asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from ffmem.queries.text_places import TextPlaces
from ffmem.store.document_runs import DocumentRuns
from ffmem.store.text import TextReader

_BLOCK = 1 << 20
"""Tokens looked at at a time; a multiple of 8."""
_ONE_BY_ONE = 1 << 21
"""Tokens of all runs up to which each is looked up by itself, and no other token of the text is read."""
MOST_RUNS = 2000
"""Runs that are kept; with more of them nobody looks at each."""


@dataclass(frozen=True)
class Marked:
    """The positions that meet all conditions."""

    bits: np.ndarray
    """Eight tokens a byte, the first in its lowest bit; at least one bit more than there are tokens, which is 0."""
    n_counted: int
    """How many there are, of those that compete: context before a window does not."""
    runs: tuple[np.ndarray, np.ndarray] | None
    """First token of each run of them, and the one after its last; None if there are more than `MOST_RUNS`."""


class Ranges(Protocol):
    """Positions that meet a condition, as ranges of token indices that do not overlap."""

    @property
    def n_tokens(self) -> int:
        """In all of them."""

    def within(self, first: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """First tokens and ends of the ranges, as far as they lie between two token indices; ascending."""

    def has(self, tokens: np.ndarray) -> np.ndarray:
        """Whether each token lies in one."""


@dataclass(frozen=True)
class OfPlaces:
    """Where sentences have a text: from the token on at which it is complete."""

    text: TextReader
    places: TextPlaces

    @cached_property
    def n_tokens(self) -> int:
        """See Ranges."""
        n = 0
        for at in range(0, len(self.places.sentences), _BLOCK):
            firsts, ends = self._ranges(slice(at, at + _BLOCK))
            n += int((ends - firsts).sum())
        return n

    def _ranges(self, some: slice) -> tuple[np.ndarray, np.ndarray]:
        sentences, starts = self.places.sentences[some].astype(np.int64), self.text.sentence_start
        return starts[sentences].astype(np.int64) + self.places.positions[some], starts[sentences + 1].astype(np.int64)

    def within(self, first: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """See Ranges."""
        bounds = np.searchsorted(self.text.sentence_start, np.array([first + 1, end], dtype=np.uint64))
        low, high = np.searchsorted(self.places.sentences, [int(bounds[0]) - 1, int(bounds[1])])
        return _clipped(*self._ranges(slice(low, high)), first, end)

    def has(self, tokens: np.ndarray) -> np.ndarray:
        """See Ranges."""
        sentences = self.text.sentence_of(tokens)
        found, known = np.zeros(len(tokens), dtype=bool), self.places.sentences
        at = np.searchsorted(known, sentences)
        there = np.flatnonzero(at < len(known))
        there = there[known[at[there]] == sentences[there]]
        positions = tokens[there] - self.text.sentence_start[sentences[there]].astype(np.int64)
        found[there] = positions >= self.places.positions[at[there]]
        return found


@dataclass(frozen=True)
class OfDocuments:
    """Every position of some documents."""

    text: TextReader
    runs: DocumentRuns
    chosen: np.ndarray
    """(documents,) whether each is one."""

    @cached_property
    def _ranges(self) -> tuple[np.ndarray, np.ndarray]:
        firsts, ends = self.runs.of_documents(self.chosen)
        starts = self.text.sentence_start
        return starts[firsts].astype(np.int64), starts[ends].astype(np.int64)

    @cached_property
    def n_tokens(self) -> int:
        """See Ranges."""
        firsts, ends = self._ranges
        return int((ends - firsts).sum())

    def within(self, first: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """See Ranges."""
        firsts, ends = self._ranges
        low, high = np.searchsorted(ends, first, side="right"), np.searchsorted(firsts, end)
        return _clipped(firsts[low:high], ends[low:high], first, end)

    def has(self, tokens: np.ndarray) -> np.ndarray:
        """See Ranges."""
        found: np.ndarray = self.chosen[self.runs.of(self.text.sentence_of(tokens))]
        return found


@dataclass(frozen=True)
class Sought:
    """What a position must meet."""

    ranges: Sequence[Ranges]
    """It lies in one of each of these."""
    fires_on: int | None = None
    """Its own token."""
    next_token: int | None = None
    """The token after it in its sentence."""


def mark(text: TextReader, n_sentences: int, sought: Sought) -> Marked:
    """The positions of the first ``n_sentences`` sentences that meet everything."""
    n_indexed = int(text.sentence_start[n_sentences])
    fewest = min(sought.ranges, key=lambda one: one.n_tokens, default=None)
    if fewest is not None and fewest.n_tokens <= _ONE_BY_ONE:
        return _one_by_one(text, n_indexed, sought, fewest)
    return _by_blocks(text, n_indexed, sought)


def _one_by_one(text: TextReader, n_indexed: int, sought: Sought, fewest: Ranges) -> Marked:
    firsts, ends = fewest.within(0, n_indexed)
    lengths = ends - firsts
    tokens = np.arange(lengths.sum()) + np.repeat(firsts - (np.cumsum(lengths) - lengths), lengths)
    for one in sought.ranges:
        if one is not fewest:
            tokens = tokens[one.has(tokens)]
    if sought.fires_on is not None:
        tokens = tokens[text.token_id[tokens] == sought.fires_on]
    if sought.next_token is not None:
        tokens = tokens[text.following(tokens) == sought.next_token]
    bits = np.zeros(len(text.token_id) // 8 + 1, dtype=np.uint8)
    if len(tokens):
        begins = np.flatnonzero(np.diff(tokens >> 3, prepend=-1))
        values = np.left_shift(1, tokens & 7).astype(np.uint8)
        bits[tokens[begins] >> 3] = np.bitwise_or.reduceat(values, begins)
    begins = np.flatnonzero(np.diff(tokens, prepend=-2) != 1)
    runs = tokens[begins], tokens[np.append(begins[1:], len(tokens))[: len(begins)] - 1] + 1
    n_counted = len(tokens)
    if text.context is not None:
        sentences = text.sentence_of(tokens)
        positions = tokens - text.sentence_start[sentences].astype(np.int64)
        n_counted -= int(np.count_nonzero(positions < text.context[sentences]))
    return Marked(bits, n_counted, runs if len(begins) <= MOST_RUNS else None)


def _by_blocks(text: TextReader, n_indexed: int, sought: Sought) -> Marked:
    bits, n_counted = np.zeros(len(text.token_id) // 8 + 1, dtype=np.uint8), 0
    firsts: list[np.ndarray] | None = []
    ends: list[np.ndarray] = []
    n_runs, was_marked = 0, False
    for first in range(0, n_indexed, _BLOCK):
        end = min(first + _BLOCK, n_indexed)
        mask = np.ones(end - first, dtype=bool)
        for one in sought.ranges:
            mask &= _filled(*one.within(first, end), first, end)
        if sought.fires_on is not None:
            mask &= text.token_id[first:end] == sought.fires_on
        if sought.next_token is not None:
            mask &= _followed_by(text, sought.next_token, first, end)
        packed = np.packbits(mask, bitorder="little")
        bits[first // 8 : first // 8 + len(packed)] = packed
        n_counted += int(np.count_nonzero(mask)) - _n_of_context(text, mask, first, end)
        if firsts is not None:
            changes = first + np.flatnonzero(np.diff(mask, prepend=was_marked))
            begins = changes[int(was_marked) :: 2]
            firsts.append(begins)
            ends.append(changes[int(not was_marked) :: 2])
            n_runs, was_marked = n_runs + len(begins), bool(mask[-1])
            firsts = firsts if n_runs <= MOST_RUNS else None
    if firsts is None:
        return Marked(bits, n_counted, None)
    ends += [np.array([n_indexed])] if was_marked else []
    nothing = np.zeros(0, dtype=np.int64)
    runs = np.concatenate([nothing, *firsts]), np.concatenate([nothing, *ends])
    return Marked(bits, n_counted, runs)


def _clipped(firsts: np.ndarray, ends: np.ndarray, first: int, end: int) -> tuple[np.ndarray, np.ndarray]:
    firsts, ends = np.maximum(firsts, first), np.minimum(ends, end)
    some = firsts < ends
    return firsts[some], ends[some]


def _filled(firsts: np.ndarray, ends: np.ndarray, first: int, end: int) -> np.ndarray:
    """For each token from ``first`` up to ``end``, whether it lies in a range."""
    change = np.zeros(end - first + 1, dtype=np.int8)
    change[firsts - first] = 1
    change[ends - first] -= 1  # where one ends and the next begins, they cancel out
    return np.cumsum(change[:-1], dtype=np.int8).view(bool)


def _followed_by(text: TextReader, token: int, first: int, end: int) -> np.ndarray:
    """For each token from ``first`` up to ``end``, whether this one follows it in its sentence."""
    found = np.zeros(end - first, dtype=bool)
    following = text.token_id[first + 1 : end + 1] == token
    found[: len(following)] = following
    low, high = np.searchsorted(text.sentence_start, np.array([first + 1, end + 1], dtype=np.uint64))
    found[text.sentence_start[low:high].astype(np.int64) - 1 - first] = False  # nothing follows the last of a sentence
    return found


def _n_of_context(text: TextReader, mask: np.ndarray, first: int, end: int) -> int:
    """How many of the marked tokens of a block only stand before others."""
    if text.context is None:
        return 0
    bounds = np.searchsorted(text.sentence_start, np.array([first + 1, end], dtype=np.uint64))
    low, high = int(bounds[0]) - 1, int(bounds[1])
    starts = text.sentence_start[low:high].astype(np.int64)
    ranges = _clipped(starts, starts + text.context[low:high], first, end)
    return int(np.count_nonzero(mask & _filled(*ranges, first, end)))
