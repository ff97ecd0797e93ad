"""Cells by what they are called."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ffmem.errors import InputError
from ffmem.queries.wanted import Wanted, parse_words
from ffmem.store.label_reader import unit_of_row
from ffmem.store.label_rows import GRADES, SOURCES
from ffmem.store.reader import Index

NOT_NAMED = np.iinfo(np.int64).max
"""The rank of a cell that is not called so."""
Ranks = Sequence[np.ndarray]
"""For each layer, by its place, (cells, signs): the place of each among the cells that are called so, the surest name first."""


@dataclass(frozen=True)
class NameQuestion:
    """What is asked of names; empty parts ask nothing.

    Raises:
        InputError: there is no such source or grade.
    """

    named: str = ""
    """Words in the name, or a part of it."""
    topic: str = ""
    """Words in the topic that the name claims."""
    source: str = ""
    """Where it comes from: "human", "lm", "rule", "import", or "guess", which is found in no other way."""
    grade: str = ""
    """Of a name by rule."""

    def __post_init__(self) -> None:
        sources = (*SOURCES, "guess")
        if self.source.lower() not in ("", *sources):
            raise InputError(
                f"the source of a name is {self.source!r}",
                f"Expected one of: {', '.join(sources)}",
                "Write source:rule",
            )
        if self.grade.upper() not in ("", *GRADES):
            raise InputError(
                f"the grade of a name is {self.grade!r}", f"Expected one of: {', '.join(GRADES)}", "Write grade:A"
            )

    @property
    def empty(self) -> bool:
        """Whether nothing is asked."""
        return self == NameQuestion()


def ranks_by_name(index: Index, question: NameQuestion, limit: int | None = None) -> tuple[Ranks, int]:
    """Which cells are called so, and in which order; and how many units of the model are, beyond the limit too.

    Words are looked for as whole words first; if no name has them so, within longer ones.

    Args:
        index: an opened index.
        question: what is asked.
        limit: only so many, the surest first; None: all.

    Cost: milliseconds with a limit; without one some tenths of a second for a million names that match.
    """
    wanted = parse_words(question.named) if question.named else Wanted((), ())
    rows, n = _rows(index, wanted, question, limit)
    if not rows and wanted.words:
        rows, n = _rows(index, wanted.anywhere, question, limit)
    units = unit_of_row(np.array(rows, dtype=np.int64))
    whole = index.cells.whole
    first_units = 2 * np.cumsum([0, *(one.n_cells for one in whole.layers)])
    found = []
    for place, layer in enumerate(index.cells.layers):
        first, end = first_units[index.cells.whole_place(place)], first_units[index.cells.whole_place(place) + 1]
        ranks = np.full(end - first, NOT_NAMED)
        here = np.flatnonzero((units >= first) & (units < end))
        ranks[units[here] - first] = here
        by_sign = ranks.reshape(-1, 2)[:, : index.n_signs]
        found.append(by_sign if layer.kept is None else by_sign[layer.whole_rows])
    return found, n


def order_by_name(index: Index) -> Ranks:
    """All named cells, the surest name first: by where names come from, then grade, then score; guesses behind all others."""
    sure, n_sure = ranks_by_name(index, NameQuestion())
    guessed, _ = ranks_by_name(index, NameQuestion(source="guess"))
    behind = [np.where(one == NOT_NAMED, NOT_NAMED - n_sure, one) + n_sure for one in guessed]
    return [np.minimum(one, other) for one, other in zip(sure, behind, strict=True)]


def _rows(index: Index, wanted: Wanted, question: NameQuestion, limit: int | None) -> tuple[list[int], int]:
    checks = [one.pattern for one in wanted.literals if not one.is_exact]
    found, n = index.names.matching(
        wanted.words,
        like=[one.like for one in wanted.literals],
        topic=question.topic,
        source=question.source.lower(),
        grade=question.grade.upper(),
        limit=None if checks else limit,
    )
    if not checks:
        return [row for row, _ in found], n
    rows = [row for row, text in found if all(check.search(text) for check in checks)]
    return rows[:limit], len(rows)
