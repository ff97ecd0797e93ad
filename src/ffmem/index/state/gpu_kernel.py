"""The inner loops of indexing on a GPU, in Triton: the coefficients are read once, and nothing waits for the host.

Tensors in, tensors out; knows no model. Two kernels a layer: `_scan_sentences` goes through the positions of each sentence,
counts, and leaves each sentence's best keys (see store/keys.py); `_let_compete` lets them compete for the lists. One program
owns the lists of a few cells and holds them in registers, so that no two write to one place, and no result depends on an order.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from ffmem.store.histogram import LOWEST_EXPONENT, N_BINS
from ffmem.store.keys import NO_TOKEN, SHIFT

MAX_TOP = 4096
"""The longest list that a program can hold."""

# Measured on an H100 at 712 sentences x 23 positions x 8,192 cells: 128 or 256 cells, or 4 times the positions, take longer.
_SCAN_CELLS = 64
_SCAN_POSITIONS = 512
"""Positions that a program of the first kernel reads, at least one sentence."""
_SCAN_PROGRAMS = 4096
"""About how many programs keep a GPU busy; if there would be fewer, each reads less."""
_UNROLLED = 8
_LISTED = 2048
"""Keys that a program of the second kernel holds."""
_TILE = 128
_NO_TOKEN, _SHIFT = tl.constexpr(NO_TOKEN), tl.constexpr(SHIFT)
_FIRST_BIN = 2 * (127 + LOWEST_EXPONENT) - 1


@triton.jit
def _key(score, token):
    """See store/keys.py; 0 unless the score is positive."""
    bits = score.to(tl.int32, bitcast=True).to(tl.int64)
    return tl.where(score > 0, (bits << _SHIFT) | (_NO_TOKEN - token), 0)


@triton.jit
def _count(histogram, extreme, cells, mask, n_all_cells, first_bin: tl.constexpr, n_bins: tl.constexpr):
    place = (extreme.to(tl.int32, bitcast=True) >> 22) - first_bin
    place = tl.minimum(tl.maximum(place, 0), n_bins - 1)
    tl.atomic_add(histogram + place.to(tl.int64) * n_all_cells + cells, 1, mask=mask, sem="relaxed")


@triton.jit
def _leave_keys(score, at, least, tokens, out, flag, mask):
    """The keys of one sentence, if the best of some cell may enter its list."""
    enters = mask & (score > 0) & (score >= least)
    some = tl.max(enters.to(tl.int32), axis=0)
    tl.store(flag, some.to(tl.int8))
    if some > 0:
        token = tl.load(tokens + at, mask=enters, other=0)
        tl.store(out, tl.where(enters, _key(score, token), 0), mask=mask)


@triton.jit(do_not_specialize=["first_position", "longest", "n_sentences", "sentences"])
def _scan_sentences(
    values,
    stride_sentence,
    stride_position,
    first_position,
    lengths,
    tokens,
    longest,
    n_sentences,
    n_cells,
    least,
    histogram,
    n_all_cells,
    keys,
    flags,
    sums,
    counts,
    extremes,
    sentences,
    unrolled: tl.constexpr,
    block: tl.constexpr,
    both_signs: tl.constexpr,
    with_keys: tl.constexpr,
    first_bin: tl.constexpr,
    n_bins: tl.constexpr,
):
    """Go through some sentences of some cells; leave their sums, extremes, bins, and the keys that may enter a list.

    keys: (signs, n_sentences, n_cells), only where flags, (signs, blocks, n_sentences), say that these cells have one.
    sums: (chunks, 2, n_cells) float64; counts: (chunks, 2, n_cells) int32; extremes: (chunks, 2, n_cells), minimum and maximum.
    """
    chunk = tl.program_id(1).to(tl.int64)
    cells = tl.program_id(0) * block + tl.arange(0, block)
    inside = cells < n_cells
    chunk_sum = tl.zeros((block,), tl.float64)
    chunk_squares = tl.zeros((block,), tl.float64)
    chunk_active = tl.zeros((block,), tl.int32)
    chunk_sentences = tl.zeros((block,), tl.int32)
    chunk_low = tl.full((block,), float("inf"), tl.float32)
    chunk_high = tl.full((block,), float("-inf"), tl.float32)
    least_high = tl.load(least + cells, mask=inside, other=float("inf"))
    least_low = least_high
    if both_signs:
        least_low = tl.load(least + n_all_cells + cells, mask=inside, other=float("inf"))
    for number in range(sentences):
        sentence = chunk * sentences + number
        length = tl.load(lengths + sentence, mask=sentence < n_sentences, other=0)
        if length > 0:
            row = values + sentence * stride_sentence + first_position * stride_position + cells
            high = tl.full((block,), float("-inf"), tl.float32)
            low = tl.full((block,), float("inf"), tl.float32)
            high_at = tl.zeros((block,), tl.int32)
            low_at = tl.zeros((block,), tl.int32)
            total = tl.zeros((block,), tl.float32)
            squares = tl.zeros((block,), tl.float32)
            whole = length // unrolled * unrolled
            for start in range(0, whole, unrolled):
                for step in tl.static_range(unrolled):
                    position = start + step
                    value = tl.load(row + position * stride_position, mask=inside, other=0.0).to(tl.float32)
                    higher = value > high
                    high = tl.where(higher, value, high)
                    high_at = tl.where(higher, position, high_at)
                    lower = value < low
                    low = tl.where(lower, value, low)
                    if both_signs:
                        low_at = tl.where(lower, position, low_at)
                    total += value
                    squares += value * value
                    chunk_active += (value > 0).to(tl.int32)
            for position in range(whole, length):
                value = tl.load(row + position * stride_position, mask=inside, other=0.0).to(tl.float32)
                higher = value > high
                high = tl.where(higher, value, high)
                high_at = tl.where(higher, position, high_at)
                lower = value < low
                low = tl.where(lower, value, low)
                if both_signs:
                    low_at = tl.where(lower, position, low_at)
                total += value
                squares += value * value
                chunk_active += (value > 0).to(tl.int32)
            chunk_sum += total.to(tl.float64)
            chunk_squares += squares.to(tl.float64)
            chunk_sentences += (high > 0).to(tl.int32)
            chunk_low = tl.minimum(chunk_low, low)
            chunk_high = tl.maximum(chunk_high, high)
            _count(histogram, high, cells, inside, n_all_cells, first_bin, n_bins)
            if with_keys:
                own = tokens + sentence * longest
                flag = flags + tl.program_id(0).to(tl.int64) * n_sentences + sentence
                out = keys + sentence * n_cells + cells
                _leave_keys(high, high_at, least_high, own, out, flag, inside)
            if both_signs:
                _count(histogram + n_bins * n_all_cells, -low, cells, inside, n_all_cells, first_bin, n_bins)
                if with_keys:
                    flag += tl.num_programs(0).to(tl.int64) * n_sentences
                    out = keys + (n_sentences + sentence) * n_cells + cells
                    _leave_keys(-low, low_at, least_low, own, out, flag, inside)
        elif with_keys:
            flag = flags + tl.program_id(0).to(tl.int64) * n_sentences + sentence
            tl.store(flag, 0, mask=sentence < n_sentences)
            if both_signs:
                tl.store(flag + tl.num_programs(0).to(tl.int64) * n_sentences, 0, mask=sentence < n_sentences)
    tl.store(sums + (2 * chunk) * n_cells + cells, chunk_sum, mask=inside)
    tl.store(sums + (2 * chunk + 1) * n_cells + cells, chunk_squares, mask=inside)
    tl.store(counts + (2 * chunk) * n_cells + cells, chunk_active, mask=inside)
    tl.store(counts + (2 * chunk + 1) * n_cells + cells, chunk_sentences, mask=inside)
    tl.store(extremes + (2 * chunk) * n_cells + cells, chunk_low, mask=inside)
    tl.store(extremes + (2 * chunk + 1) * n_cells + cells, chunk_high, mask=inside)


@triton.jit(do_not_specialize=["n_rows", "top", "n_chunks"])
def _let_compete(
    scores,
    offsets,
    tokens,
    n_rows,
    n_cells,
    flags,
    lists,
    least,
    top,
    chunk_sums,
    chunk_counts,
    chunk_extremes,
    n_chunks,
    sums,
    minimum,
    maximum,
    n_all_cells,
    n_signs: tl.constexpr,
    from_keys: tl.constexpr,
    block: tl.constexpr,
    slots: tl.constexpr,
    tile: tl.constexpr,
    scanned: tl.constexpr,
):
    """Let the keys of a batch compete for the lists of some cells, and add up what the first kernel left.

    lists: (n_cells, n_signs, top) int64, in any order. scores: with ``from_keys`` the keys, (signs, n_rows, n_cells); else
    coefficients, of which row i begins at offsets[i] and is the token tokens[i].
    """
    sign = tl.program_id(1)
    cells = tl.program_id(0) * block + tl.arange(0, block)
    inside = cells < n_cells
    slot = tl.arange(0, slots)
    place = lists + (cells[:, None].to(tl.int64) * n_signs + sign) * top + slot[None, :]
    held = inside[:, None] & (slot[None, :] < top)
    mine = tl.load(place, mask=held, other=9223372036854775807)
    smallest = tl.min(mine, axis=1)
    changed = 0
    block_flags = flags + (sign * tl.cdiv(n_cells, scanned) + tl.program_id(0) * block // scanned).to(tl.int64) * n_rows
    for start in range(0, n_rows, tile):
        rows = start + tl.arange(0, tile)
        there = rows < n_rows
        if from_keys:
            there = there & (tl.load(block_flags + rows, mask=there, other=0) > 0)
        if tl.max(there.to(tl.int32), axis=0) > 0:
            both = there[:, None] & inside[None, :]
            if from_keys:
                at = (sign * n_rows + rows).to(tl.int64)[:, None] * n_cells + cells[None, :]
                found = tl.load(scores + at, mask=both, other=0)
            else:
                offset = tl.load(offsets + rows, mask=there, other=0)
                token = tl.load(tokens + rows, mask=there, other=0)
                value = tl.load(scores + offset[:, None] + cells[None, :], mask=both, other=0.0).to(tl.float32)
                found = _key(tl.where(sign == 0, value, -value), token[:, None])
            best = tl.max(found, axis=0)
            more = tl.max((best > smallest).to(tl.int32), axis=0)
            while more > 0:
                takes = best > smallest
                first = tl.min(tl.where(mine == smallest[:, None], slot[None, :], slots), axis=1)
                mine = tl.where(takes[:, None] & (slot[None, :] == first[:, None]), best[:, None], mine)
                found = tl.where(found == best[None, :], 0, found)
                best = tl.max(found, axis=0)
                smallest = tl.min(mine, axis=1)
                more = tl.max((best > smallest).to(tl.int32), axis=0)
                changed = 1
    if changed > 0:
        tl.store(place, mine, mask=held)
        tl.store(
            least + sign * n_all_cells + cells,
            (smallest >> _SHIFT).to(tl.int32).to(tl.float32, bitcast=True),
            mask=inside,
        )
    if sign == 0:
        total = tl.load(sums + cells, mask=inside, other=0.0)
        squares = tl.load(sums + n_all_cells + cells, mask=inside, other=0.0)
        active = tl.load(sums + 2 * n_all_cells + cells, mask=inside, other=0.0)
        sentences = tl.load(sums + 3 * n_all_cells + cells, mask=inside, other=0.0)
        low = tl.load(minimum + cells, mask=inside, other=0.0)
        high = tl.load(maximum + cells, mask=inside, other=0.0)
        for start in range(0, n_chunks, tile):
            chunks = (start + tl.arange(0, tile)).to(tl.int64)
            there = (chunks < n_chunks)[:, None] & inside[None, :]
            twice = 2 * chunks[:, None] * n_cells + cells[None, :]
            total += tl.sum(tl.load(chunk_sums + twice, mask=there, other=0.0), axis=0)
            squares += tl.sum(tl.load(chunk_sums + twice + n_cells, mask=there, other=0.0), axis=0)
            active += tl.sum(tl.load(chunk_counts + twice, mask=there, other=0), axis=0)
            sentences += tl.sum(tl.load(chunk_counts + twice + n_cells, mask=there, other=0), axis=0)
            lows = tl.load(chunk_extremes + twice, mask=there, other=float("inf"))
            low = tl.minimum(low, tl.min(lows, axis=0))
            highs = tl.load(chunk_extremes + twice + n_cells, mask=there, other=float("-inf"))
            high = tl.maximum(high, tl.max(highs, axis=0))
        tl.store(sums + cells, total, mask=inside)
        tl.store(sums + n_all_cells + cells, squares, mask=inside)
        tl.store(sums + 2 * n_all_cells + cells, active, mask=inside)
        tl.store(sums + 3 * n_all_cells + cells, sentences, mask=inside)
        tl.store(minimum + cells, low, mask=inside)
        tl.store(maximum + cells, high, mask=inside)


def observe(
    values: Tensor,
    first_position: int,
    lengths: Tensor,
    tokens: Tensor,
    rows: Tensor,
    lists: Tensor,
    least: Tensor,
    histogram: Tensor,
    minimum: Tensor,
    maximum: Tensor,
    sums: Tensor,
    every_position: bool,
) -> None:
    """Count the coefficients of one batch, and let them compete. Returns before the device has done so.

    Args:
        values: (sentences, positions, cells), any float type, cells next to each other.
        first_position: the first position that competes.
        lengths: (sentences,) int32, how many positions from there on do; padding follows.
        tokens: (sentences, longest) int64, their token indices.
        rows: (2, competing) int64: sentence and position of every competing position; empty unless ``every_position``.
        lists: (cells, signs, top) int64, contiguous, see store/keys.py; in any order.
        least: (signs, cells) float32: the smallest coefficient of each full list, else 0; a part of one of more cells.
        histogram: (signs, bins, cells) int32, a part of one of more cells, as those that follow.
        minimum: (cells,) float32.
        maximum: (cells,) float32.
        sums: (4, cells) float64: of the coefficients, of their squares, how many are positive, in how many sentences.
        every_position: whether each position competes, or only a sentence's best.
    """
    n_sentences, n_cells, (_, n_signs, top) = len(lengths), values.shape[2], lists.shape
    if n_sentences == 0 or tokens.shape[1] == 0:
        return
    assert values.stride(2) == 1 and lists.is_contiguous() and sums.stride(0) == histogram.stride(1)
    n_blocks = triton.cdiv(n_cells, _SCAN_CELLS)
    each = max(1, min(_SCAN_POSITIONS // tokens.shape[1], n_sentences * n_blocks // _SCAN_PROGRAMS))
    n_chunks = triton.cdiv(n_sentences, each)
    new: dict[str, Any] = {"device": values.device}
    flags = torch.empty((n_signs, n_blocks, n_sentences), dtype=torch.int8, **new)
    keys = torch.empty((n_signs, n_sentences, n_cells) if not every_position else (1,), dtype=torch.int64, **new)
    chunk_sums = torch.empty((n_chunks, 2, n_cells), dtype=torch.float64, **new)
    chunk_counts = torch.empty((n_chunks, 2, n_cells), dtype=torch.int32, **new)
    extremes = torch.empty((n_chunks, 2, n_cells), dtype=torch.float32, **new)
    _scan_sentences[(n_blocks, n_chunks)](
        values,
        values.stride(0),
        values.stride(1),
        first_position,
        lengths,
        tokens,
        tokens.shape[1],
        n_sentences,
        n_cells,
        least,
        histogram,
        histogram.stride(1),
        keys,
        flags,
        chunk_sums,
        chunk_counts,
        extremes,
        sentences=each,
        unrolled=_UNROLLED,
        block=_SCAN_CELLS,
        both_signs=n_signs > 1,
        with_keys=not every_position,
        first_bin=_FIRST_BIN,
        n_bins=N_BINS,
        num_warps=1,
    )
    slots = triton.next_power_of_2(top)
    block = max(1, min(32, _LISTED // slots))
    offsets = rows[0] * values.stride(0) + (rows[1] + first_position) * values.stride(1) if every_position else lengths
    _let_compete[(triton.cdiv(n_cells, block), n_signs)](
        values if every_position else keys,
        offsets,
        tokens[rows[0], rows[1]] if every_position else tokens,
        len(offsets) if every_position else n_sentences,
        n_cells,
        flags,
        lists,
        least,
        top,
        chunk_sums,
        chunk_counts,
        extremes,
        n_chunks,
        sums,
        minimum,
        maximum,
        histogram.stride(1),
        n_signs=n_signs,
        from_keys=not every_position,
        block=block,
        slots=slots,
        tile=_TILE,
        scanned=_SCAN_CELLS,
        num_warps=4,
    )
