"""The inner loops of projecting values on a CPU, compiled: exact scores of the few tokens that can be among the best.

Arrays in, arrays out; knows no model. What is exact here, and why a token may be left out, `scan/shortlist.py` says.
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
_ROUNDING = 2.0**-22
_LEAST_FLOAT = 2.0**-149


class Tokens(NamedTuple):
    """The vectors that score the tokens, and what their cheap scores may be off by."""

    vectors: np.ndarray
    """float32 (d_vocab, d_model)."""
    unit: np.ndarray
    """float32 (d_vocab): what a whole product is multiplied with."""
    residual: np.ndarray
    """float32 (d_vocab)."""
    length: np.ndarray
    """float32 (d_vocab)."""
    block_residual: np.ndarray
    """float32 (blocks): the largest of a block."""
    block_length: np.ndarray
    """float32 (blocks)."""


class Rows(NamedTuple):
    """Some values, and what their cheap scores may be off by: per_residual x a token's residual + per_length x its length."""

    vectors: np.ndarray
    """float64 (rows, d_model)."""
    unit: np.ndarray
    """float64 (rows): what a cheap score is multiplied with to be a score; 0 for a row of zeros."""
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
        most = np.float32(0)
        for at in range(vectors.shape[1]):
            most = max(most, abs(vectors[row, at]))
        unit[row] = np.float64(most) / 127
        inverse = 1 / unit[row] if most > 0 else 0.0
        left = whole = 0.0
        for at in range(vectors.shape[1]):
            code = np.rint(vectors[row, at] * inverse)
            codes[row, at] = np.int8(code)
            left += (vectors[row, at] - code * unit[row]) ** 2
            whole += (code * unit[row]) ** 2
        residual[row], length[row] = np.sqrt(left), np.sqrt(whole)


@njit(cache=True, nogil=True, fastmath={"nnan", "nsz"}, inline="always")
def _extremes_of_block(products, unit, first, start, n, row, extremes):
    high = low = np.float32(-np.inf)
    for at in range(n):
        score = np.float32(products[start + at]) * unit[first + start + at]
        high = score if score > high else high
        low = -score if -score > low else low
    block = (first + start) // BLOCK
    extremes[0, row, block], extremes[1, row, block] = high, low


@njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})
def block_extremes(products, unit, first, extremes):
    """The highest cheap score of each block of tokens, and the highest of their negatives.

    Args:
        products: int32 or float32 (rows, tokens) of some neighbouring tokens.
        unit: float32 (d_vocab), of tokens.
        first: of these tokens, a multiple of BLOCK.
        extremes: float32 (2, rows, blocks), filled for these tokens.
    """
    whole = products.shape[1] // BLOCK
    for row in range(products.shape[0]):
        for block in range(whole):
            _extremes_of_block(products[row], unit, first, block * BLOCK, BLOCK, row, extremes)
        if whole * BLOCK < products.shape[1]:
            _extremes_of_block(products[row], unit, first, whole * BLOCK, products.shape[1] - whole * BLOCK, row, extremes)


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
def _key(score, token):
    """As `promoted.keys_of` has it: orders by score, then by smaller token id."""
    bits = np.float32(score + np.float32(0.0)).view(np.int32)
    return (np.int64(bits ^ ((bits >> np.int32(31)) & np.int32(0x7FFFFFFF))) << _SHIFT) | (_NO_TOKEN - np.int64(token))


@njit(cache=True, nogil=True)
def _score(key):
    bits = np.int32(key >> _SHIFT)
    return np.int32(bits ^ ((bits >> np.int32(31)) & np.int32(0x7FFFFFFF))).view(np.float32)


@njit(cache=True, nogil=True)
def _offset(block, row, n_rows, d_vocab):
    """Where the product of a row and token 0 would lie, if tokens lay as those of a block do: tile by tile, row by row."""
    start = block * BLOCK // TILE * TILE
    return n_rows * start + row * min(TILE, d_vocab - start) - start


@njit(cache=True, nogil=True)
def _best_cheap(best, sign, products, row, n_rows, unit, extremes):
    """Fill a heap with the keys of the best tokens by cheap score: they lie in the blocks that are best by their best."""
    best[:] = _LEAST_KEY
    least = np.float32(-np.inf)
    for block in range(len(extremes)):
        if extremes[block] > least or best[0] == _LEAST_KEY:
            push(best, _key(extremes[block], block))
            least = _score(best[0]) if best[0] != _LEAST_KEY else least
    lowest = least if best[0] != _LEAST_KEY else np.float32(-np.inf)
    best[:] = _LEAST_KEY
    for block in range(len(extremes)):
        if extremes[block] < lowest:
            continue
        offset = _offset(block, row, n_rows, len(unit))
        for token in range(block * BLOCK, min((block + 1) * BLOCK, len(unit))):
            score = sign * (np.float32(products[offset + token]) * unit[token])
            if score > lowest or best[0] == _LEAST_KEY:
                push(best, _key(score, token))
                lowest = max(lowest, _score(best[0])) if best[0] != _LEAST_KEY else lowest


@njit(cache=True, nogil=True)
def _floor(key, unit):
    """What the bound of a cheap score must reach, so that the score, rounded to float32, can reach that of a key."""
    least = np.float64(_score(key))
    return np.float32((least - abs(least) * _ROUNDING - _LEAST_FLOAT) / unit)


@njit(cache=True, nogil=True)
def best_tokens(products, tokens, rows, extremes, best):
    """The keys of the best tokens of each row at both ends, by exact score, in no order.

    Args:
        products: int32 or float32 (rows x d_vocab), tile by tile.
        tokens: what scores.
        rows: what is scored.
        extremes: float32 (2, rows, blocks), see `block_extremes`.
        best: int64 (2, rows, k), filled; of the lowest scores the keys are those of their negatives.

    Returns:
        How many exact scores it took.
    """
    n_rows, d_vocab, k = best.shape[1], len(tokens.unit), best.shape[2]
    lanes, cheap, known = np.empty(_LANES), np.empty(k, np.int64), np.zeros(d_vocab, np.bool_)
    n_exact = 0
    for row in range(n_rows):
        vector, unit = rows.vectors[row], rows.unit[row]
        for end in range(2):
            sign, found, high = np.float32(1 - 2 * end), best[end, row], extremes[end, row]
            if unit == 0:
                for token in range(k):
                    found[token] = _key(np.float32(0), token)
                continue
            _best_cheap(cheap, sign, products, row, n_rows, tokens.unit, high)
            found[:] = _LEAST_KEY
            for place in range(k):
                token = _NO_TOKEN - (cheap[place] & _NO_TOKEN)
                known[token] = True
                push(found, _key(sign * np.float32(exact(vector, tokens.vectors[token], lanes)), token))
            floor, wide, long = _floor(found[0], unit), rows.per_residual[row], rows.per_length[row]
            for block in range(len(high)):
                if high[block] + (wide * tokens.block_residual[block] + long * tokens.block_length[block]) < floor:
                    continue
                offset = _offset(block, row, n_rows, d_vocab)
                for token in range(block * BLOCK, min((block + 1) * BLOCK, d_vocab)):
                    score = sign * (np.float32(products[offset + token]) * tokens.unit[token])
                    off = wide * tokens.residual[token] + long * tokens.length[token]
                    if score + off < floor or known[token]:
                        continue
                    n_exact += 1
                    key = _key(sign * np.float32(exact(vector, tokens.vectors[token], lanes)), token)
                    if key > found[0]:
                        push(found, key)
                        floor = _floor(found[0], unit)
            for place in range(k):
                known[_NO_TOKEN - (cheap[place] & _NO_TOKEN)] = False
            n_exact += k
    return n_exact
