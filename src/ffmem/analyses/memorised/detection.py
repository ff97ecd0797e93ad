"""How well a score tells members from others: area under the curve, hits at few false alarms, intervals over documents."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64, Int64

from ffmem.analyses.intervals import N_RESAMPLES, Uncertain
from ffmem.analyses.resampling import of_draws

_AT_ONCE = 250
"""Draws in memory at once."""
Scores = Float64[np.ndarray, " documents"]


def auc(members: Scores, others: Scores) -> float:
    """The chance that a member has a higher score than another document; ties count a half. NaN where either is missing."""
    if not len(members) or not len(others):
        return float("nan")
    order = np.sort(others)
    below, up_to = np.searchsorted(order, members, "left"), np.searchsorted(order, members, "right")
    return float((below + up_to).mean() / 2 / len(others))


def auc_over_documents(members: Scores, others: Scores, *, seed: int = 0) -> Uncertain:
    """`auc`, with what it would be if members and others were drawn anew."""
    value = auc(members, others)
    if np.isnan(value):
        return Uncertain(value, np.nan, 0, 0)
    found = of_draws(value, _areas(members, others, seed), min(len(members), len(others)), len(members) + len(others))
    return Uncertain(found.value, found.error, found.n_groups, found.n, found.pivots, (0.0, 1.0))


def auc_gain(first: tuple[Scores, Scores], second: tuple[Scores, Scores], *, seed: int = 0) -> Uncertain:
    """By how much the first score of some documents tells members from others better than a second one of the same documents.

    Args:
        first: of members, and of others.
        second: the same, in the same order.
        seed: of the draws, which take the same documents for both.
    """
    value, n = auc(*first) - auc(*second), len(first[0]) + len(first[1])
    if np.isnan(value):
        return Uncertain(value, np.nan, 0, n)
    return of_draws(value, _areas(*first, seed) - _areas(*second, seed), min(len(first[0]), len(first[1])), n)


def _areas(members: Scores, others: Scores, seed: int) -> Float64[np.ndarray, " draws"]:
    """`auc` of each draw."""
    order = np.argsort(others, kind="stable")
    low, high = (np.searchsorted(others[order], members, side) for side in ("left", "right"))
    draws = []
    for of_members, of_others in _draws(len(members), len(others), seed):
        below = np.concatenate([np.zeros((len(of_others), 1)), of_others[:, order].cumsum(1)], axis=1)
        wins = (below[:, low] + below[:, high]) / 2
        draws.append((of_members * wins).sum(1) / len(members) / len(others))
    return np.concatenate(draws)


def negatives_needed(false_alarms: float) -> int:
    """How many documents that are no members it takes to speak of a rate of false alarms: one of them is one such."""
    return round(1 / false_alarms)


def hits(members: Scores, others: Scores, false_alarms: float) -> float:
    """The share of members whose score is above that of all others but so large a share of them."""
    allowed = int(np.floor(false_alarms * len(others) + 1e-9))
    threshold = np.sort(others)[::-1][allowed] if allowed < len(others) else -np.inf
    return float((members > threshold).mean())


def hits_over_documents(members: Scores, others: Scores, false_alarms: float, *, seed: int = 0) -> Uncertain:
    """`hits`, with what it would be if members and others were drawn anew; NaN where there are too few others to tell."""
    if len(others) < negatives_needed(false_alarms) or not len(members):
        return Uncertain(np.nan, np.nan, 0, len(members) + len(others))
    falling = np.argsort(-others, kind="stable")
    draws = []
    for of_members, of_others in _draws(len(members), len(others), seed):
        passed = of_others[:, falling].cumsum(1) > false_alarms * len(others) + 1e-9
        thresholds = others[falling][passed.argmax(1)]
        draws.append((of_members * (members > thresholds[:, None])).sum(1) / len(members))
    n_groups = min(len(members), len(others))
    found = of_draws(hits(members, others, false_alarms), np.concatenate(draws), n_groups, len(members) + len(others))
    return Uncertain(found.value, found.error, found.n_groups, found.n, found.pivots, (0.0, 1.0))


def curve(members: Scores, others: Scores) -> tuple[Float64[np.ndarray, " points"], Float64[np.ndarray, " points"]]:
    """False alarms and hits at every threshold, both ascending from 0 to 1."""
    thresholds = np.unique(np.concatenate([members, others]))[::-1]
    rising, own = np.sort(others), np.sort(members)
    alarms = 1 - np.searchsorted(rising, thresholds, "left") / len(others)
    found = 1 - np.searchsorted(own, thresholds, "left") / len(members)
    return np.concatenate([[0.0], alarms]), np.concatenate([[0.0], found])


def _draws(
    n_members: int, n_others: int, seed: int
) -> Iterator[tuple[Int64[np.ndarray, "draws members"], Int64[np.ndarray, "draws others"]]]:
    """How often each draw takes each document, of members and of others by themselves."""
    rng = np.random.default_rng(seed)
    for begin in range(0, N_RESAMPLES, _AT_ONCE):
        n = min(_AT_ONCE, N_RESAMPLES - begin)
        yield _counted(rng, n, n_members), _counted(rng, n, n_others)


def _counted(rng: np.random.Generator, n_draws: int, n: int) -> Int64[np.ndarray, "draws n"]:
    return rng.multinomial(n, np.full(n, 1 / n), size=n_draws).astype(np.int64)
