"""Texts whose truth is known, 50 documents of unequal sizes with things in common, and how often intervals hold the truth."""

from collections.abc import Callable

import numpy as np

from ffmem.analyses.intervals import Sums, Uncertain, each_ratio, mean_ratio
from ffmem.analyses.resampling import chosen, of_draws, quantile_draws

N_DOCUMENTS = 50
ALIKE = 0.05
"""The correlation of two things of one document."""
Case = Callable[[np.random.Generator], tuple[Uncertain, float]]
"""Draws a text, and gives what is estimated with the truth."""


def _sizes(rng: np.random.Generator) -> np.ndarray:
    return np.maximum(1, rng.lognormal(np.log(40), 0.6, N_DOCUMENTS).round()).astype(np.int64)


def _rates(rng: np.random.Generator, p: float, shape: tuple[int, ...]) -> np.ndarray:
    """Of documents, with mean p: so skewed, for a small p, that many have next to none."""
    strength = 1 / ALIKE - 1
    return rng.beta(p * strength, (1 - p) * strength, shape)


def share(p: float) -> Case:
    def draw(rng: np.random.Generator) -> tuple[Uncertain, float]:
        sizes = _sizes(rng)[:, None]
        return each_ratio(Sums(rng.binomial(sizes, _rates(rng, p, sizes.shape)) * 1.0, sizes * 1.0))[0], p

    return draw


def paired_difference(p: float) -> Case:
    """Of two shares that are the same in truth, in two columns that are half due to the same documents."""

    def draw(rng: np.random.Generator) -> tuple[Uncertain, float]:
        sizes = _sizes(rng)[:, None]
        common = _rates(rng, p, sizes.shape)
        second = (common + _rates(rng, p, sizes.shape)) / 2
        sums = [Sums(rng.binomial(sizes, rates) * 1.0, sizes * 1.0) for rates in (common, second)]
        return mean_ratio(*sums), 0.0

    return draw


def median(rng: np.random.Generator) -> tuple[Uncertain, float]:
    sizes = _sizes(rng)
    groups = np.repeat(np.arange(N_DOCUMENTS), sizes)
    values = np.exp(rng.normal(0, 0.3, N_DOCUMENTS)[groups] + rng.normal(size=len(groups)))
    draws = quantile_draws(values[:, None], groups, N_DOCUMENTS, 0.5)[:, 0]
    return of_draws(float(np.median(values)), draws, N_DOCUMENTS, len(values)), 1.0


def least(p: float) -> Case:
    """The least of eight layers that are the same in truth."""

    def draw(rng: np.random.Generator) -> tuple[Uncertain, float]:
        sizes = np.repeat(_sizes(rng)[:, None], 8, axis=1)
        rates = (_rates(rng, p, (N_DOCUMENTS, 1)) + _rates(rng, p, sizes.shape)) / 2
        return chosen(Sums(rng.binomial(sizes, rates) * 1.0, sizes * 1.0), "least")[1], p

    return draw


CASES: dict[str, Case] = {
    **{f"a share of {p}": share(p) for p in (0.02, 0.1, 0.5)},
    **{f"a paired difference of shares of {p}": paired_difference(p) for p in (0.02, 0.1, 0.5)},
    "a median": median,
    "the least of eight shares of 0.3": least(0.3),
}


def coverage(case: Case, n: int, seed: int = 0) -> tuple[float, float, float]:
    """How often the 95 % interval holds the truth, lies above it, and lies below it, in n texts."""
    rng = np.random.default_rng(seed)
    places = []
    for _ in range(n):
        found, truth = case(rng)
        low, high = found.interval()
        places.append((low <= truth <= high, truth < low, truth > high))
    held, above, below = np.mean(places, axis=0).tolist()
    return held, above, below
