"""How well a rule tells where a unit fires on documents that it was not learnt on."""

from dataclasses import dataclass

import numpy as np

from ffmem.names.rules.chance import poisson_binomial_tail
from ffmem.names.rules.choice import Choice, Rules, f1_of
from ffmem.names.rules.features import Feature
from ffmem.names.rules.firing import Firing
from ffmem.names.rules.text import Text

LOW, HIGH = 2.5, 97.5
"""Ends of an interval, as percentiles of the resamples."""


@dataclass(frozen=True)
class Judged:
    """One rule for each unit of a block against a half of the documents; NaN where a unit has no rule or never fires there."""

    hit: np.ndarray
    """(firing positions,) whether the rule holds there."""
    n: np.ndarray
    """(units,) positions of the half at which the rule holds."""
    recall: np.ndarray
    """(units,) share of the firing positions at which it holds."""
    precision: np.ndarray
    """(units,) share of the positions at which it holds that fire."""
    f1: np.ndarray
    low: np.ndarray
    high: np.ndarray
    mass: np.ndarray
    """(units,) share of the sum of coefficients at firing positions."""
    lift: np.ndarray
    """(units,) how much more often the rule holds where the unit fires."""
    p: np.ndarray
    """(units,) chance of as many documents with a hit, if the unit fired whatever the rule says."""
    n_firing: np.ndarray
    """(units,) sampled firing positions."""


def hits(feature: Feature, rules: Rules, where: Firing, units: np.ndarray | None = None) -> np.ndarray:
    """(firing positions,) which of its unit's values holds at each; -1 for none; only for some units (marked), if given."""
    places = np.arange(len(where)) if units is None else np.flatnonzero(units[where.unit])
    which, value = feature.values.expand(where.token[places])
    slot = rules.matches(where.unit[places[which]], value, feature.values.n_values)
    found = np.full(len(where), -1, dtype=np.int64)
    some = slot >= 0
    # of several values at one position the first counts
    np.maximum.at(found, places[which[some]], 2 - slot[some])
    return np.where(found >= 0, 2 - found, -1)


def covered(feature: Feature, rules: Rules, n_units: int, half: int) -> np.ndarray:
    """(units,) positions of a half at which a unit's rule holds."""
    n_values = feature.values.n_values
    counts = feature.values.counts[:, 2 * half : 2 * half + 2].sum(1)
    return np.bincount(rules.key // n_values, counts[rules.key % n_values], minlength=n_units)


def judge(text: Text, choice: Choice, where: Firing, half: int, draws: np.ndarray) -> Judged:
    """The chosen rule of each unit against a half.

    Args:
        text: the text.
        choice: rules, made on the other half.
        where: firing positions of this half.
        half: which it is.
        draws: (documents, resamples) how often each document counts.
    """
    n_units = where.n_units
    hit, n = np.zeros(len(where), dtype=bool), np.zeros(n_units)
    chance, shared = np.zeros(len(where)), np.zeros(len(where), dtype=bool)
    for number, (feature, rules) in enumerate(zip(choice.features, choice.rules, strict=True)):
        units = choice.best == number
        if not units.any():
            continue
        here = units[where.unit]
        hit |= (hits(feature, rules, where, units) >= 0) & here
        n += np.where(units, covered(feature, rules, n_units, half), 0)
        if feature.context is not None:
            chance[here] = _by_token(feature, rules, where, np.flatnonzero(here))
            shared[here] = feature.family == "field"
        else:
            chance[here] = n[where.unit[here]] / max(where.n_text, 1.0)
    return measured(text, where, hit, n, (chance, shared), draws, choice.best >= 0)


def _by_token(feature: Feature, rules: Rules, where: Firing, places: np.ndarray) -> np.ndarray:
    """The chance of a unit's values at its firing positions, given the tokens there."""
    found = np.zeros(len(places))
    assert feature.context is not None
    for slot in range(rules.value.shape[1]):
        value = rules.value[where.unit[places], slot]
        some = np.flatnonzero(value >= 0)
        found[some] += feature.context.chance(where.token[places[some]], value[some])
    return found


def measured(
    text: Text,
    where: Firing,
    hit: np.ndarray,
    n: np.ndarray,
    chance: tuple[np.ndarray, np.ndarray],
    draws: np.ndarray,
    has_rule: np.ndarray,
) -> Judged:
    """What comes of the hits of rules that hold at n positions of a half.

    Args:
        text: the text.
        where: firing positions.
        hit: of each, whether its unit's rule holds.
        n: (units,) positions of the half at which the rule holds.
        chance: of each firing position, how likely a hit is by chance, and whether all of its document hit together.
        draws: (documents, resamples) how often each document counts.
        has_rule: (units,) the others get NaN.
    """
    weight = where.weight * hit
    total, some = where.total, where.summed(weight)
    known = has_rule & (total > 0)
    share = _divided(some, total)

    again = resampled_shares(text, where, weight, where.weight, draws)
    low, high = ends(f1_of(np.minimum(again * total[:, None], n[:, None]), n[:, None], total[:, None]))
    within = np.minimum(share * total, n)
    results = {
        "n": n, "recall": share, "precision": np.where(n > 0, within / np.maximum(n, 1), 0.0), "f1": f1_of(within, n, total),
        "low": low, "high": high, "mass": _divided(where.summed(weight * where.coefficient), where.mass),
        "lift": _divided(share * where.n_text, n), "p": _by_documents(text, where, hit, *chance),
    }  # fmt: skip
    return Judged(
        hit=hit,
        n_firing=np.diff(where.bounds),
        **{name: np.where(known, value, np.nan) for name, value in results.items()},
    )


def resampled_shares(text: Text, where: Firing, part: np.ndarray, whole: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """(units, resamples) sum of parts over sum of wholes where documents are drawn again; NaN for nothing.

    Args:
        text: the text.
        where: firing positions.
        part: of each, what it adds above.
        whole: of each, what it adds below.
        draws: (documents, resamples) how often each document counts.

    Cost: 8 bytes for each position and resample.
    """
    found = np.full((where.n_units, draws.shape[1]), np.nan, dtype=np.float32)
    first = np.flatnonzero(np.diff(where.unit, prepend=-1))
    if len(first):
        times = draws[text.document[where.token]]
        above = np.add.reduceat(times * part.astype(np.float32)[:, None], first, axis=0)
        below = np.add.reduceat(times * whole.astype(np.float32)[:, None], first, axis=0)
        found[where.unit[first]] = np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)
    return found


def ends(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(units,) lower and upper end of 95 % of the values in each row; of missing ones the lowest is assumed: 0."""
    ordered = np.sort(np.nan_to_num(values, nan=0.0), axis=1)
    n = values.shape[1]
    return ordered[:, int(LOW / 100 * n)], ordered[:, min(int(np.ceil(HIGH / 100 * n)), n - 1)]


def _divided(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    share: np.ndarray = np.divide(part, whole, out=np.zeros(np.shape(part)), where=whole > 0)
    return share


def _by_documents(text: Text, where: Firing, hit: np.ndarray, chance: np.ndarray, shared: np.ndarray) -> np.ndarray:
    """Of each unit the chance of as many documents with a hit: positions of one document are not independent."""
    document = text.document[where.token]
    first = np.flatnonzero((np.diff(where.unit, prepend=-1) != 0) | (np.diff(document, prepend=-1) != 0))
    if not len(first):
        return np.ones(where.n_units)
    unit = where.unit[first]
    any_hit = np.maximum.reduceat(hit, first)
    any_chance = -np.expm1(np.add.reduceat(np.log1p(-np.clip(chance, 0, 1 - 1e-12)), first))
    mean_chance = np.add.reduceat(chance, first) / np.diff(np.append(first, len(chance)))
    n_hits = np.bincount(unit, any_hit, minlength=where.n_units).astype(np.int64)
    return poisson_binomial_tail(unit, np.where(shared[first], mean_chance, any_chance), n_hits)
