"""What is more than a ratio of sums: the least of several, a quantile, and what is known by leaving groups out."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float, Int64

from ffmem.analyses.intervals import FEW, Sums, Uncertain, drawn_ratios, draws_of, each_ratio, pivots_of

_CANDIDATES = 512
"""Values of a quantile that are told apart."""


def chosen(sums: Sums, which: Literal["least", "most"], *, seed: int = 0) -> tuple[int, Uncertain]:
    """The column with the least or the largest ratio, largely corrected for having been chosen by the numbers that tell of it.

    Each draw chooses anew, and is compared with what all groups say of the column that it chose: by so much does the least of
    several ratios, by chance, lie too low. The value is corrected by the mean of that, and the interval by all of it. (To
    choose by one half of the documents and to measure by the other would need no correction, and waste half of them.)

    Returns:
        the column that all groups choose, and its ratio.
    """
    there, sign = (sums.below > 0).any(1), 1 if which == "least" else -1
    some, one_by_one = Sums(sums.above[there], sums.below[there], sums.signed), each_ratio(sums, seed=seed)
    values = np.array([one.value for one in one_by_one])
    column = 0 if np.isnan(values).all() else int(np.nanargmin(sign * values))
    alone, n_groups = one_by_one[column], len(some.above)
    if n_groups < FEW or alone.effective is not None or not alone.error > 0:
        return column, alone
    drawn = drawn_ratios(some, seed)
    candidates = sign * (drawn.values + drawn.off)
    picked = np.where(np.isnan(candidates), np.inf, candidates).argmin(1)
    rows = np.arange(len(picked))
    off = drawn.off[rows, picked]
    # in parts of each column's own error, so that the chosen one's says how far it is off
    pivots = pivots_of(off, drawn.drawn_errors[rows, picked], alone.error, n_groups)
    value = float(np.clip(alone.value - off.mean(), *alone.bounds))
    shift = (value - alone.value) / alone.error
    return column, Uncertain(value, alone.error, n_groups, alone.n, pivots + shift, alone.bounds)


def of_draws(value: float, draws: Float[np.ndarray, " draws"], n_groups: int, n: int) -> Uncertain:
    """What was computed anew from each draw, such as a median: the percentile interval, as wide as Student's t asks.

    Source: Hesterberg 2015, section 5.2: percentiles of a small sample are too narrow, so no end is nearer than Student's t has
        it with the draws' standard deviation, enlarged by sqrt(n / (n - 1)).
    """
    there = draws[np.isfinite(draws)]
    if n_groups < 2 or not len(there):
        return Uncertain(value, np.nan, n_groups, n)
    widen = np.sqrt(n_groups / (n_groups - 1))
    error = float(there.std() * widen)
    pivots = np.sort((value - there) * widen / error) if error else np.empty(0)
    return Uncertain(value, error, n_groups, n, pivots)


def quantile_draws(
    values: Float[np.ndarray, "n columns"], groups: Int64[np.ndarray, " n"], n_groups: int, at: float, *, seed: int = 0
) -> Float[np.ndarray, "draws columns"]:
    """A quantile of each column in each draw of whole groups; NaN (left out) is no value. See `of_draws`.

    Of more than `_CANDIDATES` values as many, evenly spread among the ordered ones, stand for all.

    Cost: a product of draws x groups with groups x candidates for each column.
    """
    draws = draws_of(n_groups, seed).astype(np.float32)
    found = np.full((len(draws), values.shape[1]), np.nan)
    for column in range(values.shape[1]):
        there = ~np.isnan(values[:, column])
        if not there.any():
            continue
        ordered = np.sort(values[there, column])
        some = np.linspace(0, len(ordered) - 1, min(_CANDIDATES, len(ordered))).round().astype(np.int64)
        candidates = np.unique(ordered[some])
        place = np.searchsorted(candidates, values[there, column])
        flat = groups[there] * len(candidates) + place
        counts = np.bincount(flat, minlength=n_groups * len(candidates)).reshape(n_groups, -1).cumsum(1)
        reached = draws @ counts.astype(np.float32)
        first = (reached < at * reached[:, -1:]).sum(1)
        found[:, column] = np.where(reached[:, -1] > 0, candidates[np.minimum(first, len(candidates) - 1)], np.nan)
    return found


def jackknifed(value: float, without: Sequence[float], n: int) -> Uncertain:
    """An estimate and what it is with one group left out at a time (Efron & Tibshirani 1993, chapter 11), by Student's t."""
    parts = np.array([one for one in without if one == one])
    if len(parts) < 2:
        return Uncertain(value, np.nan, len(parts), n)
    error = np.sqrt((len(parts) - 1) / len(parts) * ((parts - parts.mean()) ** 2).sum())
    return Uncertain(value, float(error), len(parts), n)


def chosen_of_draws(
    values: Float[np.ndarray, " columns"],
    draws: Float[np.ndarray, "draws columns"],
    which: Literal["least", "most"],
    n_groups: int,
    n: int,
) -> tuple[int, Uncertain]:
    """As `chosen`, of what was computed anew from each draw: see `quantile_draws`."""
    sign = 1 if which == "least" else -1
    column = int(np.nanargmin(sign * values))
    picked = np.where(np.isnan(draws), np.inf, sign * draws).argmin(1)
    off = draws[np.arange(len(draws)), picked] - values[picked]
    value = float(values[column] - np.nanmean(off))
    return column, of_draws(value, value - (off - np.nanmean(off)), n_groups, n)
