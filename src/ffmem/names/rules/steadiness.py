"""Whether a unit's first value would come first on other documents of the same kind, too."""

import numpy as np

from ffmem.names.rules.choice import Choice
from ffmem.names.rules.features import Feature
from ffmem.names.rules.firing import Firing
from ffmem.names.rules.statistics import grouped
from ffmem.names.rules.text import Text


def steadiness(text: Text, choice: Choice, where: Firing, half: int, draws: np.ndarray) -> np.ndarray:
    """(units,) share of resamples in which the first value of the chosen feature is again its best one; NaN without a name.

    Args:
        text: the text.
        choice: made on this half.
        where: firing positions of the half.
        half: which it is.
        draws: (documents, resamples) how often each document counts.
    """
    found = np.full(where.n_units, np.nan)
    for number, (feature, rules) in enumerate(zip(choice.features, choice.rules, strict=True)):
        units = choice.best == number
        if units.any():
            found[units] = _of_feature(text, feature, rules.value[:, 0], where.some(units), half, draws)[units]
    return found


def _of_feature(
    text: Text, feature: Feature, first: np.ndarray, where: Firing, half: int, draws: np.ndarray
) -> np.ndarray:
    which, value = feature.values.expand(where.token)
    n_of = feature.values.counts[:, 2 * half : 2 * half + 2].sum(1)
    if feature.group is not None:
        n_of = np.bincount(feature.group, n_of)
        value = feature.group[value].astype(np.int64)
    document = text.document[where.token]
    groups = grouped(where.unit[which], value, where.weight[which], document[which], len(n_of))
    enough = groups.count >= feature.fewest
    times = draws[document] * where.weight.astype(np.float32)[:, None]
    total = np.zeros((where.n_units, draws.shape[1]), dtype=np.float32)
    begins = np.flatnonzero(np.diff(where.unit, prepend=-1))
    if len(begins):
        total[where.unit[begins]] = np.add.reduceat(times, begins, axis=0)
    kept = np.flatnonzero(enough[groups.of_entry])
    kept = kept[np.argsort(groups.of_entry[kept], kind="stable")]
    if not len(kept):
        return np.zeros(where.n_units)
    of = groups.of_entry[kept]
    begins = np.flatnonzero(np.diff(of, prepend=-1))
    group = of[begins]
    k = np.add.reduceat(times[which[kept]], begins, axis=0)
    unit, n = groups.unit[group], n_of[groups.value[group]].astype(np.float32)[:, None]
    f1 = 2 * np.minimum(k, n) / (n + total[unit])
    begins = np.flatnonzero(np.diff(unit, prepend=-1))
    best = np.zeros((where.n_units, draws.shape[1]), dtype=np.float32)
    best[unit[begins]] = np.maximum.reduceat(f1, begins, axis=0)
    share = ((f1 >= best[unit] * (1 - 1e-6)) & (best[unit] > 0)).mean(1)
    is_first = groups.value[group] == first[unit]
    return np.bincount(unit[is_first], share[is_first], minlength=where.n_units)
