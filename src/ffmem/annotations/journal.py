"""What annotators do on the page, kept as they do it: each change a row that stays, and the stored files after it.

A change names the revision that it was made on. If another tab, or an import, has made a newer one, it is refused, and
nothing of either is lost. A change is on the disk before it is acknowledged; then the file of the annotator and batch,
which everything else reads, is written anew. If the process dies between the two, the next one who asks writes it.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ffmem.annotations import store
from ffmem.annotations.batches import Batch, annotations_folder, load_batch
from ffmem.annotations.protocol import ADJUDICATED, CLASSES, CellAnnotation, Pattern, check_name
from ffmem.errors import InputError, StoreError
from ffmem.index.files import disk_errors, parse_json
from ffmem.index.reader import Index

MAX_PATTERNS = 20
"""Of a cell."""
MAX_TEXT = 500
"""Characters of a pattern's description."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS revisions (
    id INTEGER PRIMARY KEY, batch TEXT NOT NULL, annotator TEXT NOT NULL, cell INTEGER NOT NULL,
    parent INTEGER NOT NULL, content TEXT NOT NULL, made TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
) STRICT;
CREATE INDEX IF NOT EXISTS revisions_of_cells ON revisions (batch, annotator, cell, id);
CREATE TABLE IF NOT EXISTS written (
    batch TEXT NOT NULL, annotator TEXT NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY (batch, annotator)
) STRICT;
"""


@dataclass(frozen=True)
class Draft:
    """What an annotator says about a cell, finished or not."""

    patterns: tuple[tuple[str, str], ...] = ()
    """Description and class of each, numbered from 1; either may be empty while it is being written."""
    marks: tuple[tuple[int, ...], ...] = ()
    """Of each trigger, the numbers of the patterns that it carries, ascending."""
    done: bool = False
    """Whether the annotator has said that this is all."""

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        patterns = [{"text": text, "class": pattern_class} for text, pattern_class in self.patterns]
        return {"patterns": patterns, "marks": [list(one) for one in self.marks], "done": self.done}

    @property
    def empty(self) -> bool:
        """Whether nothing is said yet."""
        return not self.done and not self.patterns and not any(self.marks)


@dataclass(frozen=True)
class Saved:
    """A cell as it stands."""

    revision: int
    """0: nothing was ever saved."""
    draft: Draft
    can_undo: bool


class Conflict(Exception):  # noqa: N818 (it says what happened)
    """Somebody else has saved meanwhile; holds what they saved."""

    def __init__(self, current: Saved) -> None:
        super().__init__("another tab or an import has changed this cell since it was shown here")
        self.current = current


def draft_of(value: Mapping[str, Any], n_triggers: int) -> Draft:
    """A draft from plain JSON values.

    Raises:
        InputError: it is none for a cell with so many triggers.
    """
    try:
        patterns = tuple((str(one["text"]).strip(), str(one["class"])) for one in value["patterns"])
        marks = tuple(tuple(sorted({int(number) for number in one})) for one in value["marks"])
        done = bool(value.get("done", False))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"the annotation is not understood: {error!r}",
            'Expected {"patterns": [{"text": ..., "class": ...}], "marks": [[1, 2], [], ...], "done": false}',
            "See /openapi.json",
        ) from error
    if len(patterns) > MAX_PATTERNS:
        raise InputError(f"there are {len(patterns)} patterns", f"Expected at most {MAX_PATTERNS}", "Join some of them")
    for number, (text, pattern_class) in enumerate(patterns, 1):
        if len(text) > MAX_TEXT:
            raise InputError(
                f"pattern {number} is described in {len(text):,} characters",
                f"Expected at most {MAX_TEXT}",
                "Shorten it",
            )
        if pattern_class not in ("", *CLASSES):
            raise InputError(
                f"the class of pattern {number} is {pattern_class[:40]!r}",
                f"Expected one of: {', '.join(CLASSES)}",
                "Choose one of them",
            )
    if len(marks) != n_triggers:
        raise InputError(
            f"there are marks for {len(marks)} triggers", f"Expected them for {n_triggers}", "Load the page again"
        )
    strange = [number for one in marks for number in one if not 1 <= number <= len(patterns)]
    if strange:
        raise InputError(
            f"a trigger is marked with pattern {strange[0]}", f"Expected 1 to {len(patterns)}", "Add the pattern first"
        )
    return Draft(patterns, marks, done)


class Journal:
    """The journal beside an index; several may be open at a time.

    Args:
        index: whose annotations they are.
    """

    def __init__(self, index: Index) -> None:
        self._index = index
        self._path = annotations_folder(index) / "journal.sqlite"

    def current(self, batch: Batch, annotator: str) -> dict[int, Saved]:
        """The cells of a batch on which something was said, by their numbers, from 1.

        Raises:
            InputError: the annotator's name is none.
        """
        check_name(annotator, "annotator")
        if not self._path.is_file() and not store.stored_path(self._index, batch.name, annotator).is_file():
            return {}
        with self._transaction() as connection:
            self._take_over(connection, batch, annotator)
            return _current(connection, batch.name, annotator)

    def save(self, batch: Batch, annotator: str, number: int, base: int, draft: Draft) -> Saved:
        """Keep what an annotator says about a cell.

        Args:
            batch: the batch.
            annotator: who.
            number: of the cell in it, from 1.
            base: the revision that the change was made on.
            draft: what is said now.

        Raises:
            Conflict: there is a newer revision, which says something else.
        """
        check_name(annotator, "annotator")
        with self._transaction() as connection:
            self._take_over(connection, batch, annotator)
            now = _current(connection, batch.name, annotator).get(number, Saved(0, Draft(), False))
            if now.draft != draft:  # else it is saved already: an answer may have been lost on its way
                if now.revision != base:
                    raise Conflict(now)
                _append(connection, batch.name, annotator, number, base, draft)
        return self._write_out(batch, annotator).get(number, now)

    def undo(self, batch: Batch, annotator: str, number: int, base: int) -> Saved:
        """Go back to what was said before the last change that was not undone; this, too, is a revision.

        Raises:
            Conflict: there is a newer revision.
            InputError: there is nothing to go back to.
        """
        with self._transaction() as connection:
            self._take_over(connection, batch, annotator)
            now = _current(connection, batch.name, annotator).get(number, Saved(0, Draft(), False))
            if now.revision != base:
                raise Conflict(now)
            if not now.can_undo:
                raise InputError("nothing was changed yet", "Expected a change to take back", "Go on")
            parent = connection.execute("SELECT parent FROM revisions WHERE id = ?", (base,)).fetchone()[0]
            earlier, before = Draft(marks=now.draft.marks and ((),) * len(now.draft.marks)), 0
            if parent:
                content, before = connection.execute(
                    "SELECT content, parent FROM revisions WHERE id = ?", (parent,)
                ).fetchone()
                earlier = _parsed(content)
            _append(connection, batch.name, annotator, number, before, earlier)
        return self._write_out(batch, annotator)[number]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with disk_errors(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with closing(sqlite3.connect(self._path, timeout=30, isolation_level=None)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")  # acknowledged is on the disk
                connection.executescript(_SCHEMA)
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield connection
                except BaseException:
                    connection.execute("ROLLBACK")
                    raise
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreError(
                f"{self._path} cannot be used: {error}",
                "Expected a journal as the explorer wrote it, on a disk with room",
                "Move it away to begin a new one: the .json files beside it hold what was annotated",
            ) from error

    def _take_over(self, connection: sqlite3.Connection, batch: Batch, annotator: str) -> None:
        """Let an import count as a change; what another process had no time to write out does not look like one."""
        path = store.stored_path(self._index, batch.name, annotator)
        found = _sha256(path)
        row = connection.execute(
            "SELECT sha256 FROM written WHERE batch = ? AND annotator = ?", (batch.name, annotator)
        ).fetchone()
        if not found or (row is not None and row[0] == found):
            return
        numbers = {shown: number for number, shown in enumerate(batch.cells, 1)}
        now = _current(connection, batch.name, annotator)
        for one in store.load_one(self._index, batch.name, annotator):
            number = numbers.get(one.shown)
            draft = _draft_from(one)
            if number is not None and (
                number not in now or _annotation(batch, annotator, number, now[number].draft) != one
            ):
                parent = now[number].revision if number in now else 0
                _append(connection, batch.name, annotator, number, parent, draft)
        _remember(connection, batch.name, annotator, found)

    def _write_out(self, batch: Batch, annotator: str) -> dict[int, Saved]:
        """The stored file, from what stands in the journal."""
        with self._transaction() as connection:
            now = _current(connection, batch.name, annotator)
            said = [_annotation(batch, annotator, number, one.draft) for number, one in sorted(now.items())]
            path = store.save_one(self._index, batch.name, annotator, [one for one in said if one is not None])
            _remember(connection, batch.name, annotator, _sha256(path))
        return now


def _sha256(path: Path) -> str:
    """Of a file; empty if it is not there."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def batch_names(index: Index) -> list[str]:
    """Batches that were drawn from an index."""
    return sorted(path.stem for path in (annotations_folder(index) / "keys").glob("*.json"))


def annotators_of(index: Index, batch: str) -> list[str]:
    """Who has said something about a batch, those who settle differences last."""
    names = [path.name[len(batch) + 1 : -5] for path in annotations_folder(index).glob(f"{batch}.*.json")]
    return sorted(names, key=lambda one: (one == ADJUDICATED, one))


def load_cell(index: Index, batch: str, number: int) -> Batch:
    """A batch that has a cell of this number.

    Raises:
        InputError: it has none.
    """
    found = load_batch(index, batch)
    if not 1 <= number <= len(found.cells):
        raise InputError(
            f"batch {batch!r} has no cell {number}", f"Expected 1 to {len(found.cells)}", "Begin at the first one"
        )
    return found


def _current(connection: sqlite3.Connection, batch: str, annotator: str) -> dict[int, Saved]:
    rows = connection.execute(
        "SELECT cell, id, content FROM revisions WHERE id IN "
        "(SELECT max(id) FROM revisions WHERE batch = ? AND annotator = ? GROUP BY cell)",
        (batch, annotator),
    ).fetchall()
    return {cell: Saved(id_, _parsed(content), not _parsed(content).empty) for cell, id_, content in rows}


def _append(connection: sqlite3.Connection, batch: str, annotator: str, number: int, parent: int, draft: Draft) -> None:
    connection.execute(
        "INSERT INTO revisions (batch, annotator, cell, parent, content) VALUES (?, ?, ?, ?, ?)",
        (batch, annotator, number, parent, json.dumps(draft.to_json(), ensure_ascii=False)),
    )


def _remember(connection: sqlite3.Connection, batch: str, annotator: str, sha256: str) -> None:
    connection.execute("INSERT OR REPLACE INTO written VALUES (?, ?, ?)", (batch, annotator, sha256))


def _parsed(content: str) -> Draft:
    try:
        value = parse_json(content)
        return draft_of(value, len(value["marks"]))
    except (ValueError, KeyError, TypeError, InputError) as error:
        raise StoreError(
            f"a row of the annotators' journal is damaged: {error}",
            "Expected an annotation as the explorer wrote it",
            "Move journal.sqlite away to begin a new one: the .json files beside it hold what was annotated",
        ) from error


def _annotation(batch: Batch, annotator: str, number: int, draft: Draft) -> CellAnnotation | None:
    """What counts of a draft: patterns that have a description and a class. None if nothing was said."""
    whole = [i for i, (text, pattern_class) in enumerate(draft.patterns, 1) if text and pattern_class]
    if draft.empty or not (whole or draft.done or any(draft.marks)):
        return None
    patterns = tuple(Pattern(i, draft.patterns[i - 1][0], draft.patterns[i - 1][1]) for i in whole)  # type: ignore[arg-type]
    marks = tuple(frozenset(one) & frozenset(whole) for one in draft.marks)
    return CellAnnotation(batch.name, annotator, batch.cells[number - 1], patterns, marks)


def _draft_from(one: CellAnnotation) -> Draft:
    """As on the page, where patterns are numbered from 1 without gaps."""
    places = {pattern.number: place for place, pattern in enumerate(one.patterns, 1)}
    marks = tuple(tuple(sorted(places[number] for number in numbers)) for numbers in one.marks)
    return Draft(tuple((pattern.text, pattern.pattern_class) for pattern in one.patterns), marks, True)
