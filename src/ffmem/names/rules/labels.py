"""Names by rule as labels: the line that is shown, and the evidence beside it."""

from collections.abc import Collection, Iterator

import numpy as np

from ffmem.json_values import JsonObject
from ffmem.names.rules.block import Found
from ffmem.names.rules.features import Feature
from ffmem.names.rules.naming import GRADES, Names, unit_rows
from ffmem.names.rules.units import CERTAIN, Block, promoted_ids, promoted_words
from ffmem.names.rules.wording import Wording, line
from ffmem.store.label_rows import NewLabel, Score

SPLIT = "held-out half"
AUTHOR = "rules"
_CERTAIN_TEXTS = {"dead": "dead", "always": "always on", "rare": "rare"}


def labels_of(names: Names, only: Collection[int] | None = None) -> Iterator[tuple[NewLabel, tuple[Score, ...]]]:
    """A label for every unit, with its score on held-out text if it has one; by layer, sign and cell.

    Args:
        names: of which units.
        only: numbers of units in the arrays of `naming.Units`; None: all.
    """
    writer = _Writer(names)
    promoted: np.ndarray | None = None
    last: Block | None = None
    for number, (block, found, place) in enumerate(unit_rows(names)):
        if only is None or number in only:
            if block is not last or promoted is None:
                promoted, last = promoted_ids(names.index, block), block
            yield writer.label(number, block, found, place, promoted[place])


class _Writer:
    def __init__(self, names: Names) -> None:
        self._names = names
        self._wording = Wording(names.index, names.features)
        units = names.units
        measures = ("f1", "low", "high", "precision", "recall", "mass", "lift", "p", "n", "n_firing")
        self._numbers = {name: units.judged(name) for name in measures}
        self._steady, self._same, self._overlap = units.steady, units.stable("same_family"), units.stable("overlap")

    def label(
        self, number: int, block: Block, found: Found, place: int, promoted: np.ndarray
    ) -> tuple[NewLabel, tuple[Score, ...]]:
        names = self._names
        cell = names.index.cells.cell_id(block.place, int(block.rows[place]))
        kind, grade = str(names.kind[number]), GRADES[names.grade[number]]
        if kind in CERTAIN or kind == "none":
            text = _CERTAIN_TEXTS.get(kind, "")
            return NewLabel(cell, block.sign, "rule", text, kind=kind, evidence={"kind": kind}, author=AUTHOR), ()
        feature = names.features.all[int(names.units.feature[number])]
        said = self._said(feature, found, int(names.units.feature[number]), place)
        words = promoted_words(names.index, promoted)
        rule, evidence = self._rule(feature, said, found, place, number)
        share = self._number("recall", number)
        holds = bool(found.value.holds[place])
        name = line(rule, share, words if holds else ())
        evidence |= self._evidence(number) | {"value_side": _value_side(found, place, words)}
        if bool(names.topical[number]) and feature.family != "field":
            evidence |= self._topic(found, place)
        if kind == "unclear":
            evidence["guess"], name = name, ""
        label = NewLabel(
            cell, block.sign, "rule", name, kind=kind, evidence={"kind": kind, **evidence}, author=AUTHOR,
            grade=grade if kind != "unclear" else "",
        )  # fmt: skip
        return label, self._scores(number)

    def _said(self, feature: Feature, found: Found, number: int, place: int) -> list[str]:
        rules = found.choice.rules[number]
        values = [one for one in rules.value[place].tolist() if one >= 0]
        if feature.group is None:
            return self._wording.values(feature, values)
        n = feature.values.n_values
        first, end = np.searchsorted(rules.key, [place * n, (place + 1) * n])
        members, slots = rules.key[first:end] % n, rules.slot[first:end]
        return self._wording.tokens(feature, values, [members[slots == slot].tolist() for slot in range(len(values))])

    def _rule(self, feature: Feature, said: list[str], found: Found, place: int, number: int) -> tuple[str, JsonObject]:
        """The rule in words, and as evidence."""
        all_features = self._names.features.all
        rule = self._wording.rule(feature, said, self._number("lift", number))
        evidence: JsonObject = {"family": feature.family, "feature": feature.name, "values": said}
        if feature.family == "field":
            evidence |= {"field": feature.field, "value": said[0] if len(said) == 1 else said}
        condition = found.conditions.get(place)
        if condition is not None and found.choice.best[place] >= 0:
            other = all_features[condition.feature]
            value = self._wording.values(other, [condition.value])
            rule += f" {'in ' if other.family == 'field' else ''}{self._wording.rule(other, value)}"
            evidence["condition"] = {"feature": other.name, "value": value[0]}
        second = int(found.second[place])
        if second >= 0:
            other = all_features[second]
            also = self._said(other, found, second, place)
            rule = f"two things: {rule.removeprefix('fires on ')} / {self._wording.rule(other, also)}"
            evidence["second"] = {"family": other.family, "feature": other.name, "values": also}
        return rule, evidence

    def _topic(self, found: Found, place: int) -> JsonObject:
        """The topic that a unit prefers beyond its tokens, beside what its name says."""
        topics = found.topics
        feature = self._names.features.all[int(topics.feature[place])]
        value = self._wording.values(feature, [int(topics.value[place])])[0]
        numbers = {"topic_lift": round(float(topics.lift[place]), 3), "topic_p": float(f"{topics.p[place]:.3g}")}
        return {"topic": value, "topic_field": feature.field, **numbers}

    def _number(self, name: str, number: int) -> float | None:
        value = float(self._numbers[name][number])
        return value if np.isfinite(value) else None

    def _evidence(self, number: int) -> JsonObject:
        told = {
            name: self._rounded(name, number) for name in ("f1", "low", "high", "precision", "recall", "mass", "lift")
        }
        lift = self._number("lift", number)
        p = self._number("p", number)
        return told | {
            "pmi": round(float(np.log2(lift)), 3) if lift else None,
            "p": None if p is None else float(f"{p:.3g}"),
            "n_positions": self._rounded("n", number),
            "n_sampled": self._rounded("n_firing", number),
            "explained": round(float(self._names.units.explained[number]), 3),
            "stability": {
                "same_family": bool(self._same[number]),
                "overlap": round(float(self._overlap[number]), 3),
                "first_value": round(float(self._steady[number]), 3),
            },
        }

    def _rounded(self, name: str, number: int) -> float | int | None:
        value = self._number(name, number)
        return None if value is None else int(value) if name.startswith("n") else round(value, 4)

    def _scores(self, number: int) -> tuple[Score, ...]:
        value, low, high, n = (self._number(name, number) for name in ("f1", "low", "high", "n_firing"))
        if value is None or low is None or high is None:
            return ()
        return (Score("f1", round(value, 4), round(low, 4), round(high, 4), int(n or 0), 0, "", SPLIT),)


def _value_side(found: Found, place: int, words: list[str]) -> JsonObject:
    numbers = {
        name: (round(float(value), 4) if np.isfinite(value) else None)
        for name, value in (
            ("share", found.value.share[place]),
            ("expected", found.value.expected[place]),
            ("low", found.value.low[place]),
        )
    }
    return {"tokens": words, "holds": bool(found.value.holds[place]), **numbers}
