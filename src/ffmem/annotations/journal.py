"""What annotators do on the page, kept as they do it: each change a row that stays, and the stored files after it.

A change names the revision that it was made on. If another tab, or an import, has made a newer one, it is refused, and
nothing of either is lost. A change is on the disk before it is acknowledged; then the file of the annotator and batch,
which everything else reads, is written anew. If the process dies between the two, the next one who asks writes it.
What others do to that file, an import or its removal, counts as a change: the file is what is true.
"""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from ffmem.annotations import store
from ffmem.annotations.batches import Batch, annotations_folder
from ffmem.annotations.drafts import Draft, as_text, counted, draft_from, from_text
from ffmem.annotations.protocol import ADJUDICATED, check_name
from ffmem.errors import InputError, StoreError
from ffmem.store.files import disk_errors
from ffmem.store.reader import Index

_SCHEMA = """
CREATE TABLE IF NOT EXISTS revisions (
    id INTEGER PRIMARY KEY, batch TEXT NOT NULL, annotator TEXT NOT NULL, cell INTEGER NOT NULL,
    parent INTEGER NOT NULL, content TEXT NOT NULL, made TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
) STRICT;
CREATE INDEX IF NOT EXISTS revisions_of_cells ON revisions (batch, annotator, cell, id);
CREATE TABLE IF NOT EXISTS undone (id INTEGER PRIMARY KEY, later INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS files (
    batch TEXT NOT NULL, annotator TEXT NOT NULL, sha256 TEXT NOT NULL, revision INTEGER NOT NULL,
    PRIMARY KEY (batch, annotator)
) STRICT;
"""
_PATIENCE_S = 30
"""For others who write; a change takes milliseconds."""
_NOTHING = ("", 0)


@dataclass(frozen=True)
class Saved:
    """A cell as it stands."""

    revision: int
    """0: nothing was ever saved."""
    draft: Draft
    can_undo: bool
    can_redo: bool = False


class Conflict(Exception):  # noqa: N818 (it says what happened)
    """Somebody else has saved meanwhile; holds what they saved."""

    def __init__(self, current: Saved) -> None:
        super().__init__("another tab or an import has changed this cell since it was shown here")
        self.current = current


class Journal:
    """The journal beside an index; several may be open at a time.

    Args:
        index: whose annotations they are.
        read_only: write nothing, and show what is stored.
    """

    def __init__(self, index: Index, *, read_only: bool = False) -> None:
        self._index = index
        self._read_only = read_only
        self._path = annotations_folder(index) / "journal.sqlite"

    def current(self, batch: Batch, annotator: str) -> dict[int, Saved]:
        """The cells of a batch on which something was said, by their numbers, from 1.

        Raises:
            InputError: the annotator's name is none.
        """
        check_name(annotator, "annotator")
        if self._read_only:
            numbers = {shown: number for number, shown in enumerate(batch.cells, 1)}
            stored = store.load_one(self._index, batch.name, annotator)
            return {numbers[one.shown]: Saved(0, draft_from(one), False) for one in stored if one.shown in numbers}
        if not self._path.is_file() and not store.stored_path(self._index, batch.name, annotator).is_file():
            return {}
        with self._transaction() as connection:
            ours = self._take_over(connection, batch, annotator)
            now = _current(connection, batch.name, annotator)
            behind = _latest(connection, batch.name, annotator) > _file(connection, batch.name, annotator)[1]
        return self._write_out(batch, annotator) if ours and behind else now

    def annotators(self, batch: str) -> list[str]:
        """Who has said something about a batch, finished or not; those who settle differences last."""
        names = {path.name[len(batch) + 1 : -5] for path in annotations_folder(self._index).glob(f"{batch}.*.json")}
        if self._path.is_file() and not self._read_only:
            with self._transaction() as connection:
                found = connection.execute("SELECT DISTINCT annotator FROM revisions WHERE batch = ?", (batch,))
                names |= {name for (name,) in found}
        return sorted(names, key=lambda one: (one == ADJUDICATED, one))

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
            self._take_over(connection, batch, annotator, to_write=True)
            now = _current(connection, batch.name, annotator).get(number, Saved(0, Draft(), False))
            if now.draft != draft:  # else it is saved already: an answer may have been lost on its way
                if now.revision != base:
                    raise Conflict(now)
                _append(connection, batch.name, annotator, number, base, draft)
        return self._written(batch, annotator, number, draft)

    def undo(self, batch: Batch, annotator: str, number: int, base: int) -> Saved:
        """Go back to what was said before the last change that was not undone; this, too, is a revision.

        Raises:
            Conflict: there is a newer revision.
            InputError: there is nothing to go back to.
        """
        with self._transaction() as connection:
            now = self._on(connection, batch, annotator, number, base)
            if not now.can_undo:
                raise InputError("nothing has been changed yet", "Expected a change to undo", "Change something first")
            (parent,) = connection.execute("SELECT parent FROM revisions WHERE id = ?", (base,)).fetchone()
            earlier, before = _revision(connection, parent) if parent else (_blank(batch, number), 0)
            made = _append(connection, batch.name, annotator, number, before, earlier)
            connection.execute("INSERT INTO undone VALUES (?, ?)", (made, base))
        return self._written(batch, annotator, number, earlier)

    def redo(self, batch: Batch, annotator: str, number: int, base: int) -> Saved:
        """Go forward again to what `undo` has left; this, too, is a revision.

        Raises:
            Conflict: there is a newer revision.
            InputError: the last change was no undoing.
        """
        with self._transaction() as connection:
            now = self._on(connection, batch, annotator, number, base)
            if not now.can_redo:
                raise InputError(
                    "nothing has been undone", "Expected an undo right before a redo", "Undo something first"
                )
            later = _later(connection, base)
            draft, _ = _revision(connection, later)
            made = _append(connection, batch.name, annotator, number, base, draft)
            if further := _later(connection, later):
                connection.execute("INSERT INTO undone VALUES (?, ?)", (made, further))
        return self._written(batch, annotator, number, draft)

    def _on(self, connection: sqlite3.Connection, batch: Batch, annotator: str, number: int, base: int) -> Saved:
        check_name(annotator, "annotator")
        self._take_over(connection, batch, annotator, to_write=True)
        now = _current(connection, batch.name, annotator).get(number, Saved(0, Draft(), False))
        if now.revision != base:
            raise Conflict(now)
        return now

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with disk_errors(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            # SQLite does not wait where two open a file that is new to both, or one closes it while the other opens it
            lock = FileLock(self._path.with_suffix(".lock"), timeout=_PATIENCE_S)
            with lock, closing(sqlite3.connect(self._path, timeout=_PATIENCE_S, isolation_level=None)) as connection:
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
        except (sqlite3.Error, Timeout) as error:
            raise StoreError(
                f"{self._path} cannot be used: {error}",
                "Expected a journal as the explorer wrote it, on a disk with free space",
                "Move it away to begin a new one: the .json files beside it hold what was annotated",
            ) from error

    def _take_over(
        self, connection: sqlite3.Connection, batch: Batch, annotator: str, *, to_write: bool = False
    ) -> bool:
        """Let what others did to the stored file count as a change; whether the file holds nothing but this batch."""
        path = store.stored_path(self._index, batch.name, annotator)
        found = _sha256(path)
        if found == _file(connection, batch.name, annotator)[0]:
            return True
        numbers = {shown: number for number, shown in enumerate(batch.cells, 1)}
        stored = store.load_one(self._index, batch.name, annotator)
        said = {numbers[one.shown]: draft_from(one) for one in stored if one.shown in numbers}
        for number, saved in _current(connection, batch.name, annotator).items():
            counts = counted(batch, annotator, number, saved.draft)
            if counts is not None and said.setdefault(number, _blank(batch, number)) == draft_from(counts):
                del said[number]
        parents = {number: one.revision for number, one in _current(connection, batch.name, annotator).items()}
        for number, draft in sorted(said.items()):
            _append(connection, batch.name, annotator, number, parents.get(number, 0), draft)
        if any(one.shown not in numbers for one in stored):
            if to_write:
                raise InputError(
                    f"{annotator} has annotated cells under the name {batch.name!r} that are not in this batch",
                    "Expected an annotator of whom only cells of this batch are stored",
                    "Annotate under another name, or draw this batch under another name",
                )
            return False
        _remember(connection, batch.name, annotator, found)
        return True

    def _written(self, batch: Batch, annotator: str, number: int, draft: Draft) -> Saved:
        """A cell after its change, on the disk and in the stored file."""
        now = self._write_out(batch, annotator).get(number, Saved(0, draft, False))
        if now.draft != draft:  # an import came between
            raise Conflict(now)
        return now

    def _write_out(self, batch: Batch, annotator: str) -> dict[int, Saved]:
        """The stored file, from what stands in the journal."""
        with self._transaction() as connection:
            self._take_over(connection, batch, annotator, to_write=True)
            now = _current(connection, batch.name, annotator)
            if _latest(connection, batch.name, annotator) > _file(connection, batch.name, annotator)[1]:
                said = [counted(batch, annotator, number, one.draft) for number, one in sorted(now.items())]
                path = store.save_one(self._index, batch.name, annotator, [one for one in said if one is not None])
                _remember(connection, batch.name, annotator, _sha256(path))
        return now


def _blank(batch: Batch, number: int) -> Draft:
    return Draft(marks=((),) * len(batch.cells[number - 1].triggers))


def _sha256(path: Path) -> str:
    """Of a file; empty if it is not there."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return ""


def batch_names(index: Index) -> list[str]:
    """Batches that were drawn from an index."""
    return sorted(path.stem for path in (annotations_folder(index) / "keys").glob("*.json"))


def _current(connection: sqlite3.Connection, batch: str, annotator: str) -> dict[int, Saved]:
    rows = connection.execute(
        "SELECT cell, revisions.id, content, parent, later FROM revisions LEFT JOIN undone USING (id) WHERE id IN "
        "(SELECT max(id) FROM revisions WHERE batch = ? AND annotator = ? GROUP BY cell)",
        (batch, annotator),
    ).fetchall()
    found = {}
    for cell, revision, content, parent, later in rows:
        draft = from_text(content)
        found[cell] = Saved(revision, draft, parent > 0 or not draft.empty, later is not None)
    return found


def _revision(connection: sqlite3.Connection, revision: int) -> tuple[Draft, int]:
    """What a revision says, and the one before it."""
    content, parent = connection.execute("SELECT content, parent FROM revisions WHERE id = ?", (revision,)).fetchone()
    return from_text(content), parent


def _later(connection: sqlite3.Connection, revision: int) -> int:
    """What undoing has left at a revision; 0 if it is no undoing."""
    found = connection.execute("SELECT later FROM undone WHERE id = ?", (revision,)).fetchone()
    return int(found[0]) if found else 0


def _append(connection: sqlite3.Connection, batch: str, annotator: str, number: int, parent: int, draft: Draft) -> int:
    made = connection.execute(
        "INSERT INTO revisions (batch, annotator, cell, parent, content) VALUES (?, ?, ?, ?, ?) RETURNING id",
        (batch, annotator, number, parent, as_text(draft)),
    )
    return int(made.fetchone()[0])


def _latest(connection: sqlite3.Connection, batch: str, annotator: str) -> int:
    found = connection.execute(
        "SELECT max(id) FROM revisions WHERE batch = ? AND annotator = ?", (batch, annotator)
    ).fetchone()
    return found[0] or 0


def _file(connection: sqlite3.Connection, batch: str, annotator: str) -> tuple[str, int]:
    """The stored file as it was when it was last known: its hash, and the latest revision in it."""
    found = connection.execute(
        "SELECT sha256, revision FROM files WHERE batch = ? AND annotator = ?", (batch, annotator)
    ).fetchone()
    return found or _NOTHING


def _remember(connection: sqlite3.Connection, batch: str, annotator: str, sha256: str) -> None:
    latest = _latest(connection, batch, annotator)
    connection.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", (batch, annotator, sha256, latest))
