"""Which words stand before a position, but not right before it: values of which a position has many."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ffmem.names.halves import N_QUARTERS
from ffmem.names.rules.ngrams import Ngrams
from ffmem.names.rules.text import Text

NEAR = 2
"""The last tokens of a prefix, which other families look at."""
MOST = 0.08
"""Words that stand before a larger share of positions say nothing of the 1 % at which a cell fires."""


@dataclass(frozen=True)
class Windows:
    """N-grams of up to three tokens that lie wholly in the last tokens of a prefix, without the last `NEAR`."""

    text: Text
    grams: tuple[Ngrams, ...]
    size: int
    """Tokens of the window, with the last ones."""

    @cached_property
    def offsets(self) -> np.ndarray:
        """(lengths,) added to the numbers of n-grams of each length."""
        return np.cumsum([0, *(one.n for one in self.grams)])[:-1]

    @property
    def n_values(self) -> int:
        """N-grams of all lengths."""
        return sum(one.n for one in self.grams)

    @cached_property
    def counts(self) -> np.ndarray:
        """(values, quarters) competing positions with the n-gram in their window."""
        return np.concatenate([self._covered(one) for one in self.grams])

    @cached_property
    def _tells(self) -> np.ndarray:
        """(values,) whether a value is rare enough to be looked at."""
        tells: np.ndarray = self.counts.sum(1) <= MOST * max(int(self.text.n_competing.sum()), 1)
        return tells

    def _covered(self, grams: Ngrams) -> np.ndarray:
        """Each occurrence covers the positions from `NEAR` after its end on, up to where the next one takes over."""
        text = self.text
        ends = np.flatnonzero(grams.at >= 0)
        number = grams.at[ends]
        order = np.argsort(number, kind="stable")
        ends, number = ends[order], number[order]
        last_of = np.flatnonzero(np.diff(text.sentence, append=-1))
        last = np.minimum(ends + self.size - grams.length, last_of[text.sentence[ends]])
        again = (number[1:] == number[:-1]) & (text.sentence[ends[1:]] == text.sentence[ends[:-1]])
        last[:-1] = np.where(again, np.minimum(last[:-1], ends[1:] + NEAR - 1), last[:-1])
        before = np.concatenate(([0], np.cumsum(text.competes)))
        covered = np.where(last >= ends + NEAR, before[last + 1] - before[np.minimum(ends + NEAR, len(text.token))], 0)
        keys = number.astype(np.int64) * N_QUARTERS + text.quarter[text.document[ends]]
        sums = np.bincount(keys, covered, minlength=grams.n * N_QUARTERS)
        return sums.astype(np.int64).reshape(grams.n, N_QUARTERS)

    def expand(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The values of positions: (place in ``positions``, value), each value once for a position, in order."""
        which, values = [], []
        for offset in range(NEAR, self.size):
            inside = np.flatnonzero(self.text.within[positions] >= offset)
            ends = positions[inside] - offset
            for grams, first in zip(self.grams, self.offsets.tolist(), strict=True):
                if offset + grams.length > self.size:
                    continue
                number = grams.at[ends].astype(np.int64)
                some = np.flatnonzero(number >= 0)
                value = number[some] + first
                some = some[self._tells[value]]
                which.append(inside[some])
                values.append(number[some] + first)
        if not which:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        keys = np.sort(np.concatenate(which) * self.n_values + np.concatenate(values))
        keys = keys[np.diff(keys, prepend=-1) > 0]
        return keys // self.n_values, keys % self.n_values

    def gram(self, value: int) -> tuple[Ngrams, int]:
        """The n-grams of a value's length, and its number among them."""
        length = int(np.searchsorted(self.offsets, value, side="right")) - 1
        return self.grams[length], int(value - self.offsets[length])
