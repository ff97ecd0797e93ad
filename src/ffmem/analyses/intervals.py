"""Estimates with their intervals: of proportions, and of means over things that come in groups."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

N_RESAMPLES = 2_000
"""Of a bootstrap."""
_Z = 1.959963984540054
"""97.5 % of a normal distribution lie below it."""
_MOST_PICKS = 2**22
"""Numbers drawn at a time."""


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    """NaN if there is nothing to estimate it from."""
    low: float
    high: float
    n: int
    """Things it was estimated from."""


def proportion(n_hits: int, n: int) -> Estimate:
    """A proportion with Wilson's interval (1927), which holds near 0 and 1, too.

    Args:
        n_hits: how many of ``n`` have a property.
        n: how many there are.
    """
    if n == 0:
        return Estimate(np.nan, np.nan, np.nan, 0)
    p, z2 = n_hits / n, _Z**2 / n
    middle, half = (p + z2 / 2) / (1 + z2), _Z / (1 + z2) * np.sqrt(p * (1 - p) / n + z2 / (4 * n))
    # at the ends it touches them exactly, but for rounding
    low, high = (0.0 if n_hits == 0 else middle - half), (1.0 if n_hits == n else middle + half)
    return Estimate(float(p), float(low), float(high), n)


def mean(values: np.ndarray, groups: np.ndarray | None = None, *, seed: int = 0) -> Estimate:
    """A mean with its bootstrap percentile interval; with groups, whole groups are drawn (Efron & Tibshirani 1993, 13.3, 8.3).

    Args:
        values: (n,) numbers.
        groups: (n,) the group of each, as integers: values of one group are not independent.
        seed: of the draws.

    Returns:
        the mean over all values; n counts values.
    """
    if len(values) == 0:
        return Estimate(np.nan, np.nan, np.nan, 0)
    values = values.astype(np.float64)
    if groups is None:
        sums, counts = values, np.ones(len(values))
    else:
        _, numbers = np.unique(groups, return_inverse=True)
        sums, counts = np.bincount(numbers, values), np.bincount(numbers).astype(np.float64)
    means = np.concatenate([sums[picks].sum(1) / counts[picks].sum(1) for picks in _draws(len(sums), seed)])
    low, high = np.quantile(means, [0.025, 0.975])
    return Estimate(float(values.mean()), float(low), float(high), len(values))


def ratio(numerators: np.ndarray, denominators: np.ndarray, *, seed: int = 0) -> Estimate:
    """A ratio of two sums with its bootstrap percentile interval.

    Args:
        numerators: (n,) what each drawn thing adds to the upper sum.
        denominators: (n,) to the lower one. Draws in which it is 0 are left out.
        seed: of the draws.
    """
    if len(numerators) == 0 or denominators.sum() == 0:
        return Estimate(np.nan, np.nan, np.nan, len(numerators))
    low, high = np.nanquantile(_ratios(numerators, denominators, seed), [0.025, 0.975])
    return Estimate(float(numerators.sum() / denominators.sum()), float(low), float(high), len(numerators))


def ratio_difference(
    first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray], *, seed: int = 0
) -> Estimate:
    """The first ratio of two sums less the second, of the same things; each draw takes the same ones for both.

    Args:
        first: numerators and denominators, as in `ratio`.
        second: the same, for the same things in the same order.
        seed: of the draws.
    """
    n = len(first[0])
    if n == 0 or first[1].sum() == 0 or second[1].sum() == 0:
        return Estimate(np.nan, np.nan, np.nan, n)
    low, high = np.nanquantile(_ratios(*first, seed) - _ratios(*second, seed), [0.025, 0.975])
    value = first[0].sum() / first[1].sum() - second[0].sum() / second[1].sum()
    return Estimate(float(value), float(low), float(high), n)


def _ratios(numerators: np.ndarray, denominators: np.ndarray, seed: int) -> np.ndarray:
    above, below = numerators.astype(np.float64), denominators.astype(np.float64)
    with np.errstate(invalid="ignore"):
        return np.concatenate([above[picks].sum(1) / below[picks].sum(1) for picks in _draws(len(above), seed)])


def _draws(n: int, seed: int) -> Iterator[np.ndarray]:
    """(draws, n) numbers below n each, some draws at a time, together N_RESAMPLES."""
    rng = np.random.default_rng(seed)
    rows = max(1, _MOST_PICKS // n)
    for first in range(0, N_RESAMPLES, rows):
        yield rng.integers(0, n, (min(rows, N_RESAMPLES - first), n))
