"""The best tokens of values on a CPU: cheap products say which tokens cannot be among them, the others are scored exactly.

**The score** of a value v and a token's vector u is their product, summed in float64 in one fixed order (of 32 lanes) and
rounded to float32. It depends on these two vectors only: not on what is projected beside them, the number of threads or the
processor.

**What is left out** is so by a proof, never by a guess. Let v~ and u~ be vectors near v and u, of whose products a
processor makes many at a time. Then, by the inequality of Cauchy and Schwarz,

    |v.u - v~.u~| = |v.(u - u~) + (v - v~).u~| <= |v| |u - u~| + |v - v~| |u~|

All lengths are measured, not estimated; u is taken less the mean of all tokens, whose product with v is one number for all.

Tokens are gone through some at a time. Of those seen so far, k reach the k-th highest v~.u~ less its bound: that is a floor for
what the best k must reach. A token whose v~.u~ with its bound lies below the floor cannot be among them; all others wait. Each
time that twice as many are seen, the k of the highest lower bounds are scored exactly, since the least of these scores is a
higher floor. At the end all are that wait and still reach the floor.

Two scores that differ may be one number in float32, where the smaller id comes first. So a floor of bounds is lowered by four
times the slack of `Rows`: twice for what either score may be off by beside its bound, and twice for what float32 rounds of
the mean's share, of which that is fourfold. `_ROUNDING` covers what float32 rounds in the bounds and in the rest of the
scores, and float64 in the scores.

Near vectors are whole numbers from -127 to 127 in a unit of each vector's own, where the processor has instructions for
their products (three to four times as fast as float32's; see `has_fast_bytes`), and float32 itself elsewhere, with the bound
on what a sum of d products in any order may round. Which are used decides the time, not one bit of what is found.
"""

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ffmem.index.state.race_kernel import enter, race, settle
from ffmem.index.state.shortlist_kernel import BLOCK, Rows, Tokens, quantise

_ROWS = 256
"""Values scored at a time: larger blocks made them no more than a few percent faster."""
_TILE = 32 * BLOCK
"""Tokens whose products with some rows are made at a time, and read again while they are in the core's cache."""
_ROOM = 4 * _TILE
"""Scores of a row that may wait."""
_ROUNDING = 2.0**-20
"""Relative; float32's own is 2^-24, and no bound takes more than eight operations."""
_SHORTEST = 1e-25
"""Added to the lengths of tokens, so that numbers which float32 holds with fewer digits are covered as well."""
_LARGEST = 1e30
"""No number is larger, nor a product of lengths: beyond, sums in float32 might overflow."""
_FLOAT_DIGITS, _LEAST_FLOAT = 2.0**-24, 2.0**-149
"""Rounding of one operation in float32, and its smallest number."""
_MOST_ADDED = 100_000
"""Products that a sum may have, so that sums of whole numbers fit into 32 bits."""
_TURNED = 4096
"""Vectors turned at a time."""


class _Near(NamedTuple):
    """Vectors near some others, which may have been turned."""

    codes: Tensor
    """int8 or float32 (n, d)."""
    unit: np.ndarray
    """float64 (n): codes x unit are the near vectors; 0 for zeros."""
    residual: np.ndarray
    """float64 (n): how far they are from the others at most."""
    length: np.ndarray
    """float64 (n): how long they are."""


def _near_bytes(vectors: Float[Tensor, "n d"], centre: Float[Tensor, "d"] | None = None) -> _Near:
    """Vectors of whole numbers near finite vectors less a centre, all turned by `_turn`."""
    unit, residual, length = (np.empty(len(vectors)) for _ in range(3))
    codes = np.empty(tuple(vectors.shape), np.int8)
    turn = _turn(vectors.shape[1])
    for start in range(0, len(vectors), _TURNED):
        some = slice(start, start + _TURNED)
        part = vectors[some] if centre is None else vectors[some] - centre
        turned = (part.reshape(-1, len(turn)) @ turn).reshape(part.shape)
        quantise(turned.numpy(), codes[some], unit[some], residual[some], length[some])
    # of each number: a difference, a factor and a sum of products, in any order
    rounded = 1.1 * (len(turn) + 3) * _FLOAT_DIGITS * len(turn) ** 0.5
    return _Near(torch.from_numpy(codes), unit, residual + rounded * (length + residual), length)


def _turn(d_model: int) -> Float[Tensor, "side side"]:
    """An orthogonal matrix (a cosine transform), for equal parts of vectors of d_model numbers.

    It spreads a number much larger than its neighbours over all of them: a unit is as large as the largest needs it.
    """
    side = max(n for n in range(1, min(d_model, 64) + 1) if d_model % n == 0)
    at = np.arange(side)
    found = np.sqrt(2 / side) * np.cos(np.pi * (2 * at[:, None] + 1) * at / (2 * side))
    found[:, 0] /= np.sqrt(2)
    return torch.from_numpy(found.astype(np.float32))


def _lengths(vectors: Float[Tensor, "n d"]) -> np.ndarray:
    return np.asarray(torch.linalg.vector_norm(vectors, dim=1, dtype=torch.float64).numpy())


class Shortlist:
    """Finds the best tokens of values under one projection matrix.

    Args:
        matrix: float32, on the CPU.
        in_bytes: whether near vectors are of whole numbers; by default where these are faster.

    Cost: some passes over the matrix; memory of a quarter of it with whole numbers, none without, and 12 bytes a token.
    """

    def __init__(self, matrix: Float[Tensor, "d_vocab d_model"], in_bytes: bool | None = None) -> None:
        self.matrix = matrix = matrix.contiguous()
        d_vocab, self._d_model = matrix.shape
        self._in_bytes = has_fast_bytes() if in_bytes is None else in_bytes
        self._is_small = self._d_model <= _MOST_ADDED and _largest(matrix) <= _LARGEST
        if not self._is_small:
            return
        self._centre = matrix.mean(0) if self._in_bytes else matrix.new_zeros(self._d_model)
        self._longest = float(_lengths(matrix).max(initial=0.0))
        near = (
            _near_bytes(matrix, self._centre)
            if self._in_bytes
            else _Near(matrix, np.ones(d_vocab), np.zeros(d_vocab), _lengths(matrix))
        )
        self._codes = near.codes
        starts = np.arange(0, d_vocab, BLOCK)
        unit, residual, length = (one.astype(np.float32) for one in (near.unit, near.residual, near.length + _SHORTEST))
        largest = (np.maximum.reduceat(one, starts) for one in (residual, length))
        self._tokens = Tokens(matrix.numpy(), unit, residual, length, *largest)

    def covers(self, rows: Float[Tensor, "cells d_model"]) -> bool:
        """Whether all numbers are finite and none so large that a score might not be."""
        if not (self._is_small and _largest(rows) <= _LARGEST):
            return False
        return float(_lengths(rows).max(initial=0.0)) * self._longest <= _LARGEST

    def best(self, rows: Float[Tensor, "cells d_model"], k: int) -> Iterator[Int[Tensor, "ends some k"]]:
        """The keys of the k best tokens of rows that are covered, some rows at a time; best first.

        The second end is that of the lowest scores; its keys are those of their negatives.

        Cost: a product of near vectors a score, and some hundred exact scores a row and end; memory of 256 rows x 2048
            products x 4 bytes and 256 x 8192 x 12 for what waits, 27 MB, whatever the vocabulary.
        """
        d_vocab, n_rows = len(self._tokens.unit), min(_ROWS, len(rows))
        buffer = torch.empty(n_rows * min(_TILE, d_vocab), dtype=torch.int32 if self._in_bytes else torch.float32)
        for start in range(0, len(rows), _ROWS):
            some, codes = self._rows(rows[start : start + _ROWS])
            n = len(codes)
            state, waiting, raised_at = race(some.unit, k, _ROOM * n), 0, 0
            for first in range(0, d_vocab, _TILE):
                tile = self._codes[first : first + _TILE]
                out = buffer[: n * len(tile)].view(n, len(tile))
                if self._in_bytes:
                    torch._int_mm(codes, tile.T, out=out)
                else:
                    torch.mm(codes, tile.T, out=out)
                if waiting + 2 * out.numel() > len(state.slot):
                    waiting, _ = settle(self._tokens, some, state, waiting, True)
                waiting = enter(out.numpy(), first, self._tokens, some, state, waiting)
                seen = first + len(tile)
                if seen >= 2 * raised_at or seen == d_vocab:
                    waiting, _ = settle(self._tokens, some, state, waiting, False)
                    raised_at = seen
            settle(self._tokens, some, state, waiting, True)
            found = state.best.reshape(2, n, k)
            found.sort(axis=2)
            # a copy, also of one token: torch takes no array whose numbers run backwards
            yield torch.from_numpy(found[:, :, ::-1].copy())

    def _rows(self, rows: Float[Tensor, "some d_model"]) -> tuple[Rows, Tensor]:
        """Rows with their bounds, and the near vectors of them."""
        vectors = rows.double()
        # powers of two, so that no row is of numbers which float32 holds with fewer digits
        powers = np.exp2(np.frexp(vectors.abs().amax(1).numpy())[1])
        scaled = (vectors / torch.from_numpy(powers)[:, None]).float()
        lengths = _lengths(scaled) * (1 + _ROUNDING)
        near = (
            _near_bytes(scaled)
            if self._in_bytes
            else _Near(scaled, (lengths > 0) * 1.0, lengths * _FLOAT_DIGITS, lengths)
        )
        per_length = near.residual + _ROUNDING * (near.length + near.residual)
        if not self._in_bytes:
            per_length += 1.01 * self._d_model * _FLOAT_DIGITS * near.length
        unit = np.where(near.unit > 0, near.unit, 1.0)
        bounds = ((one / unit * (1 + _ROUNDING)).astype(np.float32) for one in (lengths, per_length))
        offset = (vectors @ self._centre.double()).numpy()
        slack = lengths * powers * float(_lengths(self._centre[None])[0]) * 4 * _FLOAT_DIGITS + _LEAST_FLOAT
        gap = (4 * slack / np.where(near.unit > 0, near.unit * powers, 1.0)).astype(np.float32)
        return Rows(rows.contiguous().numpy(), near.unit * powers, offset, slack, gap, *bounds), near.codes


def _largest(vectors: Float[Tensor, "n d"]) -> float:
    """The largest number in size; NaN or infinity if there is one."""
    return max(abs(float(end)) for end in vectors.aminmax()) if vectors.numel() else 0.0


@cache
def has_fast_bytes() -> bool:
    """Whether products of int8 are known to be fast here, and are seen to be exact.

    Without the instructions that sum four products of bytes at once they are hardly faster than float32's, and on some
    processors sums of two products saturate: hence the trial, of the largest numbers.
    """
    known = getattr(torch.cpu, "_is_vnni_supported", None)
    if known is None or not known() or not hasattr(torch, "_int_mm"):
        return False
    ends = torch.tensor([-127, 127, 126, 127], dtype=torch.int8)
    codes = torch.stack([ends.repeat(64), ends.roll(1).repeat(64), torch.full((256,), 127, dtype=torch.int8)])
    return torch.equal(torch._int_mm(codes, codes.T).long(), codes.long() @ codes.long().T)
