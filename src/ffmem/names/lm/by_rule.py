"""Where units fire by their names by rule, which labels of a language model are measured against on the same positions."""

import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ffmem.names.lm.known import Unit
from ffmem.names.rules.features import Feature, Features
from ffmem.names.rules.text import Text, folded
from ffmem.names.rules.wording import Wording
from ffmem.store.labels import Labels
from ffmem.store.reader import Index


class ByRule:
    """Reads names by rule as they are kept, and holds them to positions."""

    def __init__(self, index: Index, labels: Labels, seed: int = 0) -> None:
        self._index, self._labels, self._seed = index, labels, seed
        self._lock = threading.Lock()

    def __call__(self, unit: Unit, tokens: np.ndarray) -> np.ndarray | None:
        """At which positions a unit fires by its name by rule; None if it has none that was given a grade.

        Of a rule that names two things, either counts. Spellings of a token that differ in case count as one where the name
        is said in small letters.
        """
        for label in self._labels.labels_of(unit.cell, unit.sign):
            if label.source == "rule" and label.grade and label.is_current:
                with self._lock:
                    return self.holds(label.evidence or {}, tokens)
        return None

    def holds(self, evidence: Mapping[str, Any], tokens: np.ndarray) -> np.ndarray | None:
        """At which positions the rule of a name holds, from the evidence of the name; None if nothing is known of it."""
        found = self._has(evidence.get("feature"), evidence.get("values", ()), tokens)
        condition, second = evidence.get("condition"), evidence.get("second")
        if found is not None and condition:
            also = self._has(condition["feature"], [condition["value"]], tokens)
            found = None if also is None else found & also
        if found is not None and second:
            other = self._has(second["feature"], second["values"], tokens)
            found = found if other is None else found | other
        return found

    @cached_property
    def _features(self) -> tuple[dict[str, Feature], Wording]:
        features = Features.of(self._index, Text.of(self._index, seed=self._seed), seed=self._seed)
        return {one.name: one for one in features.all}, Wording(self._index, features)

    def _has(self, name: Any, values: Sequence[str], tokens: np.ndarray) -> np.ndarray | None:
        by_name, wording = self._features
        feature = by_name.get(str(name))
        if feature is None:
            return None
        found = np.zeros(len(tokens), dtype=bool)
        if feature.group is not None:
            strings = self._index.text.token_strings(self._index.text.token_id[tokens].tolist())
            return np.array([one in values or one.strip() in values or folded(one) in values for one in strings])
        which, value = feature.values.expand(tokens)
        numbers, place = np.unique(value, return_inverse=True)
        said = np.array([one in values for one in wording.values(feature, numbers.tolist())], dtype=bool)
        found[which[said[place]]] = True
        return found
