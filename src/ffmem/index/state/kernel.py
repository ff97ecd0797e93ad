"""The inner loops of indexing on a CPU, compiled: one pass over the coefficients while they are in the core's cache.

Arrays in, arrays out; knows no model. `layers.TorchLayer` does the same with tensors, for other devices.

A list of triggers is a binary heap of keys (see store/keys.py) with the smallest first: what a new trigger has to beat. Where
lists are merged, they are sorted, best first.
"""

import numpy as np
from numba import njit

from ffmem.store.histogram import LOWEST_EXPONENT, N_BINS
from ffmem.store.keys import NO_TOKEN, SHIFT

_NO_TOKEN, _SHIFT = np.int64(NO_TOKEN), np.int64(SHIFT)
_SIGN_BIT = np.int32(-(2**31))
_FIRST_BIN = np.int32(2 * (127 + LOWEST_EXPONENT) - 1)
_LAST_BIN = np.int32(N_BINS - 1)


@njit(cache=True, nogil=True)
def push(heap, key):
    """Put a key in the place of the smallest, and restore the heap."""
    place = 0
    while True:
        child = 2 * place + 1
        if child >= len(heap):
            break
        if child + 1 < len(heap) and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= key:
            break
        heap[place] = heap[child]
        place = child
    heap[place] = key


@njit(cache=True, nogil=True)
def _compete(heaps, least_bits, bits, flip, positions, tokens):
    """Let one score a cell compete, given as the bits of its float32; ``flip`` turns the sign.

    Bits of positive floats compare like the floats, and those of negative ones are negative. ``least_bits`` is, for
    each cell, the bits of the smallest coefficient in its full list, else of the smallest positive number.
    """
    for cell in range(len(bits)):
        found = bits[cell] ^ flip
        if found >= least_bits[cell]:
            key = (np.int64(found) << _SHIFT) | (_NO_TOKEN - tokens[positions[cell]])
            if key > heaps[cell, 0]:
                push(heaps[cell], key)
                least_bits[cell] = max(np.int32(heaps[cell, 0] >> _SHIFT), np.int32(1))


@njit(cache=True, nogil=True)
def _count_bins(histogram, bits, flip):
    for cell in range(len(bits)):
        place = ((bits[cell] ^ flip) >> np.int32(22)) - _FIRST_BIN
        histogram[min(max(place, np.int32(0)), _LAST_BIN), cell] += 1


# Four short functions, not one loop: each is compiled to vector instructions, the four together would not be.


@njit(cache=True, nogil=True)
def _add(row, total, squares):
    for cell in range(len(row)):
        total[cell] += row[cell]
        squares[cell] += row[cell] * row[cell]


@njit(cache=True, nogil=True)
def _add_active(row, active):
    for cell in range(len(row)):
        active[cell] += np.int32(row[cell] > 0)


@njit(cache=True, nogil=True)
def _track_maximum(row, position, high, high_at):
    for cell in range(len(row)):
        better = row[cell] > high[cell]
        high[cell] = row[cell] if better else high[cell]
        high_at[cell] = position if better else high_at[cell]


@njit(cache=True, nogil=True)
def _track_minimum(row, position, low, low_at):
    for cell in range(len(row)):
        better = row[cell] < low[cell]
        low[cell] = row[cell] if better else low[cell]
        low_at[cell] = position if better else low_at[cell]


@njit(cache=True, nogil=True)
def observe(
    values,
    first_position,
    lengths,
    tokens,
    heaps,
    least_bits,
    histogram,
    minimum,
    maximum,
    n_active,
    n_active_sentences,
    sums,
    scratch,
    every_position,
):
    """Count coefficients, and let them compete.

    Args:
        values: (sentences, positions, cells) float32, contiguous; what is contiguous becomes vector instructions.
        first_position: the first position that competes.
        lengths: (sentences,) int64, how many positions from there on do; padding follows.
        tokens: (sentences, competing positions) int64, their token indices.
        heaps: (signs, cells, top) int64, see the module.
        least_bits: (signs, cells) int32, see `_compete`.
        histogram: (signs, bins, cells) int32; without bins, none is counted.
        minimum: (cells,) float32.
        maximum: (cells,) float32.
        n_active: (cells,) int64.
        n_active_sentences: (cells,) int64.
        sums: (2, cells) float64: of the coefficients, of their squares.
        scratch: (4, cells) float32 and (3, cells) int32: room for one sentence.
        every_position: whether each position competes, or only a sentence's best.
    """
    n_sentences, _, n_cells = values.shape
    floats, integers = scratch
    high, low, total, squares = floats[0], floats[1], floats[2], floats[3]
    high_at, low_at, active = integers[0], integers[1], integers[2]
    for sentence in range(n_sentences):
        if lengths[sentence] <= 0:
            continue
        high[:], low[:], total[:], squares[:] = -np.inf, np.inf, 0.0, 0.0
        high_at[:], low_at[:], active[:] = 0, 0, 0
        for position in range(lengths[sentence]):
            row = values[sentence, first_position + position]
            here = np.int32(position)
            _add(row, total, squares)
            _add_active(row, active)
            _track_maximum(row, here, high, high_at)
            _track_minimum(row, here, low, low_at)
            if every_position:
                low_at[:] = here
                for sign in range(len(heaps)):
                    flip = _SIGN_BIT if sign else np.int32(0)
                    _compete(heaps[sign], least_bits[sign], row.view(np.int32), flip, low_at, tokens[sentence])
        for cell in range(n_cells):
            sums[0, cell] += total[cell]
            sums[1, cell] += squares[cell]
            n_active[cell] += active[cell]
            n_active_sentences[cell] += active[cell] > 0
            maximum[cell] = max(maximum[cell], high[cell])
            minimum[cell] = min(minimum[cell], low[cell])
        if histogram.shape[1] > 0:
            _count_bins(histogram[0], high.view(np.int32), np.int32(0))
        if histogram.shape[1] > 0 and len(heaps) > 1:
            _count_bins(histogram[1], low.view(np.int32), _SIGN_BIT)
        if not every_position:
            _compete(heaps[0], least_bits[0], high.view(np.int32), np.int32(0), high_at, tokens[sentence])
            if len(heaps) > 1:
                _compete(heaps[1], least_bits[1], low.view(np.int32), _SIGN_BIT, low_at, tokens[sentence])


@njit(cache=True, nogil=True)
def merge_lists(ours, theirs):
    """Put the best keys of both into ``ours``, list by list, as `topk.merge` does.

    Most lists of one state have nothing that beats the last of many states: these cost a comparison.

    Args:
        ours: (lists, top) int64, each list best first, empty slots (0) last.
        theirs: (lists, top) int64, likewise, with no key of ours.
    """
    n_lists, top = ours.shape
    for row in range(n_lists):
        n_new = 0  # of theirs that stay: each must beat what it drives out of ours
        while n_new < top and theirs[row, n_new] > ours[row, top - 1 - n_new]:
            n_new += 1
        kept, new = top - n_new - 1, n_new - 1
        place = top - 1
        while new >= 0:  # from the end, so that nothing is overwritten before it is read
            if kept >= 0 and ours[row, kept] < theirs[row, new]:
                ours[row, place] = ours[row, kept]
                kept -= 1
            else:
                ours[row, place] = theirs[row, new]
                new -= 1
            place -= 1
