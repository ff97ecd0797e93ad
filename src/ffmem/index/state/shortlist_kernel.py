"""The inner loops of projecting values on a CPU, compiled: exact scores of the few tokens that can be among the best.

Arrays in, arrays out; knows no model. What is exact here, and why a token may be left out, `scan/shortlist.py` says.

Floats are compared as whole numbers that are in the same order: of these, loops for the largest become vector instructions.
Short loops that should are given slices, since an index that might be negative prevents it; other loops are not, since a slice
costs as much as fifty numbers.
"""

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from ffmem.index.state.kernel import push
from ffmem.store.keys import NO_TOKEN, SHIFT

BLOCK = 64
"""Neighbouring tokens that are left out together."""
_BLOCK = np.uint64(BLOCK)
_LANES = 32
_AHEAD = 4
_LANE_COUNT, _TWO = np.uint64(_LANES), np.uint64(2 * _LANES)
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
    gap: np.ndarray
    """float32 (rows): between bounds of two cheap scores, so that the scores differ in float32 (see `shortlist`)."""
    per_residual: np.ndarray
    """float32 (rows)."""
    per_length: np.ndarray
    """float32 (rows)."""


class Race(NamedTuple):
    """How far the tokens at both ends of some rows are known: slots are the rows, then the rows at their lower end."""

    lower: np.ndarray
    """float32 (slots, k): heaps of the highest lower bounds of cheap scores, the lowest first."""
    floor: np.ndarray
    """float32 (slots): what the upper bound of a cheap score must reach."""
    best: np.ndarray
    """int64 (slots, k): heaps of the keys of the best exact scores; at the lower end those of their negatives."""
    slot: np.ndarray
    """int32 (room): of tokens that may be among the best, and wait for an exact score."""
    token: np.ndarray
    """int32 (room)."""
    cheap: np.ndarray
    """float32 (room): their cheap scores, or the negatives of these."""


def race(unit: np.ndarray, k: int, room: int) -> Race:
    """The start, for rows of such units."""
    slots = 2 * len(unit)
    lower = np.full((slots, k), -np.inf, np.float32)
    floor = np.where(np.tile(unit, 2) > 0, -np.inf, np.inf).astype(np.float32)
    best = np.full((slots, k), _LEAST_KEY)
    best[floor > 0] = NO_TOKEN - np.arange(k)  # zeros score zero everywhere
    return Race(lower, floor, best, np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room, np.float32))


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
def extremes(products, unit):
    """The highest and the lowest cheap score of neighbouring tokens, as ordered numbers.

    Args:
        products: int32 or float32 (tokens).
        unit: float32 (tokens).
    """
    high, low = np.int32(-(2**31)), np.int32(2**31 - 1)
    for at in range(len(products)):
        ordered = _ordered(np.float32(products[at]) * unit[at])
        high, low = max(high, ordered), min(low, ordered)
    return high, low


@njit(cache=True, nogil=True)
def exact(rows, row, vectors, token, lanes):
    """The product of a row and a vector (float32), summed in float64 in an order that no processor changes.

    Both come as a place in a matrix, since a slice costs as much as the fifth part of the product.
    """
    lanes[:] = 0.0
    row, token, width = np.uint64(row), np.uint64(token), np.uint64(rows.shape[1])
    whole = width // _LANE_COUNT * _LANE_COUNT
    twice = whole // _TWO * _TWO
    for start in range(np.uint64(0), twice, _TWO):
        for lane in range(_LANE_COUNT):
            at = start + lane
            after = at + _LANE_COUNT
            one = lanes[lane] + np.float64(rows[row, at]) * np.float64(vectors[token, at])
            lanes[lane] = one + np.float64(rows[row, after]) * np.float64(vectors[token, after])
    for start in range(twice, whole, _LANE_COUNT):
        for lane in range(_LANE_COUNT):
            lanes[lane] += np.float64(rows[row, start + lane]) * np.float64(vectors[token, start + lane])
    for at in range(whole, width):
        lanes[at - whole] += np.float64(rows[row, at]) * np.float64(vectors[token, at])
    total = 0.0
    for lane in range(_LANES):
        total += lanes[lane]
    return total


@njit(cache=True, nogil=True)
def _floor(key, sign, offset, slack, unit):
    """What the bound of a cheap score must reach, so that the score, rounded to float32, can reach that of a key."""
    least = np.float64(_float(np.int32(key >> _SHIFT)))
    return np.float32((least - sign * offset - abs(least) * _ROUNDING - slack) / unit)


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
def _upper(products, unit, residual, length, start, stop, sign, wide, long, floor, upper):
    hits = np.int32(0)
    for at in range(np.uint64(stop - start)):
        token = start + at
        score = sign * (np.float32(products[token]) * unit[token]) + (wide * residual[token] + long * length[token])
        upper[at] = score
        hits += np.int32(score >= floor)
    return hits


@njit(cache=True, nogil=True)
def enter(products, first, tokens, rows, state, waiting):
    """Let neighbouring tokens wait for exact scores, but for those whose bounds say that they cannot be among the best.

    Args:
        products: int32 or float32 (rows, some tokens).
        first: of these tokens, a multiple of BLOCK.
        tokens: what scores.
        rows: what is scored.
        state: a `Race`, updated; it has room for all scores at both ends.
        waiting: how many wait.

    Returns:
        How many wait now.
    """
    n, width = products.shape
    unit, residual = tokens.unit[first : first + width], tokens.residual[first : first + width]
    length = tokens.length[first : first + width]
    block_residual, block_length = tokens.block_residual[first // BLOCK :], tokens.block_length[first // BLOCK :]
    upper, most = np.empty(BLOCK, np.float32), np.empty(-(-width // BLOCK), np.float32)
    for row in range(n):
        wide, long, gap = rows.per_residual[row], rows.per_length[row], rows.gap[row]
        own = products[row]
        largest(own, unit, most)
        for block in range(len(most)):
            highest = most[block] + wide * block_residual[block] + long * block_length[block]
            for end in range(2):
                slot = end * n + row
                floor = before = state.floor[slot]
                if highest < floor:
                    continue
                sign = np.float32(1 - 2 * end)
                start = np.uint64(block) * _BLOCK
                stop = min(start + _BLOCK, np.uint64(width))
                hits = _upper(own, unit, residual, length, start, stop, sign, wide, long, floor, upper)
                place = np.uint64(0)
                while hits > 0:
                    at, score = start + place, upper[place]
                    place += np.uint64(1)
                    hits -= np.int32(score >= before)
                    if score < floor:
                        continue
                    cheap = sign * (np.float32(own[at]) * unit[at])
                    state.slot[waiting], state.token[waiting], state.cheap[waiting] = slot, first + at, cheap
                    waiting += 1
                    least = cheap - (wide * residual[at] + long * length[at])
                    if least > state.lower[slot, 0]:
                        push(state.lower[slot], least)
                        floor = max(floor, state.lower[slot, 0] - gap)
                state.floor[slot] = floor
    return waiting


@intrinsic
def _fetch(typing_context, matrix, row, column):
    """Ask for the number at a place before it is needed."""

    def code(context, builder, signature, arguments):
        array = context.make_array(matrix)(context, builder, arguments[0])
        place = cgutils.get_item_pointer(context, builder, matrix, array, arguments[1:])
        number, byte = ir.IntType(32), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), (byte, number, number, number))
        called = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(called, [builder.bitcast(place, byte), number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(matrix, row, column), code


@njit(cache=True, nogil=True)
def settle(tokens, rows, state, waiting, every):
    """Score exactly some of what waits: those tokens whose lower bounds are the highest, since they raise the floor.

    Args:
        tokens: what scores.
        rows: what is scored.
        state: a `Race`, updated.
        waiting: how many wait.
        every: whether to score also all others that may be among the best.

    Returns:
        How many wait now, and how many were scored.
    """
    n_rows, floor, n_chosen, left = len(rows.unit), state.floor, 0, 0
    slots, ids = np.empty(waiting, np.int32), np.empty(waiting, np.int32)
    for at in range(waiting):
        slot, token, cheap = state.slot[at], state.token[at], state.cheap[at]
        row = slot % n_rows
        off = rows.per_residual[row] * tokens.residual[token] + rows.per_length[row] * tokens.length[token]
        if cheap + off < floor[slot]:
            continue
        if every or cheap - off >= state.lower[slot, 0]:
            slots[n_chosen], ids[n_chosen] = slot, token
            n_chosen += 1
        else:
            state.slot[left], state.token[left], state.cheap[left] = slot, token, cheap
            left += 1
    _score(slots, ids, _by_token(ids[:n_chosen], len(tokens.unit)), tokens, rows, state)
    return left, n_chosen


@njit(cache=True, nogil=True)
def _by_token(ids, d_vocab):
    """Places of tokens, in the order of their ids: then a token's vector is read from memory once for all rows."""
    next_place, order = np.zeros(d_vocab + 1, np.int32), np.empty(len(ids), np.int32)
    for token in ids:
        next_place[token + 1] += 1
    for token in range(d_vocab):
        next_place[token + 1] += next_place[token]
    for at in range(len(ids)):
        order[next_place[ids[at]]] = at
        next_place[ids[at]] += 1
    return order


@njit(cache=True, nogil=True)
def _score(slots, ids, order, tokens, rows, state):
    """Score tokens exactly in an order, and ask for each vector some scores ahead."""
    n_rows, lanes = len(rows.unit), np.empty(_LANES)
    vectors, row_vectors, offset, slack, unit = tokens.vectors, rows.vectors, rows.offset, rows.slack, rows.unit
    best, floor = state.best, state.floor
    width, last = np.uint64(vectors.shape[1]), -1
    for at in range(len(order)):
        token = ids[order[min(at + _AHEAD, len(order) - 1)]]
        if token != last:
            last = token
            for column in range(np.uint64(0), width, np.uint64(16)):
                _fetch(vectors, np.uint64(token), column)
        slot, token = slots[order[at]], ids[order[at]]
        row, sign = slot % n_rows, np.float32(1 if slot < n_rows else -1)
        # 0.0 is added so that -0.0 and 0.0 tie
        score = np.float32(sign * np.float32(exact(row_vectors, row, vectors, token, lanes))) + np.float32(0.0)
        key = _key(_ordered(score), token)
        if key > best[slot, 0]:
            push(best[slot], key)
            key = best[slot, 0]
            if key != _LEAST_KEY:
                floor[slot] = max(floor[slot], _floor(key, sign, offset[row], slack[row], unit[row]))
