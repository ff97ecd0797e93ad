"""The tokens of an index as arrays: where prefixes end, which of them compete, and random ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int64

from ffmem.store.reader import Index

BLOCK_TOKENS = 2**20
"""About how many tokens are looked at together."""


@dataclass(frozen=True)
class Tokens:
    """The tokens of indexed and held-out sentences. A prefix is named by the token index that it ends with."""

    token_id: np.ndarray
    """(tokens,) by token index."""
    first_byte: np.ndarray
    """(tokens,) where each begins in its sentence."""
    end_byte: np.ndarray
    """(tokens,) the byte after its last one."""
    start: Int64[np.ndarray, "sentences_and_one"]
    """Token index of each sentence's first token."""
    n_sentences: int
    """Indexed ones; held-out sentences follow."""
    n_skipped: Int64[np.ndarray, "sentences"]
    """How many of a sentence's first positions no cell can have as a trigger."""

    @classmethod
    def of(cls, index: Index) -> "Tokens":
        """Those of an index."""
        text = index.text
        skipped = np.full(text.n_all_sentences, index.manifest.options.skip_first, dtype=np.int64)
        if text.context is not None:
            skipped = np.maximum(skipped, text.context.astype(np.int64))
        start = text.sentence_start.astype(np.int64)
        return cls(text.token_id, text.token_start, text.token_end, start, text.n_sentences, skipped)

    def sentence_of(self, ends: Int64[np.ndarray, "n"]) -> Int64[np.ndarray, "n"]:
        """The sentences that prefixes are of."""
        sentences: np.ndarray = np.searchsorted(self.start, ends, side="right") - 1
        return sentences

    def position_of(self, ends: Int64[np.ndarray, "n"]) -> Int64[np.ndarray, "n"]:
        """The positions that prefixes end at, from 0."""
        positions: np.ndarray = ends - self.start[self.sentence_of(ends)]
        return positions

    def joined(self, ends: Int64[np.ndarray, "n"]) -> Bool[np.ndarray, "n"]:
        """Whether the last token begins where the one before it ends."""
        touches: np.ndarray = self.first_byte[ends] == self.end_byte[np.maximum(ends - 1, 0)]
        return touches & (self.position_of(ends) > 0)

    @cached_property
    def n_competing(self) -> Int64[np.ndarray, "indexed_sentences"]:
        """How many positions of each indexed sentence can be a trigger."""
        n = self.n_sentences
        found: np.ndarray = np.maximum(np.diff(self.start[: n + 1]) - self.n_skipped[:n], 0)
        return found

    @cached_property
    def n_prefixes(self) -> int:
        """Indexed positions that can be a trigger: what chance draws from."""
        return int(self.n_competing.sum())

    def blocks(self) -> Iterator[Int64[np.ndarray, "some"]]:
        """All indexed positions that can be a trigger, whole sentences at a time, in order."""
        first = 0
        while first < self.n_sentences:
            after = int(np.searchsorted(self.start, self.start[first] + BLOCK_TOKENS, side="right")) - 1
            end = min(max(after, first + 1), self.n_sentences)
            yield ragged(self.start[first:end] + self.n_skipped[first:end], self.n_competing[first:end])
            first = end

    def random(self, n: int, rng: np.random.Generator) -> Int64[np.ndarray, "n"]:
        """Random indexed positions that can be a trigger, drawn evenly and independently."""
        ends = self.n_competing.cumsum()
        drawn = rng.integers(0, self.n_prefixes, n)
        sentence = np.searchsorted(ends, drawn, side="right")
        within = drawn - (ends[sentence] - self.n_competing[sentence])
        places: np.ndarray = self.start[sentence] + self.n_skipped[sentence] + within
        return places

    def prefix_hash(self, ends: Int64[np.ndarray, "n"]) -> np.ndarray:
        """A number for each prefix, the same for prefixes of the same tokens."""
        different, numbers = np.unique(ends, return_inverse=True)
        lengths = self.position_of(different) + 1
        places = ragged(different - lengths + 1, lengths)
        offsets = np.arange(len(places)) - np.repeat(lengths.cumsum() - lengths, lengths)
        mixed = mix(self.token_id[places].astype(np.uint64) + mix(offsets.astype(np.uint64)))
        found = np.add.reduceat(mixed, lengths.cumsum() - lengths) if len(different) else mixed
        return found[numbers]


def mix(numbers: np.ndarray) -> np.ndarray:
    """uint64 -> uint64, one to one, in which every bit depends on every bit (the finaliser of MurmurHash3)."""
    numbers = numbers ^ (numbers >> np.uint64(33))
    numbers = numbers * np.uint64(0xFF51AFD7ED558CCD)
    numbers ^= numbers >> np.uint64(33)
    numbers *= np.uint64(0xC4CEB9FE1A85EC53)
    numbers ^= numbers >> np.uint64(33)
    return numbers


def ragged(first: Int64[np.ndarray, "n"], lengths: Int64[np.ndarray, "n"]) -> Int64[np.ndarray, "all"]:
    """The ranges first .. first + length - 1, one after the other."""
    before = lengths.cumsum() - lengths
    places: np.ndarray = np.arange(int(lengths.sum())) + np.repeat(first - before, lengths)
    return places
