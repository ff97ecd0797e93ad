"""What is said of a cell, by whom, how well it holds, and which of several labels is its name. Knows no file."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ffmem.cell import MAX_NAME, LabelSource, Name
from ffmem.ids import CellId
from ffmem.json_values import Record

SOURCES: tuple[LabelSource, ...] = ("human", "lm", "rule", "import")
Unit = tuple[CellId, int]
"""A cell and a sign of its coefficient: 1, or -1, which only gated cells have."""
GRADES = ("A", "B", "C")
"""Of names by rule, the surest first; a rule without one has not been held against other text, or has not held."""
UNNAMED = ("none", "unclear")
"""Kinds of labels that say that there is nothing to say."""
_CERTAIN = ("dead", "always", "rare")
"""Kinds that are counted, not estimated, and so need no grade."""
_MAIN_SCORES = {"rule": ("f1",), "lm": ("detection_hard", "detection"), "import": ("detection_hard", "detection")}
"""Of labels of a source, the measures of which the first that there is stands beside the name."""


@dataclass(frozen=True)
class NewLabel(Record):
    """What somebody says of a unit."""

    cell: CellId
    sign: int
    source: LabelSource
    text: str
    """The label, as it was given; empty where there is none, but a note."""
    kind: str = ""
    """What it speaks of: "token", "previous", "field", "dead", ...; of a person nothing need stand here."""
    evidence: Mapping[str, Any] | None = None
    """What it rests on, as JSON. ``field`` and ``value``, or ``topic``: the topic that it claims; ``passes``: a language
    model's label has held against its controls; ``beats_rule``: and is better than the name by rule on the same items."""
    author: str = ""
    """Who: a person, or a model by its name."""
    run: int | None = None
    """The run that made it: see `Labels.add_run`."""
    note: str = ""
    tags: tuple[str, ...] = ()
    grade: str = ""
    """Of a rule: one of `GRADES`, or empty."""

    @property
    def unit(self) -> Unit:
        """The cell and the sign that it is said of."""
        return self.cell, self.sign

    @property
    def topic(self) -> str:
        """The topic that its evidence claims; empty if it claims none."""
        evidence = self.evidence or {}
        value = evidence.get("value", "") if "field" in evidence else evidence.get("topic", "")
        values = value if isinstance(value, list | tuple) else [value]
        return ", ".join(str(one) for one in values if isinstance(one, str | int | float))


@dataclass(frozen=True)
class Label(NewLabel):
    """A label that is kept."""

    id: int = 0
    superseded_by: int | None = None
    """The label by which the same author said something else later."""
    rejected_by: str | None = None
    """Who has rejected it."""
    adjudicated: bool = False
    """It was settled that this is the name."""
    made: str = ""
    """When it was kept: UTC, to the second."""

    @property
    def is_current(self) -> bool:
        """Whether it was neither replaced nor rejected."""
        return self.superseded_by is None and self.rejected_by is None


@dataclass(frozen=True)
class Score(Record):
    """How well a label holds, by one measure."""

    measure: str
    """ "f1", "detection", "detection_hard", "fuzzing", "simulation", ..."""
    value: float
    low: float
    """The ends of its 95 % interval."""
    high: float
    n: int
    """Items that it rests on."""
    n_failed: int = 0
    """Of them, those that got no answer, and count as wrong."""
    judge: str = ""
    """The model that judged; empty where it was counted."""
    split: str = ""
    """The part of the text that it was measured on."""


@dataclass(frozen=True)
class Event(Record):
    """Something that was done with a label after it was made."""

    label: int
    what: Literal["reject", "unreject", "adjudicate"]
    by: str
    note: str
    made: str


def resolve(labels: Sequence[Label], scores: Mapping[int, Sequence[Score]]) -> tuple[int, int, Name] | None:
    """The name of a unit, its rank (the smaller, the more it can be relied on), and the label that it is.

    What was settled comes before what people say, the newest first; then a language model's label that holds and is better
    than the rule's; then a rule's, and last what is not shown to hold.

    Args:
        labels: all of the unit, in the order in which they were made.
        scores: by label.
    """
    said = [
        (one, text) for one in labels if one.is_current and one.kind not in UNNAMED and (text := name_text(one.text))
    ]
    if not said:
        return None
    has_rule = any(one.source == "rule" and _tier(one, False) < _GUESS for one, _ in said)
    ranked = sorted((_tier(one, has_rule), -one.id, number) for number, (one, _) in enumerate(said))
    tier, (best, text) = ranked[0][0], said[ranked[0][2]]
    texts = [text]
    if tier == _HUMAN:
        others = [said[number] for _, _, number in ranked]
        texts = list(dict.fromkeys((text, *(other for one, other in others if one.source == "human"))))
    score = _main_score(best, scores.get(best.id, ()))
    name = Name(
        sign=best.sign,
        text=text if len(texts) == 1 else name_text(" / ".join(texts)),
        source=best.source,
        mark=_mark(best, tier, score, len(texts) > 1),
        grade=best.grade if best.source == "rule" else "",
        score=score,
        n_others=len({text for _, text in said} - set(texts)),
        topic=name_text(best.topic),
        kind=best.kind,
        is_guess=tier >= _GUESS,
    )
    return tier * 1000 + 999 - round(999 * min(max(score or 0.0, 0.0), 1.0)), best.id, name


_ADJUDICATED, _HUMAN, _LM, _RULE, _GUESS = 0, 1, 2, 3, 7
"""The first tiers of what can be relied on; the grades of rules have 3, 4 and 5, what is counted 6."""


GUESS_RANK = _GUESS * 1000
"""The first rank of a guess."""


def _tier(label: Label, has_rule: bool) -> int:
    if label.adjudicated:
        return _ADJUDICATED
    if label.source == "human":
        return _HUMAN
    if label.source == "rule":
        if label.grade in GRADES:
            return _RULE + GRADES.index(label.grade)
        return _RULE + len(GRADES) if label.kind in _CERTAIN else _GUESS + 2
    evidence = label.evidence or {}
    if evidence.get("passes") is not True:
        return _GUESS + 1
    return _LM if evidence.get("beats_rule") is True or not has_rule else _GUESS


def _main_score(label: Label, scores: Sequence[Score]) -> float | None:
    by_measure = {one.measure: one.value for one in reversed(scores)}
    wanted = _MAIN_SCORES.get(label.source, ())
    return next((by_measure[measure] for measure in wanted if measure in by_measure), None)


def _mark(label: Label, tier: int, score: float | None, differ: bool) -> str:
    if label.source == "human":
        return "settled" if tier == _ADJUDICATED else "by hand, differing" if differ else "by hand"
    source = "imported" if label.source == "import" else label.source
    value = label.grade if label.source == "rule" else "" if score is None else f"{score:.2f}"
    word = "settled, " if tier == _ADJUDICATED else "guess, " if tier >= _GUESS else ""
    return f"{word}{source} {value}".strip()


def name_text(text: str) -> str:
    """A label as it is shown: `one_line` of at most `MAX_NAME` characters."""
    if len(text) <= MAX_NAME and text.isprintable() and "  " not in text and text == text.strip():
        return text  # as most are
    return one_line(text, MAX_NAME)


def one_line(text: str, longest: int) -> str:
    """A text from elsewhere on one line of at most so many characters.

    Control characters, line ends and spaces become one space; marks that turn the direction of the text around them, and
    others that cannot be seen, are left out, but for those that join letters and signs.
    """
    line = " ".join("".join(map(_plain, text[: 20 * longest])).split())
    if not line.strip(_JOINERS + " "):
        return ""
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def _plain(character: str) -> str:
    if character.isprintable() or character in _JOINERS:
        return character
    return "" if unicodedata.category(character) in ("Cf", "Cs", "Cn") else " "


_JOINERS = "\u200c\u200d"
"""Letters of some scripts, and signs that are made of several, need them."""
