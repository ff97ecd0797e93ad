"""Going through tokens with cheap scores of values, compiled: which of them wait for exact scores, and these scores.

Arrays in, arrays out; knows no model. Why a token may be left out, `scan/shortlist.py` says.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from ffmem.index.state.kernel import push
from ffmem.index.state.shortlist_kernel import BLOCK, LANES, exact_key, floor_of, largest, upper_bounds
from ffmem.store.keys import NO_TOKEN

_BLOCK = np.uint64(BLOCK)
_NO_KEY = np.int64(-(2**63))


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
    best = np.full((slots, k), _NO_KEY)
    best[floor > 0] = NO_TOKEN - np.arange(k)  # zeros score zero everywhere
    return Race(lower, floor, best, np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room, np.float32))


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
                hits = upper_bounds(own, unit, residual, length, start, stop, sign, wide, long, floor, upper)
                place = np.uint64(0)
                while hits > 0:
                    at, score = start + place, upper[place]
                    place += np.uint64(1)
                    hits -= np.int32(score >= before)
                    if score < floor:
                        continue
                    cheap = sign * (np.float32(own[at]) * unit[at])
                    state.slot[waiting], state.token[waiting], state.cheap[waiting] = slot, first + np.int64(at), cheap
                    waiting += 1
                    least = cheap - (wide * residual[at] + long * length[at])
                    if least > state.lower[slot, 0]:
                        push(state.lower[slot], least)
                        floor = max(floor, state.lower[slot, 0] - gap)
                state.floor[slot] = floor
    return waiting


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
    """Score tokens exactly in an order."""
    n_rows, lanes, best, floor = len(rows.unit), np.empty(LANES), state.best, state.floor
    # a structure of arrays given to a function costs more than a score
    vectors, own, offset, slack, unit = tokens.vectors, rows.vectors, rows.offset, rows.slack, rows.unit
    for at in order:
        slot = slots[at]
        row, sign = slot % n_rows, np.float32(1 if slot < n_rows else -1)
        key = exact_key(sign, own, row, vectors, ids[at], lanes)
        if key > best[slot, 0]:
            push(best[slot], key)
            if best[slot, 0] != _NO_KEY:
                floor[slot] = max(floor[slot], floor_of(best[slot, 0], sign, offset[row], slack[row], unit[row]))
