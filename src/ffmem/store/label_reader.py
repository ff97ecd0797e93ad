"""What is said of cells, read: names, labels with their history, scores, runs. Knows no model."""

import json
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np

from ffmem.cell import Name
from ffmem.errors import InputError
from ffmem.ids import CellId
from ffmem.json_values import JsonObject
from ffmem.store.files import damaged, parse_json
from ffmem.store.label_file import LabelFile
from ffmem.store.label_rows import GUESS_RANK, Event, Label, Score, Unit
from ffmem.store.manifest import Manifest

LABEL = (
    "id, cell, sign, source, text, kind, evidence, author, run, note, tags, grade, "
    "superseded_by, rejected_by, adjudicated, made"
)
NAME = "text, source, mark, grade, score, n_others, topic, kind, is_guess, sign"
SCORE = "measure, value, low, high, n, n_failed, judge, split"
RANK_BITS = 40
"""Below a name's rank stands its unit; a model has fewer than 2^39 cells."""
AT_ONCE = 500
"""Values in one statement."""
Row = TypeVar("Row")
"""A record with a `cell`, perhaps a `sign`, and a `name`."""


class LabelReader:
    """What is said of the cells of an index; may be used from several threads.

    Args:
        folder: of the index.
        manifest: its manifest.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._file = LabelFile(folder, manifest)
        self.path = self._file.path
        self._cells = manifest.cells.whole
        self._first_rows = list(accumulate((one.n_cells for one in self._cells.layers), initial=0))
        self._signs = (1, -1)[: manifest.n_signs]
        self._may_quote = True

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    def without_quotes(self) -> Self:
        """The same, as if there were no names that may hold words of the text."""
        found = copy(self)
        found._may_quote = False
        return found

    def name(self, cell: CellId, sign: int = 1) -> Name | None:
        """What a unit is called, be it a guess; None if nothing is said of it."""
        return self.names([(cell, sign)], guesses=True).get((cell, sign))

    def of_cell(self, cell: CellId) -> tuple[Name, ...]:
        """The names of a cell, of each of its signs that has one, be it a guess."""
        return tuple(self.names(((cell, sign) for sign in self._signs), guesses=True).values())

    def shown(self, cell: CellId, sign: int | None = None) -> Name | None:
        """What stands beside a cell in lists: the name of one of its signs, or the first that it has; never a guess."""
        signs = (sign,) if sign in self._signs else self._signs
        found = self.names((cell, one) for one in signs)
        return next((found[cell, one] for one in signs if (cell, one) in found), None)

    def on(self, rows: Iterable[Row]) -> tuple[Row, ...]:
        """Records of cells, each with the name that stands beside its cell in lists: see `shown`."""
        records = tuple(rows)
        signs = [(own,) if (own := getattr(one, "sign", None)) in self._signs else self._signs for one in records]
        cells: list[CellId] = [one.cell for one in records]  # type: ignore[attr-defined]
        found = self.names((cell, sign) for cell, own in zip(cells, signs, strict=True) for sign in own)
        names = (
            next((found[cell, sign] for sign in own if (cell, sign) in found), None)
            for cell, own in zip(cells, signs, strict=True)
        )
        return tuple(replace(one, name=name) for one, name in zip(records, names, strict=True))  # type: ignore[type-var]

    def names(self, units: Iterable[Unit], *, guesses: bool = False) -> dict[Unit, Name]:
        """What some units are called; those without a name are left out, and so are guesses, unless they are asked for.

        Cost: 10 microseconds a unit.
        """
        if not self.path.exists():
            return {}
        by_number = {self._unit(*unit): unit for unit in units}
        numbers, found = list(by_number), {}
        for first in range(0, len(numbers), AT_ONCE):
            some = json.dumps(numbers[first : first + AT_ONCE])
            sql = f"SELECT unit, {NAME} FROM names WHERE unit IN (SELECT value FROM json_each(?)) AND is_guess <= ?"
            for unit, *row in self._file.rows(sql, some, int(guesses)):
                name = self._name(row)
                if self._may_quote or not name.quotes:
                    found[by_number[unit]] = name
        return found

    def all_names(self, *, guesses: bool = False) -> Iterator[tuple[CellId, int, Name]]:
        """Every name with its unit, in the order of the cells."""
        sql = f"SELECT unit, cell, {NAME} FROM names WHERE is_guess <= ? AND unit > ? ORDER BY unit LIMIT 10000"
        last = -1
        while rows := self._file.rows(sql, int(guesses), last):
            for _, cell, *row in rows:
                name = self._name(row)
                if self._may_quote or not name.quotes:
                    yield self._cell(cell), name.sign, name
            last = rows[-1][0]

    def find(
        self,
        words: Sequence[str] = (),
        *,
        like: Sequence[str] = (),
        topic: str = "",
        source: str = "",
        grade: str = "",
        limit: int = 50,
        offset: int = 0,
    ) -> tuple[list[tuple[CellId, int, Name]], int]:
        """Units whose names have all of this, the surest names first, equals in the order of the cells; and how many there are.

        Args:
            words: words, or phrases of words, in the name.
            like: patterns of SQLite's LIKE that the name meets, in which a backslash quotes.
            topic: words in the topic that the name claims.
            source: "human", "lm", "rule" or "import"; or "guess", which is found in no other way.
            grade: one of `GRADES`.
            limit: at most so many.
            offset: so many are passed over first.

        Cost: milliseconds for words, up to 0.2 s a million names where all of them are counted.
        """
        where, values = _where(words, like, topic, source, grade)
        chosen = f"SELECT {_number(where)} FROM {where} ORDER BY 1 LIMIT ? OFFSET ?"
        sql = f"SELECT cell, {NAME} FROM names WHERE id IN ({chosen}) ORDER BY id"
        rows = self._file.rows(sql, *values, limit, offset)
        found = [(self._cell(cell), row[-1], self._name(row)) for cell, *row in rows]
        return found, self._count(where, values) if rows or offset else 0

    def kinds(self) -> dict[str, int]:
        """The kinds of names that stand beside cells, with how many units have one of each: the most frequent first."""
        sql = "SELECT kind, count(*) FROM names WHERE NOT is_guess AND kind <> '' GROUP BY kind ORDER BY 2 DESC, 1"
        return dict(self._file.rows(sql)) if self.path.exists() else {}

    def cells_of_kind(self, kind: str) -> list[CellId]:
        """The cells whose name, of one of their signs, is of a kind; no guesses."""
        if not self.path.exists():
            return []
        rows = self._file.rows(
            "SELECT cell FROM names WHERE NOT is_guess AND kind = ? ORDER BY unit", storable(kind).replace("\0", " ")
        )
        return [self._cell(cell) for (cell,) in rows]

    def matching(
        self,
        words: Sequence[str] = (),
        *,
        like: Sequence[str] = (),
        topic: str = "",
        source: str = "",
        grade: str = "",
        limit: int | None = None,
    ) -> tuple[list[tuple[int, str]], int]:
        """Row numbers (see `unit_of_row`) of what `find` finds, the surest first; and how many there are, beyond the limit too.

        With each of them stands its name if a pattern is given, else nothing.
        """
        where, values = _where(words, like, topic, source, grade)
        text = "n.text" if like else "''"
        sql = f"SELECT {_number(where)}, {text} FROM {where} ORDER BY 1 LIMIT ?"
        rows = self._file.rows(sql, *values, -1 if limit is None else limit)
        return rows, len(rows) if limit is None or len(rows) < limit else self._count(where, values)

    def _count(self, where: str, values: Sequence[Any]) -> int:
        return next((int(row[0]) for row in self._file.rows(f"SELECT count(*) FROM {where}", *values)), 0)

    def labels_of(self, cell: CellId, sign: int | None = None) -> list[Label]:
        """All labels of a cell, or of one of its signs, also those that were replaced or rejected, in the order of making."""
        found = []
        for one in self._signs if sign is None else (sign,):
            rows = self._file.rows(f"SELECT {LABEL} FROM labels WHERE unit = ? ORDER BY id", self._unit(cell, one))
            found += [self._label(row) for row in rows]
        return found

    def label(self, label_id: int) -> Label:
        """The label with this number.

        Raises:
            InputError: there is none.
        """
        for row in self._file.rows(f"SELECT {LABEL} FROM labels WHERE id = ?", label_id):
            return self._label(row)
        raise InputError(
            f"there is no label {label_id}", "Expected the number of one", "`ffmem name DIR CELL --history` lists them"
        )

    def label_of_name(self, cell: CellId, sign: int = 1) -> int | None:
        """The label that is the name of a unit, be it a guess; None if it has none."""
        rows = self._file.rows("SELECT label FROM names WHERE unit = ?", self._unit(cell, sign))
        return next((row[0] for row in rows), None)

    def all_labels(self, *, history: bool = False) -> Iterator[Label]:
        """Every label in the order of the cells, then of making; those that were replaced only with their history."""
        current = "" if history else "superseded_by IS NULL AND"
        sql = f"SELECT unit, {LABEL} FROM labels WHERE {current} (unit, id) > (?, ?) ORDER BY unit, id LIMIT 10000"
        after = (-1, -1)
        while rows := self._file.rows(sql, *after):
            for _, *row in rows:
                yield self._label(row)
            after = rows[-1][0], rows[-1][1]

    def scores_of(self, *label_ids: int) -> dict[int, list[Score]]:
        """The scores of labels, in the order in which they were added."""
        found: dict[int, list[Score]] = {one: [] for one in label_ids}
        for first in range(0, len(label_ids), AT_ONCE):
            some = json.dumps(label_ids[first : first + AT_ONCE])
            sql = f"SELECT label, {SCORE} FROM scores WHERE label IN (SELECT value FROM json_each(?)) ORDER BY id"
            for label, *row in self._file.rows(sql, some):
                found[label].append(Score(*row))
        return found

    def events_of(self, cell: CellId, sign: int | None = None) -> list[Event]:
        """What was done with the labels of a cell after they were made, in the order of doing."""
        sql = 'SELECT e.id, label, what, "by", e.note, e.made FROM labels l JOIN events e ON e.label = l.id WHERE unit = ?'
        signs = self._signs if sign is None else (sign,)
        return [
            Event(*row[1:]) for row in sorted(r for one in signs for r in self._file.rows(sql, self._unit(cell, one)))
        ]

    def runs(self) -> dict[int, JsonObject]:
        """What is told of each run that made labels."""
        return {
            number: self._file.json(content)
            for number, content in self._file.rows("SELECT id, content FROM runs ORDER BY id")
        }

    def counts(self) -> dict[str, int]:
        """How many names there are: "human", "lm", "import", "rule A", ..., "guess"."""
        sql = (
            "SELECT CASE WHEN is_guess THEN 'guess' WHEN source = 'rule' THEN trim('rule ' || grade) ELSE source END, "
            "count(*) FROM names GROUP BY 1 ORDER BY 1"
        )
        return dict(self._file.rows(sql))

    def revision(self, cell: CellId, sign: int = 1) -> str:
        """What tells whether anything was said of a unit, or done with its labels, since."""
        labels = self.labels_of(cell, sign)
        return f"{max((one.id for one in labels), default=0)}.{self._last_event(self._unit(cell, sign))}"

    def check(self) -> None:
        """Hold the file, if it is there, to this index: see `LabelFile.check`."""
        self._file.check()

    def _last_event(self, unit: int) -> int:
        sql = "SELECT max(e.id) FROM labels l JOIN events e ON e.label = l.id WHERE unit = ?"
        return next((row[0] or 0 for row in self._file.rows(sql, unit)), 0)

    def _unit(self, cell: CellId, sign: int) -> int:
        """The number of a unit: cells in their order, both signs of one beside each other."""
        if sign not in self._signs:
            raise InputError(
                f"sign {sign} of {cell} does not exist",
                f"Expected {' or '.join(map(str, self._signs))}: "
                + ("this model is gated" if len(self._signs) == 2 else "only gated cells have both signs"),
                "Leave --sign out for 1",
            )
        place, row = self._cells.place(cell)
        return (self._first_rows[place] + row) * 2 + (sign == -1)

    def _cell(self, stored: str) -> CellId:
        try:
            return CellId.parse(stored)
        except (ValueError, AttributeError) as error:
            raise damaged(self.path, f"{stored!r} is not a cell") from error

    def _label(self, row: Sequence[Any]) -> Label:
        number, cell, sign, source, text, kind, evidence, author, run, note, tags, grade, *rest = row
        superseded_by, rejected_by, adjudicated, made = rest
        found = self._file.json(evidence)
        try:
            tags = tuple(map(str, parse_json(tags)))
        except (ValueError, TypeError) as error:
            raise damaged(self.path, f"the tags of label {number} are no list") from error
        return Label(
            self._cell(cell), sign, source, text, kind, found, author, run, note, tags, grade,
            number, superseded_by, rejected_by, bool(adjudicated), made,
        )  # fmt: skip

    def _name(self, row: Sequence[Any]) -> Name:
        text, source, mark, grade, score, n_others, topic, kind, is_guess, sign = row
        return Name(text, source, mark, grade, score, n_others, topic, kind, bool(is_guess), sign)


def unit_of_row(rows: np.ndarray) -> np.ndarray:
    """The units of names, by the numbers of their rows; cells of all layers in their order, 2 x the cell + (sign is -1)."""
    units: np.ndarray = rows & ((1 << RANK_BITS) - 1)
    return units


def _where(words: Sequence[str], like: Sequence[str], topic: str, source: str, grade: str) -> tuple[str, list[Any]]:
    """From which tables names are found, and by what; row numbers are those of their ranks, in either table."""
    asked = [*(("text", one) for one in words), ("topic", topic), ("source", source), ("grade", grade)]
    match = [f'{column} : "{_quoted(one)}"' for column, one in asked if one]
    tables = (
        "names_text t CROSS JOIN names n ON n.id = t.rowid"
        if match and like
        else "names_text t"
        if match
        else "names n"
    )
    number = "t.rowid" if match else "n.id"
    where = ["names_text MATCH ?"] * bool(match)
    where += [f"{number} {'>=' if source == 'guess' else '<'} {GUESS_RANK << RANK_BITS}"]
    where += ["n.text LIKE ? ESCAPE '\\'"] * len(like)
    return f"{tables} WHERE {' AND '.join(where)}", [*([" AND ".join(match)] if match else []), *like]


def _number(tables: str) -> str:
    return "t.rowid" if "names_text t" in tables else "n.id"


def _quoted(text: str) -> str:
    """As it may stand between double quotes in a full-text query."""
    return storable(text).replace("\0", " ").replace('"', '""')


def storable(text: str) -> str:
    """A text, if it is one.

    Raises:
        InputError: it has half of a character.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"a label has half of a character: {text[:100]!r}", "Expected text", "Leave out what is no character"
        ) from error
    return text
