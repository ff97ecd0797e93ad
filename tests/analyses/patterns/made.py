"""Sentences of small numbers as the tokens of an index, and units of their prefixes: what loops can look at."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from ffmem.analyses.patterns.kinds import GRAM_LENGTH, Features, Kind
from ffmem.analyses.patterns.lexical import Shapes
from ffmem.analyses.patterns.semantic import Meaning
from ffmem.analyses.patterns.tokens import Tokens
from ffmem.store.keys import NO_TOKEN

Unit = list[tuple[int, int] | None]
"""The triggers of a unit: sentence and position; None where there is none."""


@dataclass(frozen=True)
class Text:
    """Sentences, each of a document, each document of a topic."""

    rows: list[list[int]]
    documents: list[int]
    topics: list[int]
    """By document."""

    def features(self) -> Features:
        """As `measure` makes them of an index."""
        ids = np.concatenate([np.array(row) for row in self.rows])
        start = np.cumsum([0, *map(len, self.rows)]).astype(np.int64)
        places = 2 * np.arange(len(ids))
        tokens = Tokens(ids, places, places + 1, start, len(self.rows), np.zeros(len(self.rows), dtype=np.int64))
        of_sentence = np.array([self.topics[document] for document in self.documents], dtype=np.int32)
        n_names = max(self.topics) + 1
        counts = np.bincount(of_sentence, [len(row) for row in self.rows], minlength=n_names)
        names = tuple(f"about {number}" for number in range(n_names))
        meaning = Meaning("topic", names, of_sentence, counts / len(ids), int((counts >= 3).sum()))
        return Features(tokens, Shapes.of_vocabulary(["a", "B", "1", "."]), meaning)

    def stored(self, units: Sequence[Unit]) -> np.ndarray:
        """Triggers as an index stores them."""
        start = np.cumsum([0, *map(len, self.rows)])
        return np.array(
            [[NO_TOKEN if one is None else start[one[0]] + one[1] for one in unit] for unit in units], dtype=np.uint32
        )

    def prefixes(self) -> list[tuple[int, int]]:
        """Sentence and position of each."""
        return [(number, position) for number, row in enumerate(self.rows) for position in range(len(row))]

    def values(self, kind: Kind, sentence: int, position: int) -> set[object]:
        """All values of a kind that a prefix has: a number, or the tokens of an n-gram."""
        ids, n = self.rows[sentence][: position + 1], GRAM_LENGTH.get(kind, 0)
        if kind == "token":
            return {ids[-1]}
        if kind == "position":
            return {position}
        if kind == "topic":
            return {self.topics[self.documents[sentence]]}
        if kind.startswith("final"):
            return {tuple(ids[-n:])} if len(ids) >= n else set()
        return {tuple(ids[i : i + n]) for i in range(len(ids) - n + 1)}

    def counted(self, unit: Unit) -> list[int]:
        """The slots of a unit that count: repeats of a prefix do not."""
        seen: list[list[int]] = []
        slots = []
        for slot, one in enumerate(unit):
            if one is not None and self.rows[one[0]][: one[1] + 1] not in seen:
                seen.append(self.rows[one[0]][: one[1] + 1])
                slots.append(slot)
        return slots


@st.composite
def texts(draw: st.DrawFn) -> Text:
    rows = draw(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=6), min_size=1, max_size=8))
    documents = sorted(draw(st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows))))
    return Text(rows, documents, draw(st.lists(st.integers(0, 1), min_size=4, max_size=4)))


@st.composite
def units_of(draw: st.DrawFn, text: Text, n_slots: int = 7) -> list[Unit]:
    triggers = st.lists(st.sampled_from(text.prefixes()), max_size=n_slots)
    units = draw(st.lists(triggers, min_size=1, max_size=3))
    return [[*unit, *[None] * (n_slots - len(unit))] for unit in units]  # as an index has them, what is empty last
