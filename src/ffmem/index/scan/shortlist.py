"""The best tokens of values on a CPU: cheap products say which tokens cannot be among them, the others are scored exactly.

**The score** of a value v and a token's vector u is their product, summed in float64 in one fixed order (of 32 lanes) and
rounded to float32. It depends on these two vectors only: not on what is projected beside them, the number of threads or the
processor.

**What is left out** is so by a proof, never by a guess. Let v~ and u~ be vectors near v and u, of whose products a
processor makes many at a time. Then, by the inequality of Cauchy and Schwarz,

    |v.u - v~.u~| = |v.(u - u~) + (v - v~).u~| <= |v| |u - u~| + |v - v~| |u~|

All lengths are measured, not estimated. The k tokens with the highest v~.u~ are scored exactly; the least of their scores
is a floor for what the best k must reach. A token whose v~.u~ with that bound lies below the floor cannot be among them.
All others are scored exactly as well. `_ROUNDING` covers what float32 rounds in the bounds and float64 in the scores.

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

from ffmem.index.state.shortlist_kernel import BLOCK, TILE, Rows, Tokens, best_tokens, block_extremes, quantise

_ROWS = 256
"""Values scored at a time: 256 x 50,000 products are 50 MB; larger blocks do not make them faster."""
_ROUNDING = 2.0**-20
"""Relative; float32's own is 2^-24, and no bound takes more than eight operations."""
_SHORTEST = 1e-25
"""Added to the lengths of all tokens but zeros, so that numbers too small for float32 are covered as well."""
_LARGEST = 1e30
"""No number is larger, nor a product of lengths: beyond, sums in float32 might overflow."""
_FLOAT_DIGITS, _MOST_ADDED = 2.0**-24, 100_000
"""Rounding of one operation in float32; products that a sum may have, so that whole numbers fit into 32 bits."""


class _Near(NamedTuple):
    """Vectors near some others."""

    codes: Tensor
    """int8 or float32 (n, d)."""
    unit: np.ndarray
    """float64 (n): codes x unit are the near vectors."""
    residual: np.ndarray
    """float64 (n): how far they are from the others."""
    length: np.ndarray
    """float64 (n): how long they are."""


def _near(vectors: Float[Tensor, "n d"], in_bytes: bool, own_unit: bool = True) -> _Near:
    """Vectors near finite ones; of float32 those themselves, in powers of two near the largest number of each."""
    whole = vectors.contiguous().numpy()
    unit, residual, length = (np.zeros(len(whole)) for _ in range(3))
    if in_bytes:
        codes = np.empty(whole.shape, np.int8)
        quantise(whole, codes, unit, residual, length)
        return _Near(torch.from_numpy(codes), unit, residual, length)
    lengths = np.sqrt(np.einsum("nd,nd->n", whole, whole, dtype=np.float64))
    if not own_unit:
        return _Near(vectors, np.ones(len(whole)), residual, lengths)
    most = np.abs(whole).max(1, initial=0.0).astype(np.float64)
    unit = np.where(most > 0, np.exp2(np.frexp(most)[1]), 0.0)
    scaled = (whole / np.where(unit > 0, unit, 1.0)[:, None]).astype(np.float32)
    residual = np.linalg.norm(whole - scaled * unit[:, None], axis=1)
    return _Near(torch.from_numpy(scaled), unit, residual, lengths + residual)


class Shortlist:
    """Finds the best tokens of values under one projection matrix.

    Args:
        matrix: float32, on the CPU.
        in_bytes: whether near vectors are of whole numbers; by default where these are faster.

    Cost: a pass over the matrix; memory of a quarter of it with whole numbers, none without, and 12 bytes a token.
    """

    def __init__(self, matrix: Float[Tensor, "d_vocab d_model"], in_bytes: bool | None = None) -> None:
        self.matrix = matrix
        d_vocab, self._d_model = matrix.shape
        self._in_bytes = has_fast_bytes() if in_bytes is None else in_bytes
        self._is_small = self._d_model <= _MOST_ADDED and _largest(matrix) <= _LARGEST
        if not self._is_small:
            return
        near = _near(matrix, self._in_bytes, own_unit=False)
        length = near.length + np.where(near.length + near.residual > 0, _SHORTEST, 0.0)
        self._codes, self._longest = near.codes, float((near.length + near.residual).max(initial=0.0))
        starts = np.arange(0, d_vocab, BLOCK)
        unit, residual, length = (one.astype(np.float32) for one in (near.unit, near.residual, length))
        self._tokens = Tokens(
            matrix.contiguous().numpy(),
            unit,
            residual,
            length,
            np.maximum.reduceat(residual, starts),
            np.maximum.reduceat(length, starts),
        )

    def covers(self, rows: Float[Tensor, "cells d_model"]) -> bool:
        """Whether all numbers are finite and none so large that a score might not be."""
        if not (self._is_small and _largest(rows) <= _LARGEST):
            return False
        longest = float(torch.linalg.vector_norm(rows, dim=1, dtype=torch.float64).max()) if len(rows) else 0.0
        return longest * self._longest <= _LARGEST

    def best(self, rows: Float[Tensor, "cells d_model"], k: int) -> Iterator[Int[Tensor, "ends some k"]]:
        """The keys of the k best tokens of rows that are covered, some rows at a time; best first.

        The second end is that of the lowest scores; its keys are those of their negatives.

        Cost: a product of whole numbers a score, and some hundred exact scores a row and end; rows at a time x d_vocab x 4 bytes.
        """
        d_vocab = len(self._tokens.unit)
        buffer = torch.empty(min(_ROWS, len(rows)) * d_vocab, dtype=torch.int32 if self._in_bytes else torch.float32)
        for start in range(0, len(rows), _ROWS):
            some, codes = self._rows(rows[start : start + _ROWS])
            products = buffer[: len(codes) * d_vocab]
            extremes = np.empty((2, len(codes), len(self._tokens.block_length)), np.float32)
            for first in range(0, d_vocab, TILE):
                tile = self._codes[first : first + TILE]
                out = products[len(codes) * first :][: len(codes) * len(tile)].view(len(codes), len(tile))
                if self._in_bytes:
                    torch._int_mm(codes, tile.T, out=out)
                else:
                    torch.mm(codes, tile.T, out=out)
                block_extremes(out.numpy(), self._tokens.unit, first, extremes)
            found = np.empty((2, len(codes), k), np.int64)
            best_tokens(products.numpy(), self._tokens, some, extremes, found)
            found.sort(axis=2)
            yield torch.from_numpy(np.ascontiguousarray(found[:, :, ::-1]))

    def _rows(self, rows: Float[Tensor, "some d_model"]) -> tuple[Rows, Tensor]:
        """Rows with their bounds, and the near vectors of them."""
        near = _near(rows, self._in_bytes)
        length = near.length + near.residual
        per_length = near.residual + _ROUNDING * (length + near.residual)
        if not self._in_bytes:
            per_length += 1.01 * self._d_model * _FLOAT_DIGITS * length
        unit = np.where(near.unit > 0, near.unit, 1.0)
        bounds = ((one / unit * (1 + _ROUNDING)).astype(np.float32) for one in (length, per_length))
        return Rows(rows.double().contiguous().numpy(), near.unit, *bounds), near.codes


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
