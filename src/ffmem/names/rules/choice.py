"""Which values say best where a unit fires: taken one by one while they help, then the best feature of all."""

from dataclasses import dataclass

import numpy as np

from ffmem.names.rules.features import FAMILIES, Feature
from ffmem.names.rules.firing import Firing
from ffmem.names.rules.statistics import Candidates, candidates
from ffmem.names.rules.text import Text

_MOST_LOOKED_AT = 12
_GAIN = 1.02
"""F1 that a further value must bring, times that without it."""
OWN_WEIGHT = 0.4
"""Share of its own weight that a position has in the choice, beside the mean weight of its unit's positions. The few positions
that stand for most of a stratum would make it a lottery; what a rule is worth is told by true weights alone."""
_PRICE = 0.02
"""F1 that a name pays for each family before its own."""


@dataclass(frozen=True)
class Rules:
    """The best values of one feature for each unit of a block."""

    value: np.ndarray
    """(units, 3) -1 for none; in the order in which they were taken."""
    f1: np.ndarray
    """(units,) on the half on which they were chosen; 0 without a value."""
    key: np.ndarray
    """unit * values + value, ascending, of all single values that they consist of."""
    slot: np.ndarray
    """Of each of these, which of the unit's values it is part of."""

    def matches(self, unit: np.ndarray, value: np.ndarray, n_values: int) -> np.ndarray:
        """Which of its unit's values each value is, -1 for none."""
        wanted = unit.astype(np.int64) * n_values + value
        place = np.minimum(np.searchsorted(self.key, wanted), max(len(self.key) - 1, 0))
        if not len(self.key):
            return np.full(len(wanted), -1)
        return np.where(self.key[place] == wanted, self.slot[place], -1)


def f1_of(hits: np.ndarray, n: np.ndarray, n_firing: np.ndarray) -> np.ndarray:
    """F1 of a rule that holds at n positions, of which hits are among those at which the unit fires."""
    f1: np.ndarray = 2 * hits / np.maximum(n + n_firing, 1e-9)
    return f1


def chosen(found: Candidates, n_firing: np.ndarray, n_values: int, n_members: int, most: int) -> Rules:
    """Of each unit the values that give the largest F1, each taken if it adds more than 2 %.

    Args:
        found: candidates, unit by unit, the best first.
        n_firing: (units,) firing positions.
        n_values: numbers of candidates are below it.
        n_members: numbers of their members are below it.
        most: values at most.
    """
    n_units = len(n_firing)
    first = np.searchsorted(found.unit, np.arange(n_units))
    column = np.arange(len(found.unit)) - first[found.unit]
    some = column < _MOST_LOOKED_AT
    rows, columns = found.unit[some], column[some]
    k, n = np.zeros((n_units, _MOST_LOOKED_AT)), np.full((n_units, _MOST_LOOKED_AT), np.inf)
    number = np.full((n_units, _MOST_LOOKED_AT), -1, dtype=np.int64)
    k[rows, columns], n[rows, columns], number[rows, columns] = found.k[some], found.n[some], found.value[some]
    value = np.full((n_units, 3), -1, dtype=np.int64)
    f1, hits, covered = np.zeros(n_units), np.zeros(n_units), np.zeros(n_units)
    all_units = np.arange(n_units)
    for turn in range(most):
        gained = f1_of(np.minimum(hits[:, None] + k, n_firing[:, None]), covered[:, None] + n, n_firing[:, None])
        best = np.argmax(gained, axis=1)
        better = gained[all_units, best] > np.maximum(f1 * _GAIN, 1e-9)
        if turn:
            better &= value[:, turn - 1] >= 0
        taken = np.flatnonzero(better)
        at = best[taken]
        value[taken, turn] = number[taken, at]
        f1[taken] = gained[taken, at]
        hits[taken] = np.minimum(hits[taken] + k[taken, at], n_firing[taken])
        covered[taken] += n[taken, at]
        k[taken, at], n[taken, at] = 0.0, np.inf
    return Rules(value, f1, *_members(found, value, n_values, n_members))


def _members(found: Candidates, value: np.ndarray, n_values: int, n_members: int) -> tuple[np.ndarray, np.ndarray]:
    """The single values that the chosen ones consist of, with the place of the chosen one."""
    unit, slot = np.nonzero(value >= 0)
    wanted = unit * n_values + value[unit, slot]
    order = np.argsort(wanted)
    wanted, slot = wanted[order], slot[order]
    keys = (found.member_key // n_members) * n_values + found.member_of
    if not len(wanted):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    place = np.minimum(np.searchsorted(wanted, keys), len(wanted) - 1)
    kept = wanted[place] == keys
    return found.member_key[kept], slot[place[kept]]


@dataclass(frozen=True)
class Choice:
    """The best rule of each feature for a block of units, and which feature says most."""

    features: tuple[Feature, ...]
    rules: tuple[Rules, ...]
    best: np.ndarray
    """(units,) number of the feature; -1: none has a value."""


def choose(text: Text, features: tuple[Feature, ...], where: Firing, half: int) -> Choice:
    """The best rules by a half of the documents."""
    rules = []
    where = where.evened(OWN_WEIGHT)
    score = np.zeros((len(features), where.n_units))
    for number, feature in enumerate(features):
        found = candidates(text, feature, where, half)
        n_members = feature.values.n_values
        n_values = n_members if feature.group is None else int(feature.group.max(initial=0)) + 1
        one = chosen(found, where.total, n_values, n_members, feature.most)
        rules.append(one)
        score[number] = np.where(one.f1 > 0, one.f1 - _PRICE * FAMILIES.index(feature.family), -np.inf)
    best = np.argmax(score, axis=0)
    none = ~np.isfinite(score.max(axis=0, initial=-np.inf))
    return Choice(features, tuple(rules), np.where(none, -1, best))
