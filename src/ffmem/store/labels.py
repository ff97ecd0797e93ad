"""What cells are called: labels of people, language models and rules, in one SQLite file beside an index. Knows no model.

docs/design/store-format.md is normative. A label is never changed and never deleted, but for those of rules, which are made
anew: what replaces or rejects it is told beside it. From all labels of a unit follows its name (`label_rows.resolve`), which
is kept in a table of its own, with a full-text table; both are made anew, for the units that a change touches, in the
transaction of the change. A name's row number begins with its rank, so that names are found in the order of their ranks.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from ffmem.errors import FfmemError, InputError
from ffmem.json_values import json_text
from ffmem.store.label_file import NAMES_TEXT
from ffmem.store.label_reader import AT_ONCE, LABEL, NAME, RANK_BITS, SCORE, LabelReader, storable
from ffmem.store.label_rows import GRADES, SOURCES, Label, NewLabel, Score, Unit, resolve
from ffmem.store.manifest import Manifest

_NAME_FIELDS, _SCORE_FIELDS = NAME.split(", "), SCORE.split(", ")
_MANY = 2_000
"""From so many units on, if they are a quarter of all, it is quicker to make all names anew."""


class Conflict(Exception):  # noqa: N818 (it says what happened)
    """Somebody else has said something of the unit meanwhile."""


def open_labels(folder: Path, manifest: Manifest, *, remap: bool = False) -> "Labels":
    """The labels beside an index; if there are none yet, it reads as empty, and the first one makes the file.

    Args:
        folder: of the index.
        manifest: its manifest: the labels must have been made for this very index.
        remap: take over labels of another index of the same weights; its names by rule, which rest on its text, are dropped.

    Raises:
        StoreError: the file is damaged, or belongs to another index.
    """
    labels = Labels(folder, manifest)
    if remap:
        labels._file.take_over(labels._name_all)
    labels.check()
    return labels


class Labels(LabelReader):
    """The labels beside an index, read and written; may be used from several threads. Made by `open_labels`."""

    def add(
        self,
        labels: Iterable[NewLabel],
        scores: Sequence[Sequence[Score]] = (),
        *,
        on: Mapping[Unit, str] | None = None,
    ) -> list[int]:
        """Keep labels, in one transaction; each takes the place of what its author, or its source, said of the unit before.

        Args:
            labels: what is said; nothing of the units but of these.
            scores: of each label; none for those after the last.
            on: by unit, the revision that it must still have.

        Returns:
            The labels' numbers.

        Raises:
            Conflict: a unit has another revision.
            InputError: a label is none: no such cell, sign, source or grade.
        """
        labels = list(labels)
        units = [self._unit(*one.unit) for one in labels]
        self._check_revisions(on)  # before anything is written
        with self._file.transaction() as connection:
            self._check_revisions(on)
            numbers = []
            for unit, label in zip(units, labels, strict=True):
                number = self._insert(connection, unit, label)
                connection.execute(
                    "UPDATE labels SET superseded_by = ? WHERE unit = ? AND source = ? AND author = ? AND id <> ? "
                    "AND superseded_by IS NULL AND NOT adjudicated",
                    (number, unit, label.source, label.author, number),
                )
                numbers.append(number)
            for number, some in zip(numbers, scores, strict=False):
                _insert_scores(connection, number, some)
            self._name_anew(connection, units)
        return numbers

    def replace_rules(self, labels: Iterable[NewLabel], scores: Iterable[Sequence[Score]] = ()) -> int:
        """Keep these names by rule and no others, in one transaction, and say how many.

        What a person has rejected stays rejected if the rule says the same again; what was settled stays.
        """
        n = 0
        with self._file.transaction() as connection:
            connection.execute("CREATE TEMP TABLE rejected AS SELECT id, unit, text, rejected_by FROM labels "
                               "WHERE source = 'rule' AND rejected_by IS NOT NULL AND superseded_by IS NULL")  # fmt: skip
            before = "source = 'rule' AND superseded_by IS NULL AND rejected_by IS NULL AND NOT adjudicated"
            connection.execute(f"DELETE FROM scores WHERE label IN (SELECT id FROM labels WHERE {before})")
            connection.execute(f"DELETE FROM labels WHERE {before}")
            of_labels = iter(scores)
            for n, label in enumerate(labels, 1):  # noqa: B007 (it is how many)
                if label.source != "rule":
                    raise ValueError(f"a label of the source {label.source!r} among those of rules")
                number = self._insert(connection, self._unit(*label.unit), label)
                _insert_scores(connection, number, next(of_labels, ()))
            connection.execute(
                "UPDATE labels SET rejected_by = r.rejected_by FROM rejected r WHERE labels.unit = r.unit AND labels.id > r.id "
                "AND labels.text = r.text AND labels.source = 'rule'"
            )
            connection.execute(
                "UPDATE labels SET superseded_by = (SELECT max(l.id) FROM labels l WHERE l.unit = labels.unit AND "
                "l.source = 'rule' AND l.id > labels.id) WHERE id IN (SELECT id FROM rejected)"
            )
            connection.execute("DROP TABLE rejected")
            self._name_all(connection)
        return n

    def add_scores(self, label_id: int, scores: Iterable[Score]) -> None:
        """Add to what is measured of a label."""
        self._change(label_id, lambda connection: _insert_scores(connection, label_id, scores))

    def set_evidence(self, label_id: int, evidence: Mapping[str, Any]) -> None:
        """Let a label of a language model rest on this, for example once it has passed."""
        row = (json_text(evidence), label_id)
        self._change(
            label_id, lambda connection: connection.execute("UPDATE labels SET evidence = ? WHERE id = ?", row)
        )

    def reject(self, label_id: int, by: str, note: str = "", *, on: str | None = None) -> None:
        """Say that a label is wrong: it is no name any more, and stays in the history.

        Args:
            label_id: which.
            by: who says so.
            note: why.
            on: the revision that its unit must still have.

        Raises:
            Conflict: the unit has another revision.
            InputError: there is no such label, or it is not said who says so.
        """
        self._judge(label_id, "reject", by, note, on, "UPDATE labels SET rejected_by = ? WHERE id = ?", by, label_id)

    def unreject(self, label_id: int, by: str, note: str = "", *, on: str | None = None) -> None:
        """Take a rejection back: see `reject`."""
        self._judge(label_id, "unreject", by, note, on, "UPDATE labels SET rejected_by = NULL WHERE id = ?", label_id)

    def adjudicate(self, label_id: int, by: str, note: str = "", *, on: str | None = None) -> None:
        """Settle that a label is the name of its unit, whatever else is said: see `reject`."""
        sql = (
            "UPDATE labels SET adjudicated = (id = ?1), rejected_by = CASE WHEN id = ?1 THEN NULL ELSE rejected_by END "
            "WHERE unit = (SELECT unit FROM labels WHERE id = ?1)"
        )
        self._judge(label_id, "adjudicate", by, note, on, sql, label_id)

    def add_run(self, run: Mapping[str, Any]) -> int:
        """Keep what is to be told of a run that makes labels, and give its number."""
        with self._file.transaction() as connection:
            made = connection.execute("INSERT INTO runs (content) VALUES (?) RETURNING id", (json_text(run),))
            return int(made.fetchone()[0])

    def finish_run(self, run: int, more: Mapping[str, Any]) -> None:
        """Add to what is told of a run."""
        content = self.runs()[run]
        with self._file.transaction() as connection:
            connection.execute("UPDATE runs SET content = ? WHERE id = ?", (json_text(content | dict(more)), run))

    def _judge(self, label_id: int, what: str, by: str, note: str, on: str | None, sql: str, *values: Any) -> None:
        if not by.strip():
            raise InputError("nobody is named who says so", "Expected a name", "Name yourself with --author")
        label = self.label(label_id)

        def judge(connection: sqlite3.Connection) -> None:
            self._check_revisions({label.unit: on} if on is not None else None)
            connection.execute(sql, values)
            row = (label_id, what, storable(by), storable(note))
            connection.execute('INSERT INTO events (label, what, "by", note) VALUES (?, ?, ?, ?)', row)

        self._change(label_id, judge)

    def _change(self, label_id: int, how: Callable[[sqlite3.Connection], object]) -> None:
        unit = self._unit(*self.label(label_id).unit)
        with self._file.transaction() as connection:
            how(connection)
            self._name_anew(connection, [unit])

    def _check_revisions(self, on: Mapping[Unit, str] | None) -> None:
        for unit, revision in (on or {}).items():
            if self.revision(*unit) != revision:
                raise Conflict(f"somebody else has said something of {unit[0]} since it was shown here")

    def _insert(self, connection: sqlite3.Connection, unit: int, label: NewLabel) -> int:
        """Keep a label; of one that was kept before, elsewhere, also when, and what was done with it."""
        _check_label(label)
        kept = label if isinstance(label, Label) else None
        made = connection.execute(
            "INSERT INTO labels (unit, cell, sign, source, text, kind, evidence, author, run, note, tags, grade, rejected_by, "
            "adjudicated, made) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, coalesce(?, CURRENT_TIMESTAMP))",
            (
                unit, str(label.cell), label.sign, label.source, storable(label.text), storable(label.kind),
                json_text(label.evidence or {}), storable(label.author), label.run, storable(label.note),
                json_text(label.tags), label.grade, *((kept.rejected_by, kept.adjudicated, kept.made or None) if kept
                else (None, False, None)),
            ),
        )  # fmt: skip
        return int(made.lastrowid or 0)

    def _name_anew(self, connection: sqlite3.Connection, units: Iterable[int]) -> None:
        """Make the names of some units from what is said of them now."""
        numbers = sorted(set(units))
        n_names = connection.execute("SELECT count(*) FROM names").fetchone()[0]
        if len(numbers) > _MANY and 4 * len(numbers) > n_names:
            self._name_all(connection)
            return
        for first in range(0, len(numbers), AT_ONCE):
            some = (json.dumps(numbers[first : first + AT_ONCE]),)
            these = "IN (SELECT value FROM json_each(?))"
            connection.execute(f"DELETE FROM names_text WHERE rowid IN (SELECT id FROM names WHERE unit {these})", some)
            connection.execute(f"DELETE FROM names WHERE unit {these}", some)
            self._insert_names(connection, f"unit {these}", some)

    def _name_all(self, connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM names")
        connection.execute("DROP TABLE names_text")
        connection.execute(NAMES_TEXT)
        self._insert_names(connection, "TRUE", ())

    def wrong(self) -> Iterator[str]:
        """What is wrong with the file, a sentence each: of its pages, and of names that do not follow from what was said.

        Raises:
            StoreError: it cannot be read at all.
        """
        told = [row[0] for row in self._file.rows("PRAGMA integrity_check(5)")]
        yield from (f"SQLite finds in it: {one}" for one in told if one != "ok")
        current = "superseded_by IS NULL AND rejected_by IS NULL"
        for number, unit, cell, sign in self._file.rows("SELECT id, unit, cell, sign FROM labels"):
            try:
                follows = self._unit(self._cell(cell), sign) == unit
            except (FfmemError, ValueError):
                follows = False
            if not follows:
                yield f"label {number} is of {cell}, sign {sign}, which is not unit {unit} of this index"
                return
        expected = {row[0]: row[1:] for row in self._names_of(self._file.rows, current)}
        kept = {row[0]: row[1:] for row in self._file.rows(f"SELECT id, unit, cell, label, {NAME} FROM names")}
        wrong = sorted(
            {row[0] for number, row in {**kept, **expected}.items() if kept.get(number) != expected.get(number)}
        )
        if wrong:
            yield f"{len(wrong):,} names are not what follows from the labels, the first of unit {wrong[0]}"
        texts = {number: _text_row(row) for number, row in expected.items()}
        found = {row[0]: row[1:] for row in self._file.rows("SELECT rowid, text, topic, source, grade FROM names_text")}
        if found != texts and not wrong:
            yield "the words by which names are found are not those of the names"

    def _insert_names(self, connection: sqlite3.Connection, where: str, values: tuple[Any, ...]) -> None:
        current = f"superseded_by IS NULL AND rejected_by IS NULL AND {where}"
        rows = list(self._names_of(lambda sql: connection.execute(sql, values), current))
        rows.sort(key=lambda row: row[0])
        connection.executemany(
            f"INSERT INTO names (id, unit, cell, label, {NAME}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows
        )
        connection.executemany(
            "INSERT INTO names_text (rowid, text, topic, source, grade) VALUES (?, ?, ?, ?, ?)",
            ((row[0], *_text_row(row[1:])) for row in rows),
        )

    def _names_of(self, rows_of: Callable[[str], Iterable[tuple[Any, ...]]], current: str) -> Iterator[tuple[Any, ...]]:
        """The rows of `names` that follow from labels: id, unit, cell, label, and what `NAME` says."""
        scores: dict[int, list[Score]] = {}
        sql = f"SELECT label, {SCORE} FROM scores WHERE label IN (SELECT id FROM labels WHERE {current}) ORDER BY id"
        for label, *row in rows_of(sql):
            scores.setdefault(label, []).append(Score(*row))
        cursor = rows_of(f"SELECT unit, {LABEL} FROM labels WHERE {current} ORDER BY unit, id")
        for unit, some in groupby(cursor, key=lambda row: row[0]):
            labels = [self._label(row[1:]) for row in some]
            found = resolve(labels, scores)
            if found is not None:
                rank, label, name = found
                told = (getattr(name, one) for one in _NAME_FIELDS)
                yield rank << RANK_BITS | unit, unit, str(labels[0].cell), label, *told


def _text_row(row: Sequence[Any]) -> tuple[Any, ...]:
    """What a name is found by, of its row from the unit on."""
    name = dict(zip(_NAME_FIELDS, row[3:], strict=True))
    return name["text"], name["topic"], "guess" if name["is_guess"] else name["source"], name["grade"]


def _insert_scores(connection: sqlite3.Connection, label: int, scores: Iterable[Score]) -> None:
    sql = f"INSERT INTO scores (label, {SCORE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
    connection.executemany(sql, ((label, *(getattr(one, name) for name in _SCORE_FIELDS)) for one in scores))


def _check_label(label: NewLabel) -> None:
    if label.source not in SOURCES:
        raise InputError(
            f"the source of a label is {label.source!r}", f"Expected {', '.join(SOURCES)}", "Write one of these"
        )
    if label.grade not in ("", *GRADES):
        raise InputError(
            f"the grade of a label is {label.grade!r}", f"Expected {', '.join(GRADES)}, or none", "Write one of these"
        )
