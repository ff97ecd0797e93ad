"""What is found of a block of units: rules from one half of the documents, what they are worth on the other."""

from dataclasses import dataclass, replace

import numpy as np

from ffmem.names.rules.chance import resamples
from ffmem.names.rules.choice import Choice, choose
from ffmem.names.rules.confidence import Judged, covered, hits, judge, measured
from ffmem.names.rules.features import FAMILIES, Features
from ffmem.names.rules.firing import Firing, Sampled, explained, firing, thresholds, together
from ffmem.names.rules.pairs_of_rules import Condition, Places, conditions, is_a_thing, second_things
from ffmem.names.rules.steadiness import steadiness
from ffmem.names.rules.topics import Topics, topics
from ffmem.names.rules.value_side import Pairs, ValueSide, value_side

NAMING, HELD_OUT = 0, 1
N_RESAMPLES, N_STEADY = 100, 20
_FEWEST_DOCUMENTS = 3
"""With positions at which a unit fires; of fewer it is called rare."""


@dataclass(frozen=True)
class Stable:
    """How far the other half of the documents, and resamples of the first, give the same names."""

    same_family: np.ndarray
    """(units,) whether both halves choose the same family."""
    overlap: np.ndarray
    """(units,) values in both names, of those in either (Jaccard)."""
    steady: np.ndarray
    """(units,) share of resamples of the naming half with the same first value."""


@dataclass(frozen=True)
class Found:
    """All that is told of a block of units."""

    choice: Choice
    n_documents: np.ndarray
    """(units,) documents of the naming half in which each fires, as far as sampled."""
    explained: np.ndarray
    """(units,) see `firing.explained`."""
    judged: Judged
    """On the half that is held out; if none is, NaN throughout."""
    stable: Stable
    value: ValueSide
    conditions: dict[int, Condition]
    second: np.ndarray
    """(units,) number of the feature that says a second thing, -1 for none."""
    topics: Topics
    swapped_f1: np.ndarray
    """(units,) F1 of another unit's rule, that of the next one in the block: what a name is worth by chance."""


@dataclass(frozen=True)
class Finder:
    """Finds names of units in a text."""

    features: Features
    places: Places
    pairs: Pairs
    draws: tuple[np.ndarray, np.ndarray]
    """(documents, resamples) of each half."""

    @classmethod
    def of(cls, features: Features, seed: int) -> "Finder":
        """For the text of some features."""
        text = features.text
        draws = tuple(resamples(text.quarter, half, N_RESAMPLES, seed) for half in (NAMING, HELD_OUT))
        found = cls(features, Places(text), Pairs(text), (draws[0], draws[1]))
        found._prepare()
        return found

    def _prepare(self) -> None:
        """Counts that all blocks share are made once, and before threads ask for them."""
        for feature in self.features.all:
            _ = feature.values.counts
            if feature.context is not None:
                feature.context.prepare()
        self.places.of(np.zeros(1, dtype=np.int64))
        self.pairs.following(np.zeros(1, dtype=np.int64))

    def find(self, sampled: Sampled, promoted: np.ndarray) -> Found:
        """What is found of a block of units.

        Args:
            sampled: their samples.
            promoted: (units, `value_side.N_PROMOTED`) numbers of the tokens that their values promote.
        """
        text, features = self.features.text, self.features.all
        threshold = thresholds(text, sampled, NAMING)
        where = firing(text, sampled, threshold, NAMING)
        held_out = firing(text, sampled, threshold, HELD_OUT)
        everywhere = together(where, held_out)
        choice = choose(text, features, where, NAMING)
        judged = judge(text, choice, held_out, HELD_OUT, self.draws[HELD_OUT])
        found = conditions(self.places, choice, where, NAMING)
        second = second_things(choice, where, NAMING)
        return Found(
            choice=choice,
            n_documents=_n_documents(where, text.document),
            explained=explained(text, sampled, everywhere),
            judged=self._with_conditions(judged, choice, held_out, found),
            stable=self._stable(sampled, choice, where),
            value=value_side(self.pairs, everywhere, promoted, self.draws[NAMING] + self.draws[HELD_OUT]),
            conditions=found,
            second=self._still_second(choice, held_out, second),
            topics=topics(text, features, where, held_out, NAMING),
            swapped_f1=self._swapped(choice, held_out),
        )

    def _stable(self, sampled: Sampled, choice: Choice, where: Firing) -> Stable:
        text = self.features.text
        steady = steadiness(text, choice, where, NAMING, self.draws[NAMING][:, :N_STEADY])
        other = firing(text, sampled, thresholds(text, sampled, HELD_OUT), HELD_OUT)
        again = choose(text, self.features.all, other, HELD_OUT)
        return Stable(*_compared(choice, again), steady)

    def _with_conditions(self, judged: Judged, choice: Choice, held_out: Firing, found: dict[int, Condition]) -> Judged:
        """Units whose rule has a condition are measured with it."""
        if not found or not self.features.text.is_split:
            return judged
        units = np.zeros(held_out.n_units, dtype=bool)
        n = np.zeros(held_out.n_units)
        units[list(found)] = True
        for unit, condition in found.items():
            n[unit] = condition.n_held_out
        hit = judged.hit & units[held_out.unit]
        meets = np.zeros(len(held_out), dtype=bool)
        for number in {one.feature for one in found.values()}:
            feature = self.features.all[number]
            wanted = np.full(held_out.n_units, -1)
            for unit, one in found.items():
                wanted[unit] = one.value if one.feature == number else -1
            places = np.flatnonzero(hit & (wanted[held_out.unit] >= 0))
            which, value = feature.values.expand(held_out.token[places])
            meets[places[which[value == wanted[held_out.unit[places[which]]]]]] = True
        hit &= meets
        chance = n[held_out.unit] / max(held_out.n_text, 1.0)
        shared = np.zeros(len(held_out), dtype=bool)
        with_them = measured(self.features.text, held_out, hit, n, (chance, shared), self.draws[HELD_OUT], units)
        both = {
            name: np.where(units, getattr(with_them, name), getattr(judged, name))
            for name in ("n", "recall", "precision", "f1", "low", "high", "mass", "lift", "p")
        }
        return replace(judged, hit=np.where(units[held_out.unit], hit, judged.hit), **both)

    def _still_second(self, choice: Choice, held_out: Firing, second: np.ndarray) -> np.ndarray:
        """Second things that are one on held-out documents, too."""
        found = np.full(len(second), -1)
        for number in np.unique(second[second >= 0]).tolist():
            feature, rules = self.features.all[number], choice.rules[number]
            units = second == number
            mine = hits(feature, rules, held_out, units) >= 0
            found[units & is_a_thing(held_out, mine, covered(feature, rules, len(second), HELD_OUT))] = number
        return found

    def _swapped(self, choice: Choice, held_out: Firing) -> np.ndarray:
        """Every unit with the name of the one before it in the block: its positions are given that one's number."""
        n = held_out.n_units
        turned = (held_out.unit - 1) % max(n, 1)
        order = np.lexsort((held_out.token, turned))
        other = replace(
            held_out,
            unit=turned[order],
            token=held_out.token[order],
            coefficient=held_out.coefficient[order],
            weight=held_out.weight[order],
        )
        found = judge(self.features.text, choice, other, HELD_OUT, self.draws[HELD_OUT][:, :1]).f1
        return np.roll(found, 1)


def _n_documents(where: Firing, document: np.ndarray) -> np.ndarray:
    of = document[where.token]
    begins = (np.diff(where.unit, prepend=-1) != 0) | (np.diff(of, prepend=-1) != 0)
    return np.bincount(where.unit[begins], minlength=where.n_units)


def _compared(one: Choice, two: Choice) -> tuple[np.ndarray, np.ndarray]:
    """Whether two choices have the same family, and the share of values that both have."""
    family = np.array([*(FAMILIES.index(feature.family) for feature in one.features), -1])
    same = (family[one.best] == family[two.best]) & (one.best >= 0)
    n_units = len(one.best)
    values = [np.full((n_units, 3), -1), np.full((n_units, 3), -1)]
    for choice, found in zip((one, two), values, strict=True):
        for number, rules in enumerate(choice.rules):
            units = choice.best == number
            found[units] = rules.value[units]
    both = ((values[0][:, :, None] == values[1][:, None, :]) & (values[0] >= 0)[:, :, None]).any(2).sum(1)
    either = (values[0] >= 0).sum(1) + (values[1] >= 0).sum(1) - both
    overlap = np.where((one.best == two.best) & (either > 0), both / np.maximum(either, 1), 0.0)
    return same, overlap
