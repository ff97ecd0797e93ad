"""What speaks for each value of a feature: how often a unit fires on it, against how often it stands in the text."""

from dataclasses import dataclass

import numpy as np

from ffmem.names.rules.features import Feature
from ffmem.names.rules.firing import Firing
from ffmem.names.rules.text import Text

ALPHA = 500.0
"""Positions that the text counts for beside those at which a unit fires: the informative prior of the log-odds."""
Z = 1.645
"""Deviations to the lower end of a one-sided interval of 95 %."""
ALONE = 3.0
"""Lift of each spelling of a token that is said with others."""
FEWEST_IN_TEXT = 5
SHORT = 0.5
"""Deviations that an estimate is taken to be too large: of many values those that are overestimated come first."""


@dataclass(frozen=True)
class Candidates:
    """Values with enough support, unit by unit, the best first."""

    unit: np.ndarray
    value: np.ndarray
    """What a name has: where values are grouped, the number of the group."""
    k: np.ndarray
    """Firing positions with the value, as estimated."""
    n: np.ndarray
    """All positions with it."""
    rank: np.ndarray
    """Lower end of its log-odds."""
    member_key: np.ndarray
    """unit * values + value, ascending, of each single value that is part of a candidate."""
    member_of: np.ndarray
    """The candidate's value of each of them."""


@dataclass(frozen=True)
class Groups:
    """Sums over the positions of a unit that have the same value, ascending by unit and value."""

    unit: np.ndarray
    value: np.ndarray
    k: np.ndarray
    squares: np.ndarray
    """Sum of the squared weights."""
    count: np.ndarray
    n_documents: np.ndarray
    of_entry: np.ndarray
    """The group of each position that was given."""


def grouped(unit: np.ndarray, value: np.ndarray, weight: np.ndarray, document: np.ndarray, n_values: int) -> Groups:
    """The groups of positions.

    Args:
        unit: of each position, ascending.
        value: of each.
        weight: of each.
        document: of each, ascending within a unit.
        n_values: values are below it.
    """
    keys = unit.astype(np.int64) * n_values + value
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    first = np.flatnonzero(np.diff(ordered, prepend=-1))
    if not len(first):
        empty, numbers = np.zeros(0), np.zeros(0, dtype=np.int64)
        return Groups(numbers, numbers, empty, empty, numbers, numbers, numbers)
    begins_document = np.diff(document[order], prepend=-1) != 0
    begins_document[first] = True
    of_entry = np.empty(len(keys), dtype=np.int64)
    of_entry[order] = np.repeat(np.arange(len(first)), np.diff(np.append(first, len(keys))))
    w = weight[order]
    return Groups(
        unit=ordered[first] // n_values,
        value=ordered[first] % n_values,
        k=np.add.reduceat(w, first),
        squares=np.add.reduceat(w * w, first),
        count=np.diff(np.append(first, len(keys))),
        n_documents=np.add.reduceat(begins_document, first, dtype=np.int64),
        of_entry=of_entry,
    )


def log_odds(k: np.ndarray, n: np.ndarray, n_firing: np.ndarray, n_text: float, n_effective: np.ndarray) -> np.ndarray:
    """Lower end of the log-odds of a value where a unit fires against elsewhere, with an informative Dirichlet prior.

    Args:
        k: firing positions with the value, as estimated.
        n: all positions with it.
        n_firing: firing positions.
        n_text: all positions.
        n_effective: as how many equally weighted positions the firing ones with the value count.

    Source: Monroe, Colaresi & Quinn 2008; the deviation has the effective number in place of k, which a sample only estimates.
    """
    prior = ALPHA * n / n_text
    inside = np.log((k + prior) / np.maximum(n_firing + ALPHA - k - prior, 1e-9))
    rest = np.maximum(n - k, 0)
    outside = np.log((rest + prior) / np.maximum(n_text - n_firing + ALPHA - rest - prior, 1e-9))
    deviation = np.sqrt(1 / (n_effective + prior) + 1 / (rest + prior))
    low: np.ndarray = inside - outside - Z * deviation
    return low


def candidates(text: Text, feature: Feature, where: Firing, half: int) -> Candidates:
    """The values of a feature that have enough support in a half."""
    which, value = feature.values.expand(where.token)
    unit, weight = where.unit[which], where.weight[which]
    document = text.document[where.token[which]]
    n_of = feature.values.counts[:, 2 * half : 2 * half + 2].sum(1)
    n_values = feature.values.n_values
    members = grouped(unit, value, weight, document, n_values)
    lift = members.k / np.maximum(where.total[members.unit], 1e-9) * where.n_text / np.maximum(n_of[members.value], 1)
    groups, n = members, n_of[members.value].astype(np.float64)
    member_of = members.value
    if feature.group is not None:
        groups, n, kept_members, member_of = _together(feature.group, members, lift, n_of, (unit, weight, document))
        members = kept_members
    fewest_documents = min(feature.fewest, max(text.n_documents, 1))
    supported = (groups.count >= feature.fewest) & (groups.n_documents >= fewest_documents) & (n >= FEWEST_IN_TEXT)
    k = np.minimum(np.maximum(groups.k - SHORT * np.sqrt(groups.squares), 0), n)
    n_effective = groups.k**2 / np.maximum(groups.squares, 1e-9)
    rank = log_odds(k, n, where.total[groups.unit], where.n_text, n_effective)
    supported &= rank > 0
    if feature.context is not None:
        rank = np.where(supported, _adjusted(feature, where, groups, supported), -np.inf)
        supported &= rank > 0
    kept = np.flatnonzero(supported)
    kept = kept[np.lexsort((groups.value[kept], -rank[kept], groups.unit[kept]))]
    return Candidates(
        unit=groups.unit[kept],
        value=groups.value[kept],
        k=k[kept],
        n=n[kept],
        rank=rank[kept],
        member_key=members.unit * n_values + members.value,
        member_of=member_of,
    )


def _together(
    group: np.ndarray,
    members: Groups,
    lift: np.ndarray,
    n_of: np.ndarray,
    entries: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> tuple[Groups, np.ndarray, Groups, np.ndarray]:
    """Values of a group as one, those of them that tell alone: the groups, their counts in the text, and their members."""
    tells = lift > ALONE
    unit, weight, document = entries
    kept = tells[members.of_entry]
    n_groups = int(group.max(initial=0)) + 1
    together = grouped(unit[kept], group[members.value[members.of_entry[kept]]], weight[kept], document[kept], n_groups)
    one = np.flatnonzero(tells)
    keys = members.unit[one] * n_groups + group[members.value[one]]
    place = np.searchsorted(together.unit * n_groups + together.value, keys)
    n = np.bincount(place, n_of[members.value[one]], minlength=len(together.unit))
    few = Groups(
        members.unit[one], members.value[one], members.k[one], members.squares[one], members.count[one],
        members.n_documents[one], one,
    )  # fmt: skip
    return together, n, few, group[members.value[one]]


def _adjusted(feature: Feature, where: Firing, groups: Groups, wanted: np.ndarray) -> np.ndarray:
    """Lower end of the log of how much more often a value is there than the tokens that the unit fires on make likely."""
    found = np.full(len(groups.unit), -np.inf)
    some = np.flatnonzero(wanted)
    if not len(some) or feature.context is None:
        return found
    first, end = where.bounds[groups.unit[some]], where.bounds[groups.unit[some] + 1]
    lengths = end - first
    entry = np.arange(int(lengths.sum())) + np.repeat(first - np.concatenate(([0], np.cumsum(lengths)[:-1])), lengths)
    chance = feature.context.chance(where.token[entry], np.repeat(groups.value[some], lengths))
    expected = np.add.reduceat(where.weight[entry] * chance, np.concatenate(([0], np.cumsum(lengths)[:-1])))
    found[some] = np.log(groups.k[some] / expected) - Z / np.sqrt(groups.n_documents[some])
    return found
