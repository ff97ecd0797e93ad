"""The inner loops of indexing on a GPU, in Triton: the coefficients are read once, and nothing waits for the host.

Tensors in, tensors out; knows no model. Two kernels a layer: `_scan_sentences` goes through the positions of each sentence,
counts, and leaves each sentence's best keys (see topk.py); `_let_compete` lets them compete for the lists. One program owns
the lists of a few cells and holds them in registers, so that no two write to one place, and no result depends on an order.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from ffmem.index.histogram import LOWEST_EXPONENT, N_BINS

MAX_TOP = 4096
"""The longest list that a program can hold."""

_SCAN_CELLS = 128
_SCAN_POSITIONS = 128
"""Positions that a program of the first kernel reads, at least one sentence."""
_UNROLLED = 8
_LISTED = 2048
"""Keys that a program of the second kernel holds."""
_TILE = 32
_FIRST_BIN = 2 * (127 + LOWEST_EXPONENT) - 1


@triton.jit
def _key(score, token):  # type: ignore[no-untyped-def]
    """See topk.pack; 0 unless the score is positive."""
    bits = score.to(tl.int32, bitcast=True).to(tl.int64)
    return tl.where(score > 0, (bits << 32) | (4294967295 - token), 0)


@triton.jit
def _count(histogram, extreme, cells, mask, n_all_cells, first_bin: tl.constexpr, n_bins: tl.constexpr):  # type: ignore[no-untyped-def]
    place = (extreme.to(tl.int32, bitcast=True) >> 22) - first_bin
    place = tl.minimum(tl.maximum(place, 0), n_bins - 1)
    tl.atomic_add(histogram + place.to(tl.int64) * n_all_cells + cells, 1, mask=mask, sem="relaxed")


@triton.jit(do_not_specialize=["first_position", "longest", "n_sentences", "sentences"])
def _scan_sentences(  # type: ignore[no-untyped-def]
    values,
    stride_sentence,
    stride_position,
    first_position,
    lengths,
    tokens,
    longest,
    n_sentences,
    n_cells,
    histogram,
    n_all_cells,
    keys,
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
    """Go through some sentences of some cells; leave their sums, extremes, best keys and bins.

    keys: (signs, n_sentences, n_cells); sums: (chunks, 2, n_cells) float64; counts: (chunks, n_cells) int32; extremes:
    (chunks, 2, n_cells) float32, minimum and maximum.
    """
    chunk = tl.program_id(1).to(tl.int64)
    cells = tl.program_id(0) * block + tl.arange(0, block)
    inside = cells < n_cells
    chunk_sum = tl.zeros((block,), tl.float64)
    chunk_squares = tl.zeros((block,), tl.float64)
    chunk_active = tl.zeros((block,), tl.int32)
    chunk_low = tl.full((block,), float("inf"), tl.float32)
    chunk_high = tl.full((block,), float("-inf"), tl.float32)
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
                    lower = value < low
                    high = tl.where(higher, value, high)
                    high_at = tl.where(higher, position, high_at)
                    low = tl.where(lower, value, low)
                    low_at = tl.where(lower, position, low_at)
                    total += value
                    squares += value * value
                    chunk_active += (value > 0).to(tl.int32)
            for position in range(whole, length):
                value = tl.load(row + position * stride_position, mask=inside, other=0.0).to(tl.float32)
                higher = value > high
                lower = value < low
                high = tl.where(higher, value, high)
                high_at = tl.where(higher, position, high_at)
                low = tl.where(lower, value, low)
                low_at = tl.where(lower, position, low_at)
                total += value
                squares += value * value
                chunk_active += (value > 0).to(tl.int32)
            chunk_sum += total.to(tl.float64)
            chunk_squares += squares.to(tl.float64)
            chunk_low = tl.minimum(chunk_low, low)
            chunk_high = tl.maximum(chunk_high, high)
            _count(histogram, high, cells, inside, n_all_cells, first_bin, n_bins)
            if both_signs:
                second = histogram + n_bins * n_all_cells
                _count(second, -low, cells, inside, n_all_cells, first_bin, n_bins)
            if with_keys:
                own = tokens + sentence * longest
                out = keys + sentence * n_cells + cells
                second_out = keys + (n_sentences + sentence) * n_cells + cells
                token = tl.load(own + high_at, mask=inside, other=0)
                tl.store(out, _key(high, token), mask=inside)
                if both_signs:
                    token = tl.load(own + low_at, mask=inside, other=0)
                    tl.store(second_out, _key(-low, token), mask=inside)
        else:
            if with_keys:
                out = keys + sentence * n_cells + cells
                second_out = keys + (n_sentences + sentence) * n_cells + cells
                empty = tl.zeros((block,), tl.int64)
                there = inside & (sentence < n_sentences)
                tl.store(out, empty, mask=there)
                if both_signs:
                    tl.store(second_out, empty, mask=there)
    tl.store(sums + (2 * chunk) * n_cells + cells, chunk_sum, mask=inside)
    tl.store(sums + (2 * chunk + 1) * n_cells + cells, chunk_squares, mask=inside)
    tl.store(counts + chunk * n_cells + cells, chunk_active, mask=inside)
    tl.store(extremes + (2 * chunk) * n_cells + cells, chunk_low, mask=inside)
    tl.store(extremes + (2 * chunk + 1) * n_cells + cells, chunk_high, mask=inside)


@triton.jit(do_not_specialize=["n_rows", "top", "n_chunks"])
def _let_compete(  # type: ignore[no-untyped-def]
    scores,
    offsets,
    tokens,
    n_rows,
    n_cells,
    lists,
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
    least = tl.min(mine, axis=1)
    changed = 0
    for start in range(0, n_rows, tile):
        rows = start + tl.arange(0, tile)
        there = (rows < n_rows)[:, None] & inside[None, :]
        if from_keys:
            at = (sign * n_rows + rows).to(tl.int64)[:, None] * n_cells + cells[None, :]
            found = tl.load(scores + at, mask=there, other=0)
        else:
            offset = tl.load(offsets + rows, mask=rows < n_rows, other=0)
            token = tl.load(tokens + rows, mask=rows < n_rows, other=0)
            value = tl.load(scores + offset[:, None] + cells[None, :], mask=there, other=0.0).to(tl.float32)
            found = _key(tl.where(sign == 0, value, -value), token[:, None])
        best = tl.max(found, axis=0)
        more = tl.max((best > least).to(tl.int32), axis=0)
        while more > 0:
            takes = best > least
            smallest = tl.min(tl.where(mine == least[:, None], slot[None, :], slots), axis=1)
            mine = tl.where(takes[:, None] & (slot[None, :] == smallest[:, None]), best[:, None], mine)
            found = tl.where(found == best[None, :], 0, found)
            best = tl.max(found, axis=0)
            least = tl.min(mine, axis=1)
            more = tl.max((best > least).to(tl.int32), axis=0)
            changed = 1
    if changed > 0:
        tl.store(place, mine, mask=held)
    if sign == 0:
        total = tl.load(sums + cells, mask=inside, other=0.0)
        squares = tl.load(sums + n_all_cells + cells, mask=inside, other=0.0)
        active = tl.load(sums + 2 * n_all_cells + cells, mask=inside, other=0.0)
        low = tl.load(minimum + cells, mask=inside, other=0.0)
        high = tl.load(maximum + cells, mask=inside, other=0.0)
        for start in range(0, n_chunks, tile):
            chunks = (start + tl.arange(0, tile)).to(tl.int64)
            there = (chunks < n_chunks)[:, None] & inside[None, :]
            once = chunks[:, None] * n_cells + cells[None, :]
            twice = 2 * chunks[:, None] * n_cells + cells[None, :]
            total += tl.sum(tl.load(chunk_sums + twice, mask=there, other=0.0), axis=0)
            squares += tl.sum(tl.load(chunk_sums + twice + n_cells, mask=there, other=0.0), axis=0)
            active += tl.sum(tl.load(chunk_counts + once, mask=there, other=0), axis=0)
            lows = tl.load(chunk_extremes + twice, mask=there, other=float("inf"))
            low = tl.minimum(low, tl.min(lows, axis=0))
            highs = tl.load(chunk_extremes + twice + n_cells, mask=there, other=float("-inf"))
            high = tl.maximum(high, tl.max(highs, axis=0))
        tl.store(sums + cells, total, mask=inside)
        tl.store(sums + n_all_cells + cells, squares, mask=inside)
        tl.store(sums + 2 * n_all_cells + cells, active, mask=inside)
        tl.store(minimum + cells, low, mask=inside)
        tl.store(maximum + cells, high, mask=inside)


def observe(
    values: Tensor,
    first_position: int,
    lengths: Tensor,
    tokens: Tensor,
    rows: Tensor,
    lists: Tensor,
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
        lists: (cells, signs, top) int64, contiguous, see topk.py; in any order.
        histogram: (signs, bins, cells) int32, a part of one of more cells, as those that follow.
        minimum: (cells,) float32.
        maximum: (cells,) float32.
        sums: (3, cells) float64: of the coefficients, of their squares, how many are positive.
        every_position: whether each position competes, or only a sentence's best.
    """
    n_sentences, n_cells, (_, n_signs, top) = len(lengths), values.shape[2], lists.shape
    if n_sentences == 0 or tokens.shape[1] == 0:
        return
    assert values.stride(2) == 1 and lists.is_contiguous() and sums.stride(0) == histogram.stride(1)
    each = max(1, min(_SCAN_POSITIONS // tokens.shape[1], n_sentences))
    n_chunks = triton.cdiv(n_sentences, each)
    new: dict[str, Any] = {"device": values.device}
    keys = torch.empty((n_signs, n_sentences, n_cells) if not every_position else (1,), dtype=torch.int64, **new)
    chunk_sums = torch.empty((n_chunks, 2, n_cells), dtype=torch.float64, **new)
    chunk_counts = torch.empty((n_chunks, n_cells), dtype=torch.int32, **new)
    extremes = torch.empty((n_chunks, 2, n_cells), dtype=torch.float32, **new)
    _scan_sentences[(triton.cdiv(n_cells, _SCAN_CELLS), n_chunks)](
        values,
        values.stride(0),
        values.stride(1),
        first_position,
        lengths,
        tokens,
        tokens.shape[1],
        n_sentences,
        n_cells,
        histogram,
        histogram.stride(1),
        keys,
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
        lists,
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
        num_warps=4,
    )
