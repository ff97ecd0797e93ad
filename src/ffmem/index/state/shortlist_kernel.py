"""The inner loops of projecting values on a CPU, compiled: exact scores of the few tokens that can be among the best.

Arrays in, arrays out; knows no model. What is exact here, and why a token may be left out, `scan/shortlist.py` says.

Floats are compared as whole numbers that are in the same order: of these, loops for the largest become vector instructions.
Short loops that should are given slices, since an index that might be negative prevents it; other loops are not, since a slice
costs as much as fifty numbers.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from ffmem.index.state.kernel import push
from ffmem.store.keys import NO_TOKEN, SHIFT

BLOCK = 64
"""Neighbouring tokens that are left out together."""
TILE = 32 * BLOCK
"""Tokens whose products with some rows are made at a time, and read again while they are in the core's cache."""
_LANES = 32
_NO_TOKEN, _SHIFT = np.int64(NO_TOKEN), np.int64(SHIFT)
_LEAST_KEY = np.int64(-(2**63))
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
    """float64 (rows, d_model)."""
    unit: np.ndarray
    """float64 (rows); 0 for a row of zeros."""
    offset: np.ndarray
    """float64 (rows)."""
    slack: np.ndarray
    """float64 (rows)."""
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
    """A float32 as an int32 that is in the same order; `~` gives that of its negative."""
    bits = np.float32(score).view(np.int32)
    return np.int32(bits ^ ((bits >> _SIGN_PLACE) & _ALL_BUT_SIGN))


@njit(cache=True, nogil=True)
def _float(ordered):
    return np.int32(ordered ^ ((ordered >> _SIGN_PLACE) & _ALL_BUT_SIGN)).view(np.float32)


@njit(cache=True, nogil=True)
def _key(ordered, token):
    """As `promoted._keys` has it: orders by score, then by smaller token id."""
    return (np.int64(ordered) << _SHIFT) | (_NO_TOKEN - np.int64(token))


@njit(cache=True, nogil=True)
def _token(key):
    return _NO_TOKEN - (key & _NO_TOKEN)


@njit(cache=True, nogil=True)
def block_extremes(products, unit, first, extremes):
    """The highest cheap score of each block of tokens, and the highest of their negatives, as ordered numbers.

    Args:
        products: int32 or float32 (rows, tokens) of some neighbouring tokens.
        unit: float32 (d_vocab), of tokens.
        first: of these tokens, a multiple of BLOCK.
        extremes: int32 (2, rows, blocks), filled for these tokens.
    """
    for row in range(products.shape[0]):
        for start in range(0, products.shape[1], BLOCK):
            some = products[row, start : start + BLOCK]
            units = unit[first + start : first + start + len(some)]
            high, low = np.int32(-(2**31)), np.int32(2**31 - 1)
            for at in range(len(some)):
                ordered = _ordered(np.float32(some[at]) * units[at])
                high, low = max(high, ordered), min(low, ordered)
            block = (first + start) // BLOCK
            extremes[0, row, block], extremes[1, row, block] = high, ~low


@njit(cache=True, nogil=True)
def exact(row, vector, lanes):
    """The product of a row (float64) and a vector (float32), summed in float64 in an order that no processor changes."""
    lanes[:] = 0.0
    whole = len(vector) // _LANES * _LANES
    for start in range(0, whole, _LANES):
        for lane in range(_LANES):
            lanes[lane] += row[start + lane] * np.float64(vector[start + lane])
    for at in range(whole, len(vector)):
        lanes[at - whole] += row[at] * np.float64(vector[at])
    total = 0.0
    for lane in range(_LANES):
        total += lanes[lane]
    return total


@njit(cache=True, nogil=True)
def _offset(block, row, n_rows, d_vocab):
    """What is added to the id of a token of a block to find its product with a row: tile by tile, in a tile row by row."""
    tile = block * BLOCK // TILE * TILE
    return n_rows * tile + row * min(TILE, d_vocab - tile) - tile


@njit(cache=True, nogil=True)
def _best_cheap(best, sign, products, row, n_rows, unit, extremes):
    """Fill a heap with the keys of the best tokens by cheap score: they lie in the blocks that are best by their best."""
    best[:] = _LEAST_KEY
    least = np.int32(-(2**31))
    for block in range(len(extremes)):
        if extremes[block] > least or best[0] == _LEAST_KEY:
            push(best, _key(extremes[block], block))
            least = np.int32(best[0] >> _SHIFT)
    enough = least
    best[:] = _LEAST_KEY
    for block in range(len(extremes)):
        if extremes[block] < enough:
            continue
        offset = _offset(block, row, n_rows, len(unit))
        for token in range(block * BLOCK, min((block + 1) * BLOCK, len(unit))):
            ordered = _ordered(sign * (np.float32(products[offset + token]) * unit[token]))
            if ordered > least or best[0] == _LEAST_KEY:
                push(best, _key(ordered, token))
                least = max(enough, np.int32(best[0] >> _SHIFT))


@njit(cache=True, nogil=True)
def _floor(key, sign, rows, row):
    """What the bound of a cheap score must reach, so that the score, rounded to float32, can reach that of a key."""
    least = np.float64(_float(np.int32(key >> _SHIFT)))
    return np.float32((least - sign * rows.offset[row] - abs(least) * _ROUNDING - rows.slack[row]) / rows.unit[row])


@njit(cache=True, nogil=True)
def best_tokens(products, tokens, rows, extremes, best):
    """The keys of the best tokens of each row at both ends, by exact score, in no order.

    Args:
        products: int32 or float32 (rows x d_vocab), see `_offset`.
        tokens: what scores.
        rows: what is scored.
        extremes: int32 (2, rows, blocks), see `block_extremes`.
        best: int64 (2, rows, k), filled; of the lowest scores the keys are those of their negatives.

    Returns:
        How many exact scores it took.
    """
    n_rows, d_vocab, k = best.shape[1], len(tokens.unit), best.shape[2]
    lanes, cheap, known = np.empty(_LANES), np.empty(k, np.int64), np.zeros(d_vocab, np.bool_)
    n_exact = 0
    for row in range(n_rows):
        vector, wide, long = rows.vectors[row], rows.per_residual[row], rows.per_length[row]
        for end in range(2):
            sign, found, high = np.float32(1 - 2 * end), best[end, row], extremes[end, row]
            if rows.unit[row] == 0:
                for token in range(k):
                    found[token] = _key(np.int32(0), token)
                continue
            _best_cheap(cheap, sign, products, row, n_rows, tokens.unit, high)
            found[:] = _LEAST_KEY
            for place in range(k):
                token = _token(cheap[place])
                known[token] = True
                push(found, _exact_key(sign, vector, tokens, token, lanes))
            n_exact += k
            floor = _floor(found[0], sign, rows, row)
            for block in range(len(high)):
                off = wide * tokens.block_residual[block] + long * tokens.block_length[block]
                if _float(high[block]) + off < floor:
                    continue
                offset = _offset(block, row, n_rows, d_vocab)
                for token in range(block * BLOCK, min((block + 1) * BLOCK, d_vocab)):
                    off = wide * tokens.residual[token] + long * tokens.length[token]
                    score = sign * (np.float32(products[offset + token]) * tokens.unit[token])
                    if score + off < floor or known[token]:
                        continue
                    n_exact += 1
                    key = _exact_key(sign, vector, tokens, token, lanes)
                    if key > found[0]:
                        push(found, key)
                        floor = _floor(found[0], sign, rows, row)
            for place in range(k):
                known[_token(cheap[place])] = False
    return n_exact


@njit(cache=True, nogil=True)
def _exact_key(sign, vector, tokens, token, lanes):
    """0.0 is added so that -0.0 and 0.0 tie."""
    score = sign * np.float32(exact(vector, tokens.vectors[token], lanes))
    return _key(_ordered(score + np.float32(0.0)), token)
