"""Runs of token indices, ascending and apart: cut, joined, had by two at once, and set as bits. Arrays in, arrays out."""

import numpy as np

Runs = tuple[np.ndarray, np.ndarray]
"""First token of each run, and the one after its last."""


class KeptRuns:
    """Runs that come part by part, as long as they are few.

    Args:
        most: so many are kept; with more of them none is.
    """

    def __init__(self, most: int) -> None:
        self._most, self._parts, self._n, self._last = most, [no_runs()], 0, -1
        self.few = True
        """Whether they are kept so far."""

    def add(self, firsts: np.ndarray, ends: np.ndarray) -> None:
        """Those that follow; the first may go on where the last one ended."""
        if not self.few or not len(firsts):
            return
        self._n += len(firsts) - int(firsts[0] == self._last)
        self._last, self.few = int(ends[-1]), self._n <= self._most
        self._parts.append((firsts, ends))
        if not self.few:
            self._parts.clear()

    @property
    def all(self) -> Runs | None:
        """None if there are too many."""
        if not self.few:
            return None
        firsts, ends = zip(*self._parts, strict=True)
        return joined(np.concatenate(firsts), np.concatenate(ends))


def no_runs() -> Runs:
    """None at all."""
    return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)


def clipped(firsts: np.ndarray, ends: np.ndarray, first: int, end: int) -> Runs:
    """As far as they lie between two token indices."""
    firsts, ends = np.maximum(firsts, first), np.minimum(ends, end)
    some = firsts < ends
    return firsts[some], ends[some]


def joined(firsts: np.ndarray, ends: np.ndarray) -> Runs:
    """Where one ends and the next begins there is one."""
    if not len(firsts):
        return firsts, ends
    apart = firsts[1:] != ends[:-1]
    return firsts[np.append(True, apart)], ends[np.append(apart, True)]


def both(one: Runs, other: Runs) -> Runs:
    """What lies in a run of each."""
    low, high = np.searchsorted(other[1], one[0], side="right"), np.searchsorted(other[0], one[1])
    counts = np.maximum(high - low, 0)
    which = np.repeat(np.arange(len(counts)), counts)
    at = np.arange(len(which)) + np.repeat(low - (np.cumsum(counts) - counts), counts)
    return np.maximum(one[0][which], other[0][at]), np.minimum(one[1][which], other[1][at])


def set_bits(bits: np.ndarray, firsts: np.ndarray, ends: np.ndarray) -> None:
    """Set the bit of every token of some runs, the lowest of a byte first.

    Cost: memory for each byte that a run fills.
    """
    low, high = firsts >> 3, (ends - 1) >> 3
    from_first, to_last = 0xFF << (firsts & 7), 0xFF >> (7 - ((ends - 1) & 7))
    inside = low == high
    np.bitwise_or.at(bits, low, (from_first & np.where(inside, to_last, 0xFF)).astype(np.uint8))
    np.bitwise_or.at(bits, high, (to_last & np.where(inside, from_first, 0xFF)).astype(np.uint8))
    n_whole = np.maximum(high - low - 1, 0)
    bits[np.arange(n_whole.sum()) + np.repeat(low + 1 - (np.cumsum(n_whole) - n_whole), n_whole)] = 0xFF
