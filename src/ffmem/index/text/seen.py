"""Which sentences were there before: a table on disk, asked and told many at a time. Knows no text, only keys."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

_ASKED_AT_ONCE = 500
_MOST_WAITING = 5000


class SeenSentences:
    """Keys of sentences, each with the id of the first one and how many there are.

    Args:
        path: a new file.
        open_database: opens it.
    """

    def __init__(self, path: Path, open_database: Callable[[Path], sqlite3.Connection]) -> None:
        self._path, self._db = path, open_database(path)
        self._db.executescript(
            "CREATE TABLE seen(hash BLOB PRIMARY KEY, id INTEGER NOT NULL, n INTEGER NOT NULL) WITHOUT ROWID;"
        )
        self._new: dict[bytes, list[int]] = {}
        """Id and number, not yet written."""
        self._more: dict[bytes, int] = {}
        """Repeats of what is written."""
        self._asked: frozenset[bytes] = frozenset()
        self._there: set[bytes] = set()
        """Of those that were asked for, the ones that are written."""

    def look_up(self, keys: Sequence[bytes]) -> None:
        """Ask for many at once, before they are counted or added one by one."""
        self._write()
        self._asked, self._there = frozenset(keys), set()
        marks = ", ".join("?" * _ASKED_AT_ONCE)
        for first in range(0, len(keys), _ASKED_AT_ONCE):
            some = keys[first : first + _ASKED_AT_ONCE]
            some = [*some, *[some[-1]] * (_ASKED_AT_ONCE - len(some))]  # one statement for all
            self._there.update(
                key for (key,) in self._db.execute(f"SELECT hash FROM seen WHERE hash IN ({marks})", some)
            )

    def count_again(self, key: bytes) -> bool:
        """Count one more of a sentence that is there; False if it is not."""
        if (new := self._new.get(key)) is not None:
            new[1] += 1
            return True
        if not self._is_written(key):
            return False
        self._more[key] = self._more.get(key, 0) + 1
        return True

    def add(self, key: bytes, number: int, n: int) -> bool:
        """Add a sentence with its id; False, and nothing is changed, if one is there."""
        if key in self._new or self._is_written(key):
            return False
        self._new[key] = [number, n]
        if len(self._new) >= _MOST_WAITING:
            self._write()
        return True

    def has(self, key: bytes) -> bool:
        """Whether a sentence is there."""
        return key in self._new or self._is_written(key)

    def repeats(self, marker: bytes) -> Iterator[tuple[int, int]]:
        """How many there are, and the id of the first, of each sentence that is there more than once; whose key begins so."""
        self._write()
        yield from self._db.execute("SELECT n, id FROM seen WHERE n > 1 AND substr(hash, 1, 1) = ?", (marker,))

    def _is_written(self, key: bytes) -> bool:
        if key in self._asked:
            return key in self._there
        return self._db.execute("SELECT 1 FROM seen WHERE hash = ?", (key,)).fetchone() is not None

    def _write(self) -> None:
        self._db.executemany("INSERT INTO seen VALUES (?, ?, ?)", ((key, *new) for key, new in self._new.items()))
        self._db.executemany("UPDATE seen SET n = n + ? WHERE hash = ?", ((n, key) for key, n in self._more.items()))
        self._there.update(key for key in self._new if key in self._asked)
        self._new, self._more = {}, {}

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def remove(self) -> None:
        """Delete the file."""
        self.close()
        self._path.unlink()
