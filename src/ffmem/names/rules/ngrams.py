"""N-grams of folded tokens as numbers: those that are frequent enough to name something."""

from dataclasses import dataclass

import numpy as np

from ffmem.names.rules.text import Text

FEWEST = 5
"""A value that stands at fewer positions tells nothing."""
LONGEST = 4


@dataclass(frozen=True)
class Ngrams:
    """The n-grams of one length that occur `FEWEST` times or more."""

    length: int
    at: np.ndarray
    """(n,) number of the n-gram that ends at each position, -1 for a rare one, and where the sentence is too short."""
    example: np.ndarray
    """(n-grams,) the first position that each ends at."""

    @property
    def n(self) -> int:
        """How many there are."""
        return len(self.example)


def ngrams(text: Text, fold: np.ndarray, longest: int = LONGEST) -> tuple[Ngrams, ...]:
    """Of each length from 1 to the longest.

    Args:
        text: the text.
        fold: (n,) number of the folded token at each position.
        longest: tokens of the longest n-grams.

    Cost: a sort of those positions of the text that a frequent n-gram of one token less ends at, for each length.
    """
    found: list[Ngrams] = []
    for length in range(1, longest + 1):
        places = np.flatnonzero(text.within >= length - 1)
        keys = fold[places].astype(np.int64)
        if found:
            # a frequent n-gram begins with a frequent one, and ends with one
            begin, end = found[-1].at[places - 1].astype(np.int64), found[-1].at[places]
            frequent = (begin >= 0) & (end >= 0)
            places, keys = places[frequent], begin[frequent] * (int(fold.max(initial=0)) + 1) + keys[frequent]
        found.append(_numbered(length, places, keys, len(fold)))
    return tuple(found)


def _numbered(length: int, places: np.ndarray, keys: np.ndarray, n: int) -> Ngrams:
    _, first, numbers, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    kept = counts >= FEWEST
    dense = np.where(kept, np.cumsum(kept) - 1, -1).astype(np.int32)
    at = np.full(n, -1, dtype=np.int32)
    at[places] = dense[numbers]
    return Ngrams(length, at, places[first[kept]])
