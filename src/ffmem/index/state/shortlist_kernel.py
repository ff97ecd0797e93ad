"""The inner loops of projecting values on a CPU, compiled: near vectors, cheap scores and exact ones.

Arrays in, arrays out; knows no model. What is exact here, and why a token may be left out, `scan/shortlist.py` says;
`race_kernel.py` goes through the tokens.

Floats are compared as whole numbers that are in the same order: of these, loops for the largest become vector instructions.
Short loops that should are over places that cannot be negative (unsigned), or given slices; a slice costs as much as fifty
numbers.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from ffmem.store.keys import NO_TOKEN, SHIFT

BLOCK = 64
"""Neighbouring tokens that are left out together."""
LANES = 32
_BLOCK, _LANE, _TWO = np.uint64(BLOCK), np.uint64(LANES), np.uint64(2 * LANES)
_NO_TOKEN, _SHIFT = np.int64(NO_TOKEN), np.int64(SHIFT)
_SIGN_PLACE, _ALL_BUT_SIGN = np.int32(31), np.int32(0x7FFFFFFF)
_ROUNDING = 2.0**-22


class Tokens(NamedTuple):
    """The vectors that score the tokens, and what their cheap scores may be off by."""

    vectors: np.ndarray
    """float32 (d_vocab, d_model)."""
    unit: np.ndarray
    """float32 (d_vocab): what a product is multiplied with to be a cheap score."""
    residual: np.ndarray
    """float32 (d_vocab)."""
    length: np.ndarray
    """float32 (d_vocab)."""
    block_residual: np.ndarray
    """float32 (blocks): the largest of a block."""
    block_length: np.ndarray
    """float32 (blocks)."""


class Rows(NamedTuple):
    """Some values.

    A score is off from offset + unit x cheap score by no more than unit x (per_residual x residual of the token + per_length x
    length of the token) + slack.
    """

    vectors: np.ndarray
    """float32 (rows, d_model)."""
    unit: np.ndarray
    """float64 (rows); 0 for a row of zeros."""
    offset: np.ndarray
    """float64 (rows)."""
    slack: np.ndarray
    """float64 (rows)."""
    gap: np.ndarray
    """float32 (rows): between bounds of two cheap scores, so that the scores differ in float32 (see `shortlist`)."""
    per_residual: np.ndarray
    """float32 (rows)."""
    per_length: np.ndarray
    """float32 (rows)."""


@njit(cache=True, nogil=True)
def quantise(vectors, codes, unit, residual, length):
    """Nearest whole numbers from -127 to 127 in a unit of each vector's own, and what that leaves.

    Args:
        vectors: float32 (n, d), finite.
        codes: int8 (n, d), filled; codes x unit are the rounded vectors.
        unit: float64 (n), filled; 0 for a vector of zeros.
        residual: float64 (n), filled: lengths of vectors less rounded vectors.
        length: float64 (n), filled: lengths of the rounded vectors.
    """
    for row in range(len(vectors)):
        vector, whole = vectors[row], codes[row]
        most = np.float32(0)
        for at in range(len(vector)):
            most = max(most, abs(vector[at]))
        unit[row] = np.float64(most) / 127
        inverse = 1 / unit[row] if most > 0 else 0.0
        left = squares = 0.0
        for at in range(len(vector)):
            code = np.rint(vector[at] * inverse)
            whole[at] = np.int8(code)
            left += (vector[at] - code * unit[row]) ** 2
            squares += (code * unit[row]) ** 2
        residual[row], length[row] = np.sqrt(left), np.sqrt(squares)


@njit(cache=True, nogil=True)
def _ordered(score):
    """A float32 as an int32 that is in the same order."""
    bits = np.float32(score).view(np.int32)
    return np.int32(bits ^ ((bits >> _SIGN_PLACE) & _ALL_BUT_SIGN))


@njit(cache=True, nogil=True)
def largest(products, unit, most):
    """The largest cheap score in size of each block of tokens.

    Args:
        products: int32 or float32 (tokens).
        unit: float32 (tokens).
        most: float32 (blocks), filled.
    """
    for block in range(np.uint64(len(most))):
        start = block * _BLOCK
        stop = min(start + _BLOCK, np.uint64(len(products)))
        bits = np.int32(0)
        for at in range(start, stop):
            score = np.float32(np.float32(products[at]) * unit[at])
            bits = max(bits, np.int32(score.view(np.int32) & _ALL_BUT_SIGN))
        most[block] = np.int32(bits).view(np.float32)


@njit(cache=True, nogil=True)
def upper_bounds(products, unit, residual, length, start, stop, sign, wide, long, floor, upper):
    """Fill in the upper bounds of some cheap scores, times a sign, and count those that reach a floor."""
    hits = np.int32(0)
    for at in range(np.uint64(stop - start)):
        token = start + at
        score = sign * (np.float32(products[token]) * unit[token]) + (wide * residual[token] + long * length[token])
        upper[at] = score
        hits += np.int32(score >= floor)
    return hits


@njit(cache=True, nogil=True)
def exact(rows, row, vectors, token, lanes):
    """The product of a row and a vector, summed in float64 in an order that no processor changes.

    Args:
        rows: float32 (rows, d).
        row: which of them.
        vectors: float32 (d_vocab, d).
        token: which of them.
        lanes: float64 (32), of any content.
    """
    lanes[:] = 0.0
    row, token, width = np.uint64(row), np.uint64(token), np.uint64(rows.shape[1])
    whole = width // _LANE * _LANE
    twice = whole // _TWO * _TWO
    for start in range(
        np.uint64(0), twice, _TWO
    ):  # two of a lane at once: half the way to memory and back, the same sum
        for lane in range(_LANE):
            at = start + lane
            after = at + _LANE
            one = lanes[lane] + np.float64(rows[row, at]) * np.float64(vectors[token, at])
            lanes[lane] = one + np.float64(rows[row, after]) * np.float64(vectors[token, after])
    for start in range(twice, whole, _LANE):
        for lane in range(_LANE):
            lanes[lane] += np.float64(rows[row, start + lane]) * np.float64(vectors[token, start + lane])
    for at in range(whole, width):
        lanes[at - whole] += np.float64(rows[row, at]) * np.float64(vectors[token, at])
    total = 0.0
    for lane in range(LANES):
        total += lanes[lane]
    return total


@njit(cache=True, nogil=True)
def exact_key(sign, rows, row, vectors, token, lanes):
    """The key of a score, times a sign: orders by score, then by smaller token id, as `promoted._keys` has it."""
    # 0.0 is added so that -0.0 and 0.0 tie
    score = np.float32(sign * np.float32(exact(rows, row, vectors, token, lanes))) + np.float32(0.0)
    return (np.int64(_ordered(score)) << _SHIFT) | (_NO_TOKEN - np.int64(token))


@njit(cache=True, nogil=True)
def floor_of(key, sign, offset, slack, unit):
    """What the upper bound of a cheap score must reach, so that the score, rounded to float32, can reach that of a key."""
    ordered = np.int32(key >> _SHIFT)
    least = np.float64(np.int32(ordered ^ ((ordered >> _SIGN_PLACE) & _ALL_BUT_SIGN)).view(np.float32))
    return np.float32((least - sign * offset - abs(least) * _ROUNDING - slack) / unit)
