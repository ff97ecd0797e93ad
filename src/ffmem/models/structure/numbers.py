"""How alike two tensors are, and what one is multiplied with to give another."""

from collections.abc import Sequence

import torch
from torch import Tensor

TOLERANCE = 1e-5
"""Largest difference that counts as rounding in float32, as a share of the largest number."""


LEAST = 1e-3
"""What memories must be multiplied with at least: with 0 something else would explain a sum in their place."""
_ROUNDING = 3e-7
"""Of a sum of a few numbers in float32, as a share of the largest."""


def error(found: Tensor, expected: Tensor) -> float:
    """max|found - expected| / max|expected|; infinite where shapes differ or a number is none."""
    if found.shape != expected.shape:
        return float("inf")
    found, expected = found.detach(), expected.detach()
    difference = float((found.double() - expected.double()).abs().max())
    scale = float(expected.double().abs().max())
    if not difference < float("inf"):
        return float("inf")
    return difference / scale if scale else (0.0 if difference == 0 else float("inf"))


def fit(expected: Tensor, parts: Sequence[Tensor], measure: Tensor | None = None) -> tuple[tuple[float, ...], float]:
    """What parts are multiplied with so that they add up to a tensor, and how far they miss it so.

    Multipliers of 1 are preferred where they do.

    Args:
        expected: the sum.
        parts: what is added.
        measure: of which the error is a share, but for the rounding of the sum; None: the sum itself. A sum may have entries
            that are thousands of times as large as what a part adds to it.
    """
    if any(part.shape != expected.shape for part in parts):
        return (1.0,) * len(parts), float("inf")
    exact = expected.double()
    columns = torch.stack([part.double().flatten() for part in parts], dim=1)
    ones = _missed(columns.sum(1).view(expected.shape), exact, measure)
    if ones <= TOLERANCE:
        return (1.0,) * len(parts), ones
    found = torch.linalg.lstsq(columns, exact.flatten()[:, None]).solution.flatten()
    if not bool(found.isfinite().all()):
        return (1.0,) * len(parts), float("inf")
    scales = torch.tensor([_plain(float(one)) for one in found], dtype=torch.float64)
    return tuple(scales.tolist()), _missed((columns @ scales).view(expected.shape), exact, measure)


def _missed(found: Tensor, expected: Tensor, measure: Tensor | None) -> float:
    if measure is None:
        return error(found, expected)
    largest = float((found - expected).abs().max())
    rounding = _ROUNDING * float(expected.abs().max())
    scale = float(measure.double().abs().max())
    if not largest < float("inf") or not scale:
        return float("inf")
    return max(largest - rounding, 0.0) / scale


def _plain(scale: float) -> float:
    """1 or a number of few digits where that is meant."""
    for digits in (0, 1, 2, 3, 4, 5):
        if abs(round(scale, digits) - scale) <= 1e-6 * abs(scale):
            return round(scale, digits)
    return scale
