"""Names of two parts: a token in certain surroundings, and two things that have nothing to do with each other."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ffmem.names.rules.choice import Choice
from ffmem.names.rules.confidence import covered, hits
from ffmem.names.rules.features import Feature
from ffmem.names.rules.firing import Firing
from ffmem.names.rules.text import Text

SHARPER = 1.5
"""What a condition must multiply precision by, on both inner halves."""
KEPT = 0.7
"""Share of the hits that must meet it."""
PRECISION, MASS = 0.5, 0.15
"""Of each of two things."""
_OVERLAP = 0.02
_FEWEST_HITS = 8
"""Sampled positions that speak for a condition: of many that are tried some fit a few by chance."""
_COMMON = 0.3
"""A condition that holds at more of a text says nothing."""


@dataclass(frozen=True)
class Condition:
    """A value that must stand around a token, too."""

    feature: int
    """Number of the feature."""
    value: int
    n_held_out: int
    """Positions of the other half at which both hold."""


@dataclass(frozen=True)
class Places:
    """Where each token of a text stands."""

    text: Text

    @cached_property
    def _order(self) -> tuple[np.ndarray, np.ndarray]:
        order = np.argsort(self.text.token, kind="stable")
        return order, np.searchsorted(self.text.token[order], np.arange(len(self.text.token_ids) + 1))

    def of(self, tokens: np.ndarray) -> np.ndarray:
        """Competing positions of some tokens."""
        order, first = self._order
        found = np.concatenate([order[first[one] : first[one + 1]] for one in tokens.tolist()] or [order[:0]])
        competing: np.ndarray = found[self.text.competes[found]]
        return competing


def conditions(places: Places, choice: Choice, where: Firing, half: int) -> dict[int, Condition]:
    """By unit, the condition that makes its tokens a better name.

    Args:
        places: of the text.
        choice: made on this half.
        where: firing positions of the half.
        half: which it is.
    """
    token_number = next((i for i, one in enumerate(choice.features) if one.family == "token"), None)
    if token_number is None:
        return {}
    feature, rules = choice.features[token_number], choice.rules[token_number]
    units = choice.best == token_number
    hit = hits(feature, rules, where, units) >= 0
    entry = np.flatnonzero(hit)
    total = np.bincount(where.unit[entry], where.weight[entry], minlength=where.n_units)
    found: dict[int, tuple[float, Condition]] = {}
    for number, other in enumerate(choice.features):
        if other.family == "field" or (other.windows is not None and other.windows.size <= 8):
            for unit, value in _common(other, where, entry, total, half):
                tokens = rules.key[np.searchsorted(rules.key // feature.values.n_values, unit) :]
                tokens = tokens[tokens // feature.values.n_values == unit] % feature.values.n_values
                tried = _tried(places, where, half, unit, tokens, (number, other, value))
                if tried is not None and tried[0] > found.get(unit, (0.0,))[0]:
                    found[unit] = tried
    return {unit: one for unit, (_, one) in found.items()}


def _common(other: Feature, where: Firing, entry: np.ndarray, total: np.ndarray, half: int) -> list[tuple[int, int]]:
    """(unit, value) where the value stands at most of the unit's hits, and is rare in the text."""
    which, value = other.values.expand(where.token[entry])
    n_values = other.values.n_values
    keys, inverse = np.unique(where.unit[entry[which]] * n_values + value, return_inverse=True)
    k = np.bincount(inverse, where.weight[entry[which]], minlength=len(keys))
    unit, value = keys // n_values, keys % n_values
    n_of = other.values.counts[:, 2 * half : 2 * half + 2].sum(1)
    expected = n_of[value] / max(where.n_text, 1)
    if other.context is not None:
        token = np.bincount(
            inverse, other.context.chance(where.token[entry[which]], value[inverse]), minlength=len(keys)
        )
        expected = token / np.bincount(inverse, minlength=len(keys))
    count = np.bincount(inverse, minlength=len(keys))
    kept = (
        (count >= _FEWEST_HITS)
        & (k >= KEPT * total[unit])
        & (expected <= _COMMON / KEPT)
        & (k > SHARPER * expected * total[unit])
    )
    return list(zip(unit[kept].tolist(), value[kept].tolist(), strict=True))


def _tried(
    places: Places, where: Firing, half: int, unit: int, tokens: np.ndarray, condition: tuple[int, Feature, int]
) -> tuple[float, Condition] | None:
    """How much sharper the condition makes the tokens, if it does on both inner halves, and F1 does not fall."""
    number, other, value = condition
    text = places.text
    own = slice(int(where.bounds[unit]), int(where.bounds[unit + 1]))
    at = where.token[own]
    hit = np.isin(text.token[at], tokens)
    both = hit & _holds(other, at, value)
    everywhere = places.of(tokens)
    meets = _holds(other, everywhere, value)
    sharper = []
    for quarter in (2 * half, 2 * half + 1):
        inside = text.quarter_of[at] == quarter
        k, k_both = ((where.weight[own] * one * inside).sum() for one in (hit, both))
        n = text.quarter_of[everywhere] == quarter
        n_both = int((n & meets).sum())
        sharper.append((k_both / n_both) / (k / n.sum()) if n_both and k else 0.0)
    k, k_both = ((where.weight[own] * one).sum() for one in (hit, both))
    mine = text.quarter_of[everywhere] >> 1 == half
    total = float(where.total[unit])
    f1, f1_both = (
        2 * min(one, n) / max(n + total, 1e-9)
        for one, n in ((float(k), int(mine.sum())), (float(k_both), int((mine & meets).sum())))
    )
    if min(sharper) < SHARPER or k_both < KEPT * k or f1_both < f1:
        return None
    n_held_out = int(((text.quarter_of[everywhere] >> 1 == 1 - half) & meets).sum())
    return min(sharper), Condition(number, value, n_held_out)


def _holds(feature: Feature, positions: np.ndarray, value: int) -> np.ndarray:
    which, values = feature.values.expand(positions)
    found = np.zeros(len(positions), dtype=bool)
    found[which[values == value]] = True
    return found


def second_things(choice: Choice, where: Firing, half: int) -> np.ndarray:
    """(units,) number of a feature whose rule says another thing than the chosen one, as precisely; -1 for none."""
    found = np.full(where.n_units, -1)
    first_hit, first = np.zeros(len(where), dtype=bool), np.zeros(where.n_units, dtype=bool)
    for number, (feature, rules) in enumerate(zip(choice.features, choice.rules, strict=True)):
        units = choice.best == number
        if units.any():
            mine = hits(feature, rules, where, units) >= 0
            first |= units & is_a_thing(where, mine, covered(feature, rules, where.n_units, half))
            first_hit |= mine
    best = np.zeros(where.n_units)
    for number, (feature, rules) in enumerate(zip(choice.features, choice.rules, strict=True)):
        units = first & (choice.best != number) & (rules.f1 > best)
        if feature.context is None and feature.windows is None and units.any():
            mine = hits(feature, rules, where, units) >= 0
            apart = where.summed(where.weight * (mine & first_hit)) <= _OVERLAP * where.total
            other = units & apart & is_a_thing(where, mine, covered(feature, rules, where.n_units, half))
            found[other], best[other] = number, rules.f1[other]
    return found


def is_a_thing(where: Firing, hit: np.ndarray, n: np.ndarray) -> np.ndarray:
    """(units,) whether hits are precise enough, and make enough of what a unit does."""
    k, mass = where.summed(where.weight * hit), where.summed(where.weight * where.coefficient * hit)
    return (n > 0) & (k >= PRECISION * n) & (mass >= MASS * where.mass) & (where.mass > 0)
