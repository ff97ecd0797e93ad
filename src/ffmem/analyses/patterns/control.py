"""Which of the values that triggers share are patterns: chance within a unit, and over all units of an index."""

from collections.abc import Sequence

import numpy as np

from ffmem.analyses.patterns.chance import MIN_SHARED, binomial_tail, discovery_threshold, frequencies
from ffmem.analyses.patterns.detect import N_TRIGGERS, Shared, Triggers
from ffmem.analyses.patterns.kinds import Features, Kind
from ffmem.analyses.patterns.results import Control, Found
from ffmem.analyses.patterns.same_words import SameWords, any_tail

FALSE_DISCOVERY_RATE = 0.05
"""Of units with a pattern of a kind, how many have it by chance, at most on average."""
_ROWS_AT_A_TIME = 20_000


def control(
    features: Features,
    kind: Kind,
    triggers: Sequence[Triggers],
    shared: Sequence[Shared],
    same_words: SameWords | None = None,
) -> tuple[list[Found], Control]:
    """The candidates of a kind against chance.

    Args:
        features: of the index.
        kind: of patterns.
        triggers: of the units of each layer, and last of units of random prefixes, which have no part in the threshold.
        shared: what they share.
        same_words: prefixes that end with the same words, which a pattern must stand out among, too; None: random ones alone.

    Returns:
        for each of them its candidates; and what they had to pass. See `measure_patterns`.
    """
    values = np.unique(np.concatenate([one.value for one in shared]))
    frequency, n_possible = frequencies(features, kind, values)
    tests = []
    for some, one in zip(triggers, shared, strict=True):
        f = frequency[np.searchsorted(values, one.value)]
        p = binomial_tail(one.n, some.n[one.unit], f)
        if same_words is not None:
            p = np.maximum(p, _given_words(same_words, some, one, f))
        tests.append((f, p, np.minimum(p * n_possible, 1.0)))
    best = []
    for some, one, (_, _, p_in_unit) in zip(triggers[:-1], shared[:-1], tests[:-1], strict=True):
        of_unit = np.ones(len(some.ends))
        np.minimum.at(of_unit, one.unit, p_in_unit)
        best.append(of_unit[some.n >= MIN_SHARED])
    of_units = np.concatenate(best)
    threshold = discovery_threshold(of_units, FALSE_DISCOVERY_RATE)
    found = [
        Found(kind, one.unit, one.value, one.slots, one.n, one.example, f, p, p_in_unit, p_in_unit <= threshold)
        for one, (f, p, p_in_unit) in zip(shared, tests, strict=True)
    ]
    smallest = _smallest_lift(
        frequency, n_possible, threshold if threshold > 0 else FALSE_DISCOVERY_RATE / max(len(of_units), 1)
    )
    return found, Control(kind, n_possible, len(of_units), threshold, same_words is not None, smallest)


def _given_words(same_words: SameWords, some: Triggers, one: Shared, frequency: np.ndarray) -> np.ndarray:
    """The largest of the chances among prefixes that end with the same tokens as each trigger."""
    p = np.zeros(len(one.unit))
    for first in range(0, len(p), _ROWS_AT_A_TIME):
        rows = slice(first, first + _ROWS_AT_A_TIME)
        ends, counted = some.ends[one.unit[rows]], some.counted[one.unit[rows]]
        for chances in same_words.frequencies(ends, one.value[rows], frequency[rows]):
            p[rows] = np.maximum(p[rows], any_tail(one.n[rows], chances, counted))
    return p


def _smallest_lift(frequency: np.ndarray, n_possible: int, threshold: float) -> float:
    """How many times as often as in random prefixes a value of middling frequency must be had to be a pattern; NaN for none."""
    if not len(frequency):
        return np.nan
    f = np.full(N_TRIGGERS, np.median(frequency))
    k = np.arange(1, N_TRIGGERS + 1)
    enough = np.flatnonzero(binomial_tail(k, np.full_like(k, N_TRIGGERS), f) * n_possible <= threshold)
    return float(max(k[enough[0]], MIN_SHARED) / (N_TRIGGERS * f[0])) if len(enough) else np.nan
