"""How likely as many hits are by chance, and which of many such tests are to be believed."""

import numpy as np


def poisson_binomial_tail(unit: np.ndarray, chance: np.ndarray, n_hits: np.ndarray) -> np.ndarray:
    """(units,) P(so many hits or more), if every trial of a unit hits with a chance of its own.

    Args:
        unit: of each trial, ascending.
        chance: of each trial.
        n_hits: (units,) hits.

    Cost: the square of the trials of the unit that has most, for each unit; exact but for rounding.
    """
    n_units = len(n_hits)
    first = np.searchsorted(unit, np.arange(n_units + 1))
    n_trials = np.diff(first)
    most = int(n_trials.max(initial=0))
    # the distribution of the number of hits, whose last place collects all from the observed number on
    end = int(n_hits.max(initial=0))
    found = np.zeros((n_units, end + 2))
    found[:, 0] = 1.0
    for trial in range(most):
        here = np.flatnonzero(n_trials > trial)
        p = np.clip(chance[first[here] + trial], 0.0, 1.0)[:, None]
        before = found[here]
        after = before * (1 - p)
        after[:, 1:] += before[:, :-1] * p
        after[:, -1] += before[:, -1] * p[:, 0]
        found[here] = after
    tail = np.cumsum(found[:, ::-1], axis=1)[:, ::-1]
    at_least: np.ndarray = np.minimum(tail[np.arange(n_units), n_hits], 1.0)
    return at_least


def accepted(p: np.ndarray, rate: float = 0.05) -> np.ndarray:
    """Which of many hypotheses are rejected at a false discovery rate; NaN is never.

    Source: Benjamini & Hochberg 1995.
    """
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    found = np.zeros(len(p), dtype=bool)
    below = np.flatnonzero(p[order] <= rate * np.arange(1, len(order) + 1) / max(len(order), 1))
    if len(below):
        found[order[: below[-1] + 1]] = True
    return found


def resamples(quarter: np.ndarray, half: int, n: int, seed: int) -> np.ndarray:
    """(documents, n) how often each document is drawn where those of a half are drawn again, as many as there are."""
    inside = np.flatnonzero((quarter >> 1) == half)
    found = np.zeros((n, len(quarter)), dtype=np.float32)
    rng = np.random.default_rng([seed, 24, half])
    for row in found if len(inside) else ():
        row[inside] = np.bincount(rng.integers(0, len(inside), len(inside)), minlength=len(inside))
    return np.ascontiguousarray(found.T)
