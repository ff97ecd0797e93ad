"""Patterns in the triggers of a cell, and the labels that follow from them: Geva et al. 2021, section 3 and Appendix A."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from ffmem.errors import InputError
from ffmem.ids import CellId

PatternClass = Literal["shallow", "semantic"]
"""Shallow: a recurring n-gram, such as a last word that triggers share. Semantic: a recurring topic or relation."""
CLASSES: tuple[PatternClass, ...] = ("shallow", "semantic")
Label = Literal["shallow", "semantic", "shallow+semantic", "not-covered"]
LABELS: tuple[Label, ...] = ("shallow", "shallow+semantic", "semantic", "not-covered")
MIN_TRIGGERS = 3
"""A pattern is in at least so many different triggers."""
ADJUDICATED = "adjudicated"
"""The annotator whose word counts where others differ."""


@dataclass(frozen=True)
class ShownTrigger:
    """A trigger as annotators see it."""

    sentence_id: int
    position: int
    """Of the firing token, from 0."""
    sentence: str
    """The whole text; triggers that share it are no different triggers."""
    text: str
    """The prefix, on one line, the firing token in brackets at its end."""


@dataclass(frozen=True)
class ShownCell:
    """A cell and those of its triggers that annotators see, in the order in which they see them."""

    cell: CellId
    sign: int
    """Whether they are triggers of positive coefficients, 1, or of negative ones, -1."""
    triggers: tuple[ShownTrigger, ...]


@dataclass(frozen=True)
class Pattern:
    """Something that recurs in the triggers of a cell."""

    number: int
    """By which triggers are marked; from 1."""
    text: str
    """What it is, in words."""
    pattern_class: PatternClass


@dataclass(frozen=True)
class CellAnnotation:
    """What one annotator says about the triggers of one cell."""

    batch: str
    annotator: str
    shown: ShownCell
    patterns: tuple[Pattern, ...]
    marks: tuple[frozenset[int], ...]
    """Of each trigger, the numbers of the patterns that it carries."""

    def carriers(self, number: int) -> frozenset[ShownTrigger]:
        """The triggers that carry a pattern."""
        return frozenset(one for one, numbers in zip(self.shown.triggers, self.marks, strict=True) if number in numbers)

    @cached_property
    def invalid(self) -> tuple[Pattern, ...]:
        """Patterns that fewer than `MIN_TRIGGERS` different triggers carry; they count for nothing that follows."""
        return tuple(
            one
            for one in self.patterns
            if len({trigger.sentence for trigger in self.carriers(one.number)}) < MIN_TRIGGERS
        )

    @property
    def valid(self) -> tuple[Pattern, ...]:
        """The other patterns."""
        return tuple(one for one in self.patterns if one not in self.invalid)

    @property
    def labels(self) -> tuple[Label, ...]:
        """Of each trigger, the classes of the valid patterns that it carries."""
        return tuple(self._label(numbers) for numbers in self.marks)

    def _label(self, numbers: frozenset[int]) -> Label:
        classes = {one.pattern_class for one in self.valid if one.number in numbers}
        if len(classes) == len(CLASSES):
            return "shallow+semantic"
        return classes.pop() if classes else "not-covered"

    @property
    def coverage(self) -> float:
        """Share of the triggers with a label other than "not-covered"."""
        return 1 - self.labels.count("not-covered") / len(self.labels)


def check_name(name: str, what: str) -> None:
    """Refuse what cannot be part of a file's name everywhere.

    Args:
        name: of an annotator or a batch.
        what: "annotator" or "batch".

    Raises:
        InputError: it is none.
    """
    if re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", name) is None:
        raise InputError(
            f"{name!r} is not a valid name for {'an' if what == 'annotator' else 'a'} {what}",
            "Expected a lower-case letter (a to z), then up to 39 of them, digits, - and _",
            f"Choose another name, such as {'ann' if what == 'annotator' else 'batch-2'}",
        )
