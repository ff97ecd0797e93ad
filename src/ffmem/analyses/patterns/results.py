"""What is found about the triggers of an index: patterns unit by unit, layers in numbers, and what chance would give."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt32, UInt64

from ffmem.analyses.intervals import Estimate
from ffmem.analyses.meaning.results import Trend
from ffmem.analyses.patterns.kinds import CLASS_OF, GRAM_LENGTH, Kind, PatternClass
from ffmem.analyses.patterns.lexical import SHAPES
from ffmem.analyses.patterns.semantic import Meaning
from ffmem.ids import CellId
from ffmem.json_values import JsonObject, Record, fields_to_json
from ffmem.store.reader import Index

FIRING = 0.01
"""A cell fires at this share of held-out prefixes, those with its largest coefficients, if they are above 0."""
NOTHING_TOLD = Estimate(np.nan, np.nan, np.nan, 0)
"""Of what was not asked."""
Label = Literal["shallow", "semantic", "shallow+semantic", "not-covered"]
"""What the patterns of a trigger are: all shallow or lexical, all semantic, both, or there are none (Figure 2)."""


@dataclass(frozen=True)
class Found(Record):
    """Values of one kind that triggers of a layer's units share, a row each: candidates, of which some are accepted.

    A *unit* is a cell, of gated cells a cell and a sign; its number is row * n_signs + axis.
    """

    kind: Kind
    unit: Int64[np.ndarray, "rows"]
    """Ascending."""
    value: UInt64[np.ndarray, "rows"]
    triggers: UInt32[np.ndarray, "rows"]
    """Which triggers share it: bit 0 for the first of the unit."""
    n: Int64[np.ndarray, "rows"]
    """How many these are; of semantic kinds, from how many documents."""
    example: Int64[np.ndarray, "rows"]
    """A token index that the value ends with."""
    frequency: Float64[np.ndarray, "rows"]
    """Share of random prefixes that have it."""
    p: Float64[np.ndarray, "rows"]
    """The chance that so many of random prefixes have this value, for this value alone; of topics the largest such chance, of
    random prefixes, of those with the same last tokens, and of those with the same last two."""
    p_in_unit: Float64[np.ndarray, "rows"]
    """`p` for the best of all values of the kind (Bonferroni)."""
    accepted: Bool[np.ndarray, "rows"]
    """A pattern: `p_in_unit` is not above the threshold of its kind."""


@dataclass(frozen=True)
class Control:
    """How many tests of a kind there were, and what they had to pass."""

    kind: Kind
    n_possible: int
    """Values that a unit's triggers could share: what `Found.p_in_unit` corrects for."""
    n_units: int
    """Units with enough triggers to share anything: what the threshold corrects for."""
    threshold: float
    """Largest `Found.p_in_unit` that is accepted; -1 if none was."""
    given_words: bool = False
    """Whether a pattern must also stand out among prefixes with the same last token, and among those with the same last two."""
    smallest_lift: float = np.nan
    """How many times as often as in random prefixes all triggers of a unit must have a value of middling frequency for it to be
    a pattern: what fewer would show is not seen."""


@dataclass(frozen=True)
class ChanceRate:
    """In how many units of random prefixes a pattern is claimed."""

    kind: Literal[Kind, "any"]
    before: Estimate
    """By the paper's rule alone: enough of them share something."""
    after: Estimate
    """By a pattern that is accepted."""


@dataclass(frozen=True)
class LayerPatterns:
    """One layer, over all units that ever fired."""

    layer: str
    n_units: int
    n_triggers: int
    """That count: repeats of a prefix within a unit do not."""
    labels: dict[Label, Estimate]
    """Share of triggers with each label; units are drawn (Figure 2)."""
    coverage: Estimate
    """Share of triggers with a pattern."""
    semantic: Estimate
    """Share of triggers with a semantic pattern, alone or beside a shallow one."""
    patterns_per_unit: Estimate
    """Different sets of triggers that share something shallow or lexical, and different ones that share something semantic: an
    n-gram within another one that the same triggers share is no second pattern."""
    units_with_pattern: Estimate
    units_with_kind: dict[Kind, Estimate]
    """Share of units with a pattern of a kind."""
    covered_by_kind: dict[Kind, float]
    """Share of triggers with a pattern of a kind."""


@dataclass(frozen=True)
class Score(Record):
    """How well the patterns of one kind of a layer predict, a row for each row of `Found`; NaN where it was not scored."""

    auc: Float64[np.ndarray, "rows"]
    """The chance that a held-out prefix with the value has a larger coefficient, times the sign, than one without; ties count
    half. NaN if no held-out prefix has the value, or all have."""
    precision: Float64[np.ndarray, "rows"]
    """Share of the held-out prefixes with the value at which the cell fires; by chance `FIRING`. NaN if there are none."""
    recall: Float64[np.ndarray, "rows"]
    """Share of the held-out prefixes at which the cell fires that have the value. NaN if the cell fires nowhere, or the value
    is nowhere."""
    n_matching: Int64[np.ndarray, "rows"]
    """Held-out prefixes that have the value; -1 for rows that were not scored."""


@dataclass(frozen=True)
class KindScore:
    """The scored patterns of one kind of a layer. Means are bootstrapped over units; what is NaN is left out."""

    layer: str
    kind: Kind
    n_patterns: int
    n_unmatched: int
    """Those whose value no held-out prefix has: nothing can be said of them."""
    auc: Estimate
    auc_median: float
    precision: Estimate
    precision_median: float
    recall: Estimate
    recall_median: float
    lift: Estimate = NOTHING_TOLD
    """How many times as often the prefixes with the value fire the cell as all do, over all patterns; documents are drawn."""


@dataclass(frozen=True)
class Scores:
    """Scores on held-out text."""

    n_prefixes: int
    scores: tuple[tuple[Score, ...], ...]
    """By layer, then by kind, as `Patterns.found`."""
    layers: tuple[tuple[KindScore, ...], ...]


@dataclass(frozen=True)
class LayerLikeness:
    """How alike the triggers of one layer's units are, one a document; documents are drawn."""

    layer: str
    n_units: int
    coherence: Estimate
    """Share of pairs of a unit's triggers that have one topic, or the mean cosine of their earlier words."""
    lift: Estimate
    """That over the same of random prefixes with the same last token."""
    lift_two_words: Estimate
    """Over that of prefixes with the same last two tokens."""
    above: Estimate
    """Units more alike than each of the draws of prefixes with the same last token; 1 in 21 by chance."""
    smallest_lift: float
    """What a unit must have to be above them: the median."""


@dataclass(frozen=True)
class Likenesses:
    """All layers."""

    by: str
    """"topic", or "earlier words"."""
    layers: tuple[LayerLikeness, ...]
    lift: Trend
    """How the lift goes with depth."""
    lift_two_words: Trend


@dataclass(frozen=True)
class Pattern:
    """A pattern in words."""

    cell: CellId
    sign: int
    kind: Kind
    pattern_class: PatternClass
    text: str
    """Such as ``ends with " of"``."""
    triggers: tuple[int, ...]
    """Ranks of the triggers that share it, from 0."""
    frequency: float
    """Share of random prefixes that have it."""
    p: float
    p_in_unit: float
    accepted: bool
    auc: float | None = None
    """On held-out text (see `Score`); None if it was not scored, or no held-out prefix has it."""
    precision: float | None = None
    recall: float | None = None

    @property
    def n(self) -> int:
        """How many triggers share it."""
        return len(self.triggers)

    def to_json(self) -> JsonObject:
        """The fields, and how many triggers there are."""
        return fields_to_json(self) | {"n": self.n}


@dataclass(frozen=True)
class Patterns:
    """The patterns of all units of an index. They are a machine's: nobody has read the triggers."""

    found: tuple[tuple[Found, ...], ...]
    """By layer, then by kind."""
    layers: tuple[LayerPatterns, ...]
    controls: tuple[Control, ...]
    chance: tuple[ChanceRate, ...]
    """By kind, and "any" last."""
    meaning: Meaning | None
    """What "topic" or "cluster" stands for."""
    _texts: dict[tuple[Kind, int], str] = field(default_factory=dict, repr=False, compare=False)
    """Of values that have been described: reading an n-gram from the text takes a while, and many cells share it."""

    def of_unit(
        self, index: Index, cell: CellId, sign: int = 1, *, scores: Scores | None = None, rejected: bool = False
    ) -> tuple[Pattern, ...]:
        """The patterns of a cell and a sign, by kind, those of most triggers first.

        Args:
            index: the index that they are of.
            cell: the cell.
            sign: 1 or -1.
            scores: their scores on held-out text, if there are any.
            rejected: give also what chance may have given.
        """
        place, row = index.cells.place(cell)
        unit = row * index.n_signs + (sign < 0)
        found = []
        for number, one in enumerate(self.found[place]):
            rows = np.arange(*np.searchsorted(one.unit, [unit, unit + 1]))
            rows = rows[one.accepted[rows] | rejected]
            rows = rows[np.argsort(-one.n[rows], kind="stable")]
            found += [self._describe(index, place, number, row, scores) for row in rows.tolist()]
        return tuple(found)

    def accepted(self, index: Index, place: int, *, scores: Scores | None = None) -> Iterator[Pattern]:
        """All patterns of a layer, kind by kind, cell by cell."""
        for number, one in enumerate(self.found[place]):
            for row in np.flatnonzero(one.accepted).tolist():
                yield self._describe(index, place, number, row, scores)

    def _describe(self, index: Index, place: int, number: int, row: int, scores: Scores | None) -> Pattern:
        one = self.found[place][number]
        score = scores.scores[place][number] if scores else None
        cell_row, axis = divmod(int(one.unit[row]), index.n_signs)
        triggers = int(one.triggers[row])
        return Pattern(
            cell=index.cells.cell_id(place, cell_row),
            sign=-1 if axis else 1,
            kind=one.kind,
            pattern_class=CLASS_OF[one.kind],
            text=self._text(index, one.kind, int(one.value[row]), int(one.example[row])),
            triggers=tuple(rank for rank in range(triggers.bit_length()) if triggers >> rank & 1),
            frequency=float(one.frequency[row]),
            p=float(one.p[row]),
            p_in_unit=float(one.p_in_unit[row]),
            accepted=bool(one.accepted[row]),
            auc=_number(score.auc[row] if score else None),
            precision=_number(score.precision[row] if score else None),
            recall=_number(score.recall[row] if score else None),
        )

    def _text(self, index: Index, kind: Kind, value: int, example: int) -> str:
        if kind == "token":
            return f'ends with "{index.text.vocabulary[value]}"'
        if kind in GRAM_LENGTH:
            verb = "ends with" if kind.startswith("final") else "contains"
            if (kind, value) not in self._texts:
                self._texts[kind, value] = _text_of(index, example - GRAM_LENGTH[kind] + 1, example)
            return f'{verb} "{self._texts[kind, value]}"'
        if kind == "position":
            return f"ends at position {value} of its sentence"
        if kind == "shape":
            return f"ends with {SHAPES[value]}"
        assert self.meaning is not None
        return f"{kind} {self.meaning.names[value]}"


def _text_of(index: Index, first: int, last: int) -> str:
    """The text of some tokens of a sentence."""
    sentence_id, position = index.text.locate(first)
    sentence = index.text.sentence(sentence_id)
    begin, end = sentence.token_starts[position], sentence.token_ends[position + last - first]
    return sentence.text.encode()[begin:end].decode(errors="backslashreplace")


def _number(found: float | None) -> float | None:
    return None if found is None or np.isnan(found) else float(found)
