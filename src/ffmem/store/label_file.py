"""The file of the labels beside an index: opened, held to the index, and changed as a whole or not at all. Knows no model."""

import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ffmem.errors import StoreError
from ffmem.json_values import JsonObject, json_text
from ffmem.store.files import damaged, disk_errors, parse_json
from ffmem.store.identity import differences, identity_id
from ffmem.store.manifest import Manifest
from ffmem.store.paths import StorePaths
from ffmem.store.text import TOKENIZE

FORMAT = 1
NAMES_TEXT = (
    f"CREATE VIRTUAL TABLE IF NOT EXISTS names_text USING fts5(text, topic, source, grade, tokenize = '{TOKENIZE}')"
)
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS runs (id INTEGER PRIMARY KEY, content TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS labels (
    id INTEGER PRIMARY KEY, unit INTEGER NOT NULL, cell TEXT NOT NULL, sign INTEGER NOT NULL, source TEXT NOT NULL,
    text TEXT NOT NULL, kind TEXT NOT NULL, evidence TEXT NOT NULL, author TEXT NOT NULL, run INTEGER, note TEXT NOT NULL,
    tags TEXT NOT NULL, grade TEXT NOT NULL, superseded_by INTEGER, rejected_by TEXT,
    adjudicated INTEGER NOT NULL DEFAULT 0, made TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
) STRICT;
CREATE INDEX IF NOT EXISTS labels_of_units ON labels (unit, id);
CREATE TABLE IF NOT EXISTS scores (
    id INTEGER PRIMARY KEY, label INTEGER NOT NULL, measure TEXT NOT NULL, value REAL NOT NULL, low REAL NOT NULL,
    high REAL NOT NULL, n INTEGER NOT NULL, n_failed INTEGER NOT NULL, judge TEXT NOT NULL, split TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS scores_of_labels ON scores (label, id);
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY, label INTEGER NOT NULL, what TEXT NOT NULL, "by" TEXT NOT NULL, note TEXT NOT NULL,
    made TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
) STRICT;
CREATE INDEX IF NOT EXISTS events_of_labels ON events (label, id);
CREATE TABLE IF NOT EXISTS names (
    id INTEGER PRIMARY KEY, unit INTEGER NOT NULL UNIQUE, cell TEXT NOT NULL, sign INTEGER NOT NULL, text TEXT NOT NULL,
    source TEXT NOT NULL, mark TEXT NOT NULL, grade TEXT NOT NULL, score REAL, n_others INTEGER NOT NULL,
    topic TEXT NOT NULL, kind TEXT NOT NULL, is_guess INTEGER NOT NULL, label INTEGER NOT NULL
) STRICT;
{NAMES_TEXT};
"""
_PATIENCE_S = 60


class LabelFile:
    """The labels of an index as tables of SQLite; may be used from several threads.

    Args:
        folder: of the index.
        manifest: its manifest, which the file must have been made for.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.path = StorePaths(folder).labels
        self._manifest = manifest
        self._lock = threading.RLock()
        self._reader: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        """Which file the reader has open: it may be put there, or replaced, while this is in use."""

    def check(self) -> None:
        """Hold the file, if it is there, to the index.

        Raises:
            StoreError: it is damaged, or of another index, or of a format that this build does not read.
        """
        self._open_reader()

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a statement; none if there is no file."""
        with self._lock:
            connection = self._open_reader()
            if connection is None:
                return []
            try:
                return connection.execute(sql, values).fetchall()
            except sqlite3.Error as error:
                raise damaged(self.path, str(error)) from error

    def json(self, text: str) -> JsonObject:
        """An object that is kept as JSON."""
        try:
            return dict(parse_json(text))
        except (ValueError, TypeError) as error:
            raise damaged(self.path, "what a label rests on is no JSON object") from error

    @contextmanager
    def transaction(self, *, is_ours: bool = True) -> Iterator[sqlite3.Connection]:
        """One change: on the disk when it is acknowledged, and whole or not at all."""
        from filelock import FileLock, Timeout  # only who writes waits for it

        if is_ours:
            self.check()
        with disk_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            # SQLite does not wait where two open a file that is new to both
            lock = FileLock(self.path.with_suffix(".lock"), timeout=_PATIENCE_S)
            with disk_errors(self.path):
                connecting = sqlite3.connect(self.path, timeout=_PATIENCE_S, isolation_level=None)
            with lock, closing(connecting) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("BEGIN IMMEDIATE")
                try:
                    for part in _SCHEMA.split(";"):
                        connection.execute(part)
                    connection.executemany("INSERT OR IGNORE INTO about VALUES (?, ?)", self._about().items())
                    yield connection
                except BaseException:
                    connection.execute("ROLLBACK")
                    raise
                connection.execute("COMMIT")
        except (sqlite3.Error, Timeout) as error:
            with disk_errors(self.path):
                if isinstance(error, sqlite3.OperationalError) and "full" in str(error):
                    raise
            raise StoreError(
                f"{self.path} cannot be written: {error}",
                "Expected a file as ffmem wrote it, on a disk with free space, that no other program keeps locked",
                "Try again; a copy of the folder that may be written to can be named instead of it",
            ) from error

    def take_over(self, name_all: Callable[[sqlite3.Connection], None]) -> None:
        """Let the labels of another index of the same weights be those of this one.

        Args:
            name_all: makes the names anew.
        """
        if not self.path.exists():
            return
        with self._lock, closing(_open_to_read(self.path)) as connection:
            try:
                about = dict(connection.execute("SELECT name, value FROM about"))
            except sqlite3.Error as error:
                raise damaged(self.path, str(error)) from error
            mine = self._about()
            if about.get("index") == mine["index"] or about.get("weights") != mine["weights"]:
                return  # nothing to take over; or `check` refuses it
        with self.transaction(is_ours=False) as writing:
            writing.executemany("INSERT OR REPLACE INTO about VALUES (?, ?)", mine.items())
            dropped = "source = 'rule' AND rejected_by IS NULL AND NOT adjudicated"
            writing.execute(f"DELETE FROM scores WHERE label IN (SELECT id FROM labels WHERE {dropped})")
            writing.execute(f"DELETE FROM labels WHERE {dropped}")
            name_all(writing)

    def _open_reader(self) -> sqlite3.Connection | None:
        with self._lock:
            try:
                status = os.stat(self.path)
            except OSError:
                return None
            file = status.st_dev, status.st_ino
            if self._reader is None or file != self._file:
                connection = _open_to_read(self.path)
                if not self._is_begun(connection):
                    connection.close()
                    return None
                weakref.finalize(self, connection.close)
                self._check_about(connection)
                self._reader, self._file = connection, file
            return self._reader

    def _is_begun(self, connection: sqlite3.Connection) -> bool:
        """Whether anything is in the file: it is empty until the first change is made."""
        try:
            return bool(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
        except sqlite3.Error as error:
            raise damaged(self.path, str(error)) from error

    def _check_about(self, connection: sqlite3.Connection) -> None:
        """Refuse a file of another index, and one that is not as this class wrote it."""
        try:
            odd = connection.execute(
                "SELECT count(*) FROM sqlite_master WHERE type NOT IN ('table', 'index')"
            ).fetchone()
            about = dict(connection.execute("SELECT name, value FROM about"))
        except sqlite3.Error as error:
            raise damaged(self.path, str(error)) from error
        if odd[0]:
            raise damaged(self.path, "it has views or triggers, which may never end")
        if about.get("format") != str(FORMAT):
            raise StoreError(
                f"{self.path} has format {about.get('format')}", f"This build reads {FORMAT}", "Upgrade ffmem"
            )
        mine = self._about()
        if about.get("index") == mine["index"]:
            return
        same_weights = about.get("weights") == mine["weights"]
        told = differences(self.json(about.get("identity", "{}")), self._manifest.identity.json)
        raise StoreError(
            f"{self.path} holds the labels of another index: {told or 'it does not say which'}",
            "Expected labels that were made for this one",
            f"Its model has the same weights; to take them over: ffmem labels remap {self.path.parent}"
            if same_weights
            else "Its model has other weights, so that its cells are others: move the file away",
        )

    def _about(self) -> dict[str, str]:
        identity = self._manifest.identity
        return {
            "format": str(FORMAT),
            "index": identity_id(identity.json),
            "weights": identity.model.weights_sha256,
            "identity": json_text(identity.json),
        }


def _open_to_read(path: Path) -> sqlite3.Connection:
    name = f"file:{quote(os.fsencode(path.resolve()))}?mode=ro"
    for uri in (name, f"{name}&immutable=1"):  # where nothing may be written, not even SQLite's files beside it
        connection = sqlite3.connect(uri, uri=True, check_same_thread=False, timeout=_PATIENCE_S)
        try:
            connection.execute("SELECT 1 FROM sqlite_master").fetchone()
            return connection
        except sqlite3.OperationalError as error:
            connection.close()
            problem: sqlite3.Error = error
        except sqlite3.Error as error:
            connection.close()
            raise damaged(path, str(error)) from error
    raise damaged(path, str(problem)) from problem
