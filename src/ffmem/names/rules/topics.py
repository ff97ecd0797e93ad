"""Which topic a unit prefers beyond its tokens, whatever its name is: learnt on one half, tested on the other."""

from dataclasses import dataclass

import numpy as np

from ffmem.names.rules.chance import poisson_binomial_tail
from ffmem.names.rules.features import Feature, Single
from ffmem.names.rules.firing import Firing
from ffmem.names.rules.statistics import candidates
from ffmem.names.rules.text import Text

_LIFT = 6.0
"""Times as often as in the text that a topic must be where a unit fires, on the naming half, to be tested at all."""
_BEYOND = np.log(2.0)
"""Log of how much more often than the unit's tokens make likely, at the lower end."""


@dataclass(frozen=True)
class Topics:
    """For each unit of a block, the value of a document's field that it prefers most."""

    feature: np.ndarray
    """(units,) number of the feature; -1: nothing stands out."""
    value: np.ndarray
    """(units,) number of the value."""
    lift: np.ndarray
    """(units,) how much more often it is where the unit fires, on the held-out half."""
    p: np.ndarray
    """(units,) chance of as many held-out documents with it, given the tokens that the unit fires on; NaN if not tested."""


def topics(text: Text, features: tuple[Feature, ...], where: Firing, held_out: Firing, half: int) -> Topics:
    """The topics of units.

    Args:
        text: the text.
        features: those that are fields of documents are looked at.
        where: firing positions of the half on which topics are chosen.
        held_out: of the other half.
        half: the first.
    """
    n_units = where.n_units
    number, value = np.full(n_units, -1), np.full(n_units, -1)
    rank = np.full(n_units, _BEYOND)
    for place, feature in enumerate(features):
        if feature.family == "field":
            found = candidates(text, feature, where, half)
            lift = found.k / np.maximum(where.total[found.unit], 1e-9) * where.n_text / np.maximum(found.n, 1)
            first = np.flatnonzero(np.diff(found.unit, prepend=-1) != 0)
            best = first[(lift[first] >= _LIFT) & (found.rank[first] > rank[found.unit[first]])]
            units = found.unit[best]
            number[units], value[units], rank[units] = place, found.value[best], found.rank[best]
    return _tested(text, features, held_out, (number, value), 1 - half)


def _tested(
    text: Text, features: tuple[Feature, ...], held_out: Firing, chosen: tuple[np.ndarray, np.ndarray], half: int
) -> Topics:
    number, value = chosen
    lift, p = np.full(len(number), np.nan), np.full(len(number), np.nan)
    document = text.document[held_out.token]
    begins = (np.diff(held_out.unit, prepend=-1) != 0) | (np.diff(document, prepend=-1) != 0)
    for place in np.unique(number[number >= 0]).tolist() if text.is_split else ():
        feature = features[place]
        values, context = feature.values, feature.context
        assert isinstance(values, Single) and context is not None
        units = (number == place) & (held_out.total > 0)
        entry = np.flatnonzero(units[held_out.unit])
        wanted = value[held_out.unit[entry]]
        chance = context.chance(held_out.token[entry], wanted)
        hit = values.at(held_out.token[entry]) == wanted
        first = np.flatnonzero(begins[entry])
        if len(first):
            unit = held_out.unit[entry[first]]
            likely = np.add.reduceat(chance, first) / np.diff(np.append(first, len(entry)))
            n_hits = np.bincount(unit, hit[first], minlength=len(number)).astype(np.int64)
            p[units] = poisson_binomial_tail(unit, likely, n_hits)[units]
            weight = np.bincount(held_out.unit[entry], held_out.weight[entry] * hit, minlength=len(number))
            n = values.counts[value[units], 2 * half : 2 * half + 2].sum(1)
            lift[units] = weight[units] / held_out.total[units] * held_out.n_text / np.maximum(n, 1)
    return Topics(number, value, lift, p)
