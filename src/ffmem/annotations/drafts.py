"""What an annotator says about a cell while working on it: finished or not, from plain values, and what of it counts."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ffmem.annotations.batches import Batch
from ffmem.annotations.protocol import ADJUDICATED, CLASSES, CellAnnotation, Pattern
from ffmem.errors import InputError, StoreError
from ffmem.json_values import JsonObject
from ffmem.store.files import parse_json

MAX_PATTERNS = 50
"""Of a cell."""
MAX_TEXT = 500
"""Characters of a pattern's description."""


@dataclass(frozen=True)
class Draft:
    """What an annotator says about a cell, finished or not."""

    patterns: tuple[tuple[str, str], ...] = ()
    """Description and class of each, numbered from 1; either may be empty while it is being written."""
    marks: tuple[tuple[int, ...], ...] = ()
    """Of each trigger, the numbers of the patterns that it carries, ascending."""
    done: bool = False
    """Whether the annotator has said that this is all."""

    def to_json(self) -> JsonObject:
        """As plain JSON values."""
        patterns = [{"text": text, "class": pattern_class} for text, pattern_class in self.patterns]
        return {"patterns": patterns, "marks": [list(one) for one in self.marks], "done": self.done}

    @property
    def empty(self) -> bool:
        """Whether nothing is said yet."""
        return not self.done and not self.patterns and not any(self.marks)

    @property
    def half(self) -> tuple[int, ...]:
        """Patterns that lack a description or a class, and are not blank."""
        marked = {number for one in self.marks for number in one}
        return tuple(
            number
            for number, (text, given) in enumerate(self.patterns, 1)
            if not (text and given) and (text or given or number in marked)
        )


def draft_of(value: Mapping[str, Any], n_triggers: int) -> Draft:
    """A draft from plain JSON values. Nothing is done while a pattern is half written.

    Raises:
        InputError: it is none for a cell with so many triggers.
    """
    found = _plain(value)
    if len(found.patterns) > MAX_PATTERNS:
        raise InputError(
            f"there are {len(found.patterns)} patterns", f"Expected at most {MAX_PATTERNS}", "Join some of them"
        )
    for number, (text, pattern_class) in enumerate(found.patterns, 1):
        if len(text) > MAX_TEXT:
            raise InputError(
                f"pattern {number} is described in {len(text):,} characters",
                f"Expected at most {MAX_TEXT}",
                "Shorten it",
            )
        if not text.isprintable() and any(0xD800 <= ord(one) <= 0xDFFF or one == "\0" for one in text):
            raise InputError(
                f"pattern {number} has half a character (an unpaired surrogate) in its description",
                "Expected text that UTF-8 can hold",
                "Type it again",
            )
        if pattern_class not in ("", *CLASSES):
            raise InputError(
                f"the class of pattern {number} is {pattern_class[:40]!r}",
                f"Expected one of: {', '.join(CLASSES)}",
                "Choose one of them",
            )
    if len(found.marks) != n_triggers:
        raise InputError(
            f"there are marks for {len(found.marks)} triggers",
            f"Expected marks for {n_triggers}",
            "Load the page again",
        )
    strange = [number for one in found.marks for number in one if not 1 <= number <= len(found.patterns)]
    if strange:
        raise InputError(
            f"a trigger is marked with pattern {strange[0]}",
            f"Expected 1 to {len(found.patterns)}",
            "Add the pattern first",
        )
    return Draft(found.patterns, found.marks, found.done and not found.half)


def _plain(value: Mapping[str, Any]) -> Draft:
    try:
        given = [(one["text"], one["class"]) for one in value["patterns"]]
        marks = value["marks"]
        if not all(isinstance(one, str) for pattern in given for one in pattern):
            raise TypeError("text and class are not both text")
        if not isinstance(marks, list) or not all(isinstance(one, list) for one in marks):
            raise TypeError("marks are not lists")
        if not all(type(number) is int for one in marks for number in one):
            raise TypeError("a mark is not a whole number")
        done = value.get("done", False)
        if not isinstance(done, bool):
            raise TypeError("done is neither true nor false")
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"the annotation is not understood: {str(error)[:200]}",
            'Expected {"patterns": [{"text": ..., "class": ...}], "marks": [[1, 2], [], ...], "done": false}',
            "See /openapi.json",
        ) from error
    patterns = tuple((" ".join(text.split()), pattern_class) for text, pattern_class in given)
    return Draft(patterns, tuple(tuple(sorted(set(one))) for one in marks), done)


def as_text(draft: Draft) -> str:
    """A draft as the journal keeps it."""
    return json.dumps(draft.to_json(), ensure_ascii=False)


def from_text(content: str) -> Draft:
    """What `as_text` made.

    Raises:
        StoreError: it was changed.
    """
    try:
        value = parse_json(content)
        patterns = tuple((str(one["text"]), str(one["class"])) for one in value["patterns"])
        return Draft(patterns, tuple(tuple(map(int, one)) for one in value["marks"]), bool(value["done"]))
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"a row of the annotators' journal is damaged: {error}",
            "Expected an annotation as the explorer wrote it",
            "Move journal.sqlite away to begin a new one: the .json files beside it hold what was annotated",
        ) from error


def counted(batch: Batch, annotator: str, number: int, draft: Draft) -> CellAnnotation | None:
    """What counts of a draft: patterns that have a description and a class. None if nothing does.

    What settles differences counts when it is done: until then, what annotators said does.
    """
    whole = [i for i, (text, pattern_class) in enumerate(draft.patterns, 1) if text and pattern_class]
    if not draft.done and (not whole or annotator == ADJUDICATED):
        return None
    patterns = tuple(Pattern(i, draft.patterns[i - 1][0], draft.patterns[i - 1][1]) for i in whole)  # type: ignore[arg-type]
    marks = tuple(frozenset(one) & frozenset(whole) for one in draft.marks)
    return CellAnnotation(batch.name, annotator, batch.cells[number - 1], patterns, marks)


def draft_from(one: CellAnnotation) -> Draft:
    """What is stored, as on the page, where patterns are numbered from 1 without gaps."""
    places = {pattern.number: place for place, pattern in enumerate(one.patterns, 1)}
    marks = tuple(tuple(sorted(places[number] for number in numbers)) for numbers in one.marks)
    return Draft(tuple((pattern.text, pattern.pattern_class) for pattern in one.patterns), marks, True)
