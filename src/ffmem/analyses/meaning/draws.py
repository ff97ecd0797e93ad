"""Numbers of layers over draws of documents: their intervals, how they go with depth, and how two of them differ."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Float64

from ffmem.analyses.intervals import Estimate
from ffmem.analyses.meaning.results import Measure, Trend

N_RESAMPLES = 400
"""Draws of documents."""
Drawn = Float64[np.ndarray, "draws_and_one"]
"""A number as it is, then once for each draw."""
LayerDraws = Mapping[Measure, Drawn]


def document_weights(n: int, rng: np.random.Generator) -> Float64[np.ndarray, "draws_and_one n"]:
    """How often each document counts: once; then as often as it is drawn, in each of `N_RESAMPLES` draws with replacement."""
    drawn = rng.multinomial(n, np.full(n, 1 / n), N_RESAMPLES)
    return np.concatenate((np.ones((1, n)), drawn))


def estimate(drawn: Drawn, n: int) -> Estimate:
    """The number with the percentiles of its draws, wide enough to hold it: draws of a rank correlation near 1 lie below it."""
    some = drawn[1:][np.isfinite(drawn[1:])]
    if not np.isfinite(drawn[0]) or not len(some):
        return Estimate(np.nan, np.nan, np.nan, n)
    low, high = np.quantile(some, [0.025, 0.975])
    value = float(drawn[0])
    return Estimate(value, min(float(low), value), max(float(high), value), n)


def measures_of(layers: Sequence[LayerDraws]) -> list[Measure]:
    """The measures that all layers have."""
    return [name for name in layers[0] if all(name in layer for layer in layers)]


def trends(layers: Sequence[LayerDraws], n: int) -> dict[Measure, Trend]:
    """How each measure goes with depth.

    Args:
        layers: from the lowest.
        n: documents that were drawn.
    """
    found: dict[Measure, Trend] = {}
    for name in measures_of(layers):
        values = np.stack([layer[name] for layer in layers])
        bottom, top = thirds_of(values)
        found[name] = Trend(
            correlation=estimate(spearman_with_depth(values), n),
            contrast=estimate(top - bottom, n),
            top=estimate(top, n),
            bottom=estimate(bottom, n),
        )
    return found


def differences(
    left: Sequence[LayerDraws], right: Sequence[LayerDraws], n: int, *, whole: bool = False
) -> dict[Measure, Estimate]:
    """The mean of the first's highest third, less that of the second; each draw takes the same documents for both.

    Args:
        left: some layers, from the lowest.
        right: others.
        n: documents that were drawn.
        whole: the means of all of them instead.
    """
    found: dict[Measure, Estimate] = {}
    for name in measures_of([*left, *right]):
        values = (np.stack([layer[name] for layer in layers]) for layers in (left, right))
        means = [one.mean(0) if whole else thirds_of(one)[1] for one in values]
        found[name] = estimate(means[0] - means[1], n)
    return found


def thirds_of(values: Float[np.ndarray, "layers draws"]) -> tuple[np.ndarray, np.ndarray]:
    """Means of the lowest and of the highest third of the layers."""
    third = max(1, len(values) // 3)
    return values[:third].mean(0), values[-third:].mean(0)


def spearman_with_depth(values: Float[np.ndarray, "layers draws"]) -> Float64[np.ndarray, "draws"]:
    """The rank correlation of each column with the number of the row; NaN for fewer than 3 rows, or equal values."""
    n = len(values)
    if n < 3:
        return np.full(values.shape[1], np.nan)
    ranks = _mean_ranks(values)
    ranks = ranks - ranks.mean(0)
    depth = np.arange(n) - (n - 1) / 2
    spread = np.sqrt((ranks**2).sum(0) * (depth**2).sum())
    found = quotient(depth @ ranks, spread)
    found[~np.isfinite(values).all(0)] = np.nan
    return found


def _mean_ranks(values: Float[np.ndarray, "layers draws"]) -> Float64[np.ndarray, "layers draws"]:
    """Ranks within each column; equal values get their mean."""
    below = (values[None] < values[:, None]).sum(1)
    equal = (values[None] == values[:, None]).sum(1)
    ranks: np.ndarray = below + (equal + 1) / 2
    return ranks


def quotient(values: Float[np.ndarray, "*shape"], of: Float[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """One over the other; NaN where there is nothing to divide by."""
    found: np.ndarray = np.divide(values, of, out=np.full(of.shape, np.nan), where=of > 0)
    return found
