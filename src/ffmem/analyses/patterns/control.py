"""Which of the values that triggers share are patterns: chance within a unit, and over all units of an index."""

from collections.abc import Sequence

import numpy as np

from ffmem.analyses.patterns.chance import MIN_SHARED, binomial_tail, discovery_threshold, frequencies
from ffmem.analyses.patterns.detect import Shared, Triggers
from ffmem.analyses.patterns.kinds import Features, Kind
from ffmem.analyses.patterns.results import Control, Found

FALSE_DISCOVERY_RATE = 0.05
"""Of units with a pattern of a kind, how many have it by chance, at most on average."""


def control(
    features: Features, kind: Kind, triggers: Sequence[Triggers], shared: Sequence[Shared]
) -> tuple[list[Found], Control]:
    """The candidates of a kind against chance.

    Args:
        features: of the index.
        kind: of patterns.
        triggers: of the units of each layer, and last of units of random prefixes, which have no part in the threshold.
        shared: what they share.

    Returns:
        for each of them its candidates; and what they had to pass. See `measure_patterns`.
    """
    values = np.unique(np.concatenate([one.value for one in shared]))
    frequency, n_possible = frequencies(features, kind, values)
    tests = []
    for some, one in zip(triggers, shared, strict=True):
        f = frequency[np.searchsorted(values, one.value)]
        p = binomial_tail(one.n, some.n[one.unit], f)
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
    return found, Control(kind, n_possible, len(of_units), threshold)
