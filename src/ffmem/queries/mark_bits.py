"""Positions of the text that meet some conditions, a bit each.

If only places are asked for, whole runs are set; if tokens are, too, few are looked at one by one, many block by block.

So memory is an eighth of a byte for each token there is, and a block, whatever is asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from ffmem.queries.runs import KeptRuns, Runs, both, clipped, joined, set_bits
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
    runs: Runs | None
    """None if there are more than `MOST_RUNS`."""


class Ranges(Protocol):
    """Positions that meet a condition, as ranges of token indices that do not overlap."""

    @property
    def n_tokens(self) -> int:
        """In all of them."""

    def within(self, first: int, end: int) -> Runs:
        """The ranges, as far as they lie between two token indices."""

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

    def _ranges(self, some: slice) -> Runs:
        sentences, starts = self.places.sentences[some].astype(np.int64), self.text.sentence_start
        return starts[sentences].astype(np.int64) + self.places.positions[some], starts[sentences + 1].astype(np.int64)

    def within(self, first: int, end: int) -> Runs:
        """See Ranges."""
        bounds = _sentences(self.text, first, end)
        low, high = np.searchsorted(self.places.sentences, np.array(bounds, dtype=self.places.sentences.dtype))
        return clipped(*self._ranges(slice(low, high)), first, end)

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
    def _ranges(self) -> Runs:
        firsts, ends = self.runs.of_documents(self.chosen)
        starts = self.text.sentence_start
        return starts[firsts].astype(np.int64), starts[ends].astype(np.int64)

    @cached_property
    def n_tokens(self) -> int:
        """See Ranges."""
        firsts, ends = self._ranges
        return int((ends - firsts).sum())

    def within(self, first: int, end: int) -> Runs:
        """See Ranges."""
        firsts, ends = self._ranges
        low, high = np.searchsorted(ends, first, side="right"), np.searchsorted(firsts, end)
        return clipped(firsts[low:high], ends[low:high], first, end)

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
    if sought.ranges and sought.fires_on is None and sought.next_token is None:
        return _of_ranges(text, n_indexed, sought.ranges)
    fewest = min(sought.ranges, key=lambda one: one.n_tokens, default=None)
    if fewest is not None and fewest.n_tokens <= _ONE_BY_ONE:
        return _one_by_one(text, n_indexed, sought, fewest)
    return _by_blocks(text, n_indexed, sought)


def _of_ranges(text: TextReader, n_indexed: int, ranges: Sequence[Ranges]) -> Marked:
    bits, n_counted, runs = _no_bits(text), 0, KeptRuns(MOST_RUNS)
    for first in range(0, n_indexed, _BLOCK):
        end = min(first + _BLOCK, n_indexed)
        found = ranges[0].within(first, end)
        for one in ranges[1:]:
            found = both(found, one.within(first, end))
        if not len(found[0]):
            continue
        firsts, ends = joined(*found)
        set_bits(bits, firsts, ends)
        n_counted += int((ends - firsts).sum())
        if text.context is not None:
            begins, stops = both((firsts, ends), _of_context(text, text.context, first, end))
            n_counted -= int((stops - begins).sum())
        runs.add(firsts, ends)
    return Marked(bits, n_counted, runs.all)


def _one_by_one(text: TextReader, n_indexed: int, sought: Sought, fewest: Ranges) -> Marked:
    firsts, ends = fewest.within(0, n_indexed)
    lengths = ends - firsts
    tokens = np.arange(lengths.sum()) + np.repeat(firsts - (np.cumsum(lengths) - lengths), lengths)
    if sought.fires_on is not None:
        tokens = tokens[text.token_id[tokens] == sought.fires_on]
    for one in sought.ranges:
        if one is not fewest:
            tokens = tokens[one.has(tokens)]
    if sought.next_token is not None:
        tokens = tokens[text.following(tokens) == sought.next_token]
    bits, (firsts, ends) = _no_bits(text), joined(tokens, tokens + 1)
    set_bits(bits, firsts, ends)
    n_counted = len(tokens)
    if text.context is not None:
        sentences = text.sentence_of(tokens)
        positions = tokens - text.sentence_start[sentences].astype(np.int64)
        n_counted -= int(np.count_nonzero(positions < text.context[sentences]))
    return Marked(bits, n_counted, (firsts, ends) if len(firsts) <= MOST_RUNS else None)


def _by_blocks(text: TextReader, n_indexed: int, sought: Sought) -> Marked:
    bits, n_counted, runs = _no_bits(text), 0, KeptRuns(MOST_RUNS)
    for first in range(0, n_indexed, _BLOCK):
        end = min(first + _BLOCK, n_indexed)
        mask = np.ones(end - first, dtype=bool)
        if sought.fires_on is not None:
            mask &= text.token_id[first:end] == sought.fires_on
        if sought.next_token is not None:
            mask &= _followed_by(text, sought.next_token, first, end)
        for one in sought.ranges:
            mask &= _filled(*one.within(first, end), first, end)
        packed = np.packbits(mask, bitorder="little")
        bits[first // 8 : first // 8 + len(packed)] = packed
        n_counted += int(np.count_nonzero(mask))
        if text.context is not None:
            before = _filled(*_of_context(text, text.context, first, end), first, end)
            n_counted -= int(np.count_nonzero(mask & before))
        if runs.few:
            changes = first + np.flatnonzero(np.diff(mask, prepend=False, append=False))
            runs.add(changes[::2], changes[1::2])
    return Marked(bits, n_counted, runs.all)


def _no_bits(text: TextReader) -> np.ndarray:
    return np.zeros(len(text.token_id) // 8 + 1, dtype=np.uint8)


def _sentences(text: TextReader, first: int, end: int) -> tuple[int, int]:
    """Those that have tokens between two token indices: the first, and the one after the last."""
    low, high = np.searchsorted(text.sentence_start, np.array([first + 1, end], dtype=np.uint64))
    return int(low) - 1, int(high)


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


def _of_context(text: TextReader, context: np.ndarray, first: int, end: int) -> Runs:
    """The tokens that only stand before others, as far as they lie between two token indices."""
    low, high = _sentences(text, first, end)
    starts = text.sentence_start[low:high].astype(np.int64)
    return clipped(starts, starts + context[low:high], first, end)
