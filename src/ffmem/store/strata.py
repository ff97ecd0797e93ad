"""The strata of a cell's sample: half octaves below its largest coefficient, and by which lot a position is kept.

For each sign nine strata: 0 to 7 are half octaves, counted down from that of the largest coefficient of this sign; 8 is all
below. One more, the last, is silent: what has none of the signs. Of each stratum those are kept whose lots are highest.
"""

import numpy as np

from ffmem.store.keys import join

N_HALF_OCTAVES = 8
N_ACTIVE = N_HALF_OCTAVES + 1
"""Strata of a sign."""
BIN_SHIFT = 22
"""The bits of a positive float32, shifted right by so many, are its bin: exponent and first bit of the mantissa."""
NO_BIN = -1
"""In place of the bin of a largest coefficient that is not positive: every bin lies above."""
LOT_BITS = 31
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_STEP = np.uint64(0x9E3779B97F4A7C15)


def n_strata(n_signs: int) -> int:
    """Strata of a cell."""
    return N_ACTIVE * n_signs + 1


def bins_of(coefficients: np.ndarray) -> np.ndarray:
    """The bin of each coefficient (int32); NO_BIN where it is not positive."""
    bits = np.ascontiguousarray(coefficients).view(np.int32)
    return np.where(bits > 0, bits >> BIN_SHIFT, np.int32(NO_BIN))


def strata_of(coefficients: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """The stratum of each coefficient.

    Args:
        coefficients: of some positions of each cell.
        largest: of each sign the largest coefficient times this sign that each cell has anywhere, (n_signs, *cells).
    """
    found = np.full(coefficients.shape, n_strata(len(largest)) - 1, dtype=np.int32)
    for number, of_sign in enumerate(largest):
        bins, top = bins_of(-coefficients if number else coefficients), bins_of(of_sign)
        below = np.clip(top[..., None] - bins, 0, N_HALF_OCTAVES) + number * N_ACTIVE
        found = np.where(bins != NO_BIN, below, found).astype(np.int32)
    return found


def bounds(largest: float, stratum: int) -> tuple[float, float]:
    """Between which sizes the coefficients of a stratum lie: the first can be reached, the second only in the first stratum.

    Args:
        largest: the largest coefficient times the sign, above 0.
        stratum: from 0, of this sign.
    """
    top = int(bins_of(np.array([largest], dtype=np.float32))[0])
    low = _edge(top - stratum) if stratum < N_HALF_OCTAVES else 0.0
    return low, float(largest) if stratum == 0 else _edge(top - stratum + 1)


def _edge(number: int) -> float:
    """Where a bin begins."""
    return float(np.array([max(number, 0) << BIN_SHIFT], dtype=np.int32).view(np.float32)[0])


def sentence_digests(token_ids: np.ndarray, ends: np.ndarray, seed: int) -> np.ndarray:
    """A number for each sentence that its tokens and the seed alone decide.

    Args:
        token_ids: of one sentence after the other.
        ends: how many of them lie before the end of each sentence.
        seed: another one gives other numbers.
    """
    starts = np.concatenate(([0], ends[:-1])).astype(np.int64)
    place = np.arange(len(token_ids), dtype=np.uint64) - np.repeat(starts, ends - starts).astype(np.uint64)
    mixed = _mixed(token_ids.astype(np.uint64) + (place << np.uint64(32)) + _STEP)
    sums = np.concatenate((np.zeros(1, dtype=np.uint64), np.cumsum(mixed, dtype=np.uint64)))
    return _mixed(sums[ends] - sums[starts] + _mixed(np.array([seed], dtype=np.uint64)))


def sample_keys(digests: np.ndarray, positions: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """The keys that positions compete with for a sample, the largest of which are kept: of all strata alike.

    In the upper half is the position's lot, which sentence and position decide, whatever the sentence's place in the corpus; so
    that two indexes keep together what one over both would. In the lower half, as in those of triggers, is the token.

    Args:
        digests: of their sentences: see `sentence_digests`.
        positions: in their sentences, from 0.
        tokens: their token indices.
    """
    mixed = _mixed(digests + positions.astype(np.uint64) * _STEP)
    lots = (mixed >> np.uint64(64 - LOT_BITS)).astype(np.int64)
    return join(lots, tokens.astype(np.int64))


def _mixed(numbers: np.ndarray) -> np.ndarray:
    """Each number's bits, well shuffled (the last steps of splitmix64)."""
    first, second = _MIX
    mixed = (numbers ^ (numbers >> np.uint64(30))) * first
    mixed = (mixed ^ (mixed >> np.uint64(27))) * second
    result: np.ndarray = mixed ^ (mixed >> np.uint64(31))
    return result
