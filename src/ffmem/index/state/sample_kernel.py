"""The inner loops that keep a sample of positions on a CPU, compiled. Arrays in, arrays out; knows no model.

A list has the largest key first: a stratum of a cell, of which each has as many lists as there are strata.
"""

import numpy as np
from numba import njit

from ffmem.store.keys import EMPTY, SHIFT
from ffmem.store.strata import BIN_SHIFT, LOT_BITS, N_ACTIVE, N_HALF_OCTAVES, NO_BIN

_SHIFT, _EMPTY = np.int64(SHIFT), np.int64(EMPTY)
_BIN_SHIFT, _NO_BIN = np.int32(BIN_SHIFT), np.int32(NO_BIN)
_REST, _N_ACTIVE = np.int32(N_HALF_OCTAVES), np.int32(N_ACTIVE)
_MAGNITUDE = np.int32(2**31 - 1)
_LOT_BITS, _LOT, _ONE_MORE = np.int64(LOT_BITS), np.int64(2**LOT_BITS - 1), np.int64(2**LOT_BITS)
_BLOCK = 2048
"""Most cells that are gone through at a time, for all positions of a batch: their counts stay in the core's second cache."""


@njit(cache=True, nogil=True)
def _insert(keys, coefficients, key, coefficient):
    """Put a key that is above the last one into a list, which has the largest first."""
    place = len(keys) - 1
    while place > 0 and keys[place - 1] < key:
        keys[place] = keys[place - 1]
        coefficients[place] = coefficients[place - 1]
        place -= 1
    keys[place] = key
    coefficients[place] = coefficient


@njit(cache=True, nogil=True)
def _insert_all(keys, coefficients, other_keys, other_coefficients):
    """Put into a list what of another belongs there; empty slots never do."""
    for place in range(len(other_keys)):
        if other_keys[place] <= keys[-1]:
            break
        _insert(keys, coefficients, other_keys[place], other_coefficients[place])


@njit(cache=True, nogil=True)
def _move_down(keys, coefficients, counts, n):
    """Move the strata of a sign, which has its own part of these arrays, down by ``n`` half octaves."""
    n = min(n, _REST)
    for stratum in range(_REST - n, _REST):
        _insert_all(keys[_REST], coefficients[_REST], keys[stratum], coefficients[stratum])
        counts[_REST] += counts[stratum]
    for stratum in range(_REST - 1, -1, -1):
        if stratum >= n:
            keys[stratum] = keys[stratum - n]
            coefficients[stratum] = coefficients[stratum - n]
            counts[stratum] = counts[stratum - n]
        else:
            keys[stratum] = _EMPTY
            coefficients[stratum] = 0
            counts[stratum] = 0


@njit(cache=True, nogil=True)
def _raise(keys, coefficients, tallies, rise):
    """As `_move_down`, with tallies: see `observe_sample`."""
    counts = tallies >> _LOT_BITS
    _move_down(keys, coefficients, counts, rise)
    for stratum in range(_N_ACTIVE):
        tallies[stratum] = (counts[stratum] << _LOT_BITS) | (keys[stratum, -1] >> _SHIFT)


# Loops of their own, not parts of one: each is compiled to vector instructions, together they would not be. Lists are counted
# cell by cell, stratum by stratum; their numbers have no sign, so that none is taken to count from the end.


@njit(cache=True, nogil=True)
def _lists_of_one_sign(bits, first_list, bins, lists):
    """The list of each cell's coefficient, and the lowest stratum: below 0 where a coefficient lies above all before."""
    lowest = np.int32(0)
    for cell in range(len(bits)):
        stratum = min(bins[cell] - (bits[cell] >> _BIN_SHIFT), _REST)
        stratum = stratum if bits[cell] > 0 else _N_ACTIVE
        lowest = min(lowest, stratum)
        lists[cell] = np.uint32(first_list[cell] + stratum)
    return lowest


@njit(cache=True, nogil=True)
def _lists_of_two_signs(bits, first_list, positive, negative, lists):
    """Likewise, where negative coefficients have strata of their own."""
    lowest = np.int32(0)
    for cell in range(len(bits)):
        magnitude = bits[cell] & _MAGNITUDE
        top = negative[cell] if bits[cell] < 0 else positive[cell]
        stratum = min(top - (magnitude >> _BIN_SHIFT), _REST)
        stratum = stratum if magnitude > 0 else _N_ACTIVE
        lowest = min(lowest, stratum)
        second = _N_ACTIVE if (bits[cell] < 0) | (magnitude == 0) else np.int32(0)
        lists[cell] = np.uint32(first_list[cell] + stratum + second)
    return lowest


@njit(cache=True, nogil=True)
def _make_room(bits, first_list, keys, coefficients, tallies, bins, lists):
    """Move the strata of those cells whose coefficient lies above all before."""
    for cell in range(len(bits)):
        sign = 1 if len(bins) > 1 and bits[cell] < 0 else 0
        magnitude = bits[cell] & _MAGNITUDE if len(bins) > 1 else bits[cell]
        found = magnitude >> _BIN_SHIFT
        if magnitude > 0 and found > bins[sign, cell]:
            first = first_list[cell] + sign * _N_ACTIVE
            end = first + _N_ACTIVE
            if bins[sign, cell] != _NO_BIN:
                _raise(keys[first:end], coefficients[first:end], tallies[first:end], found - bins[sign, cell])
            bins[sign, cell] = found
            lists[cell] = np.uint32(first)


@njit(cache=True, nogil=True)
def _compete(bits, key, keys, coefficients, tallies, lists):
    """Let the coefficients of one position compete, each for the list of its cell's stratum."""
    lot = key >> _SHIFT
    for cell in range(len(bits)):
        number = lists[cell]
        tally = tallies[number] + _ONE_MORE
        if lot >= tally & _LOT and key > keys[number, -1]:
            _insert(keys[number], coefficients[number], key, bits[cell])
            tally = (tally & ~_LOT) | (keys[number, -1] >> _SHIFT)
        tallies[number] = tally


@njit(cache=True, nogil=True)
def observe_sample(
    bits,
    first_position,
    lengths,
    sample_keys,
    first_list,
    keys,
    coefficients,
    tallies,
    bins,
):
    """Let coefficients compete.

    Args:
        bits: (sentences, positions, cells) int32, those of the coefficients.
        first_position: the first position that competes.
        lengths: (sentences,) int64, how many positions from there on do; padding follows.
        sample_keys: (sentences, competing positions) int64.
        first_list: (cells,) int32, the number of each cell's first list.
        keys: (lists, sample) int64: of a cell a list for each stratum.
        coefficients: (lists, sample) int32, their bits.
        tallies: (lists,) int64: how many positions competed for each, above the lot of its last key, which the next must reach:
            one number, to be read and written at once.
        bins: (signs, cells) int32, of the largest coefficients.
    """
    n_cells = bits.shape[2]
    lists = np.empty(_BLOCK, dtype=np.uint32)
    for first in range(0, n_cells, _BLOCK):
        end = min(first + _BLOCK, n_cells)
        # each contiguous, and known to be so, which vector instructions ask for
        here, firsts, positive, negative = (
            lists[: end - first],
            first_list[first:end],
            bins[0, first:end],
            bins[-1, first:end],
        )
        for sentence in range(len(lengths)):
            for position in range(lengths[sentence]):
                row = bits[sentence, first_position + position, first:end]
                if len(bins) == 1:
                    lowest = _lists_of_one_sign(row, firsts, positive, here)
                else:
                    lowest = _lists_of_two_signs(row, firsts, positive, negative, here)
                if lowest < 0:
                    _make_room(row, firsts, keys, coefficients, tallies, bins[:, first:end], here)
                _compete(row, sample_keys[sentence, position], keys, coefficients, tallies, here)


@njit(cache=True, nogil=True)
def merge_lists_of_strata(
    keys,
    coefficients,
    counts,
    bins,
    other_keys,
    other_coefficients,
    other_counts,
    other_bins,
):
    """Put the sample of other positions into the first: see `observe_sample` for the arrays."""
    n_cells, n_strata = counts.shape
    for cell in range(n_cells):
        for sign in range(len(bins)):
            first, end = sign * _N_ACTIVE, (sign + 1) * _N_ACTIVE
            rise = other_bins[sign, cell] - bins[sign, cell]
            if rise > 0:
                _move_down(keys[cell, first:end], coefficients[cell, first:end], counts[cell, first:end], rise)
            elif rise < 0:
                _move_down(
                    other_keys[cell, first:end],
                    other_coefficients[cell, first:end],
                    other_counts[cell, first:end],
                    -rise,
                )
        for stratum in range(n_strata):
            _insert_all(
                keys[cell, stratum],
                coefficients[cell, stratum],
                other_keys[cell, stratum],
                other_coefficients[cell, stratum],
            )
            counts[cell, stratum] += other_counts[cell, stratum]
