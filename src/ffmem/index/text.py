"""The text side of a store: documents, sentences, tokens, vocabulary. Knows no model.

docs/design/store-format.md is normative.
"""

import json
import sqlite3
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from ffmem.errors import InputError, StoreError
from ffmem.index.files import map_arrays


@dataclass(frozen=True)
class SentenceRow:
    """A stored sentence."""

    id: int
    text: str
    document_id: int
    start_byte: int
    """Where it begins in its document."""
    n_occurrences: int
    held_out: bool
    token_ids: np.ndarray
    token_starts: np.ndarray
    token_ends: np.ndarray

    def token_strings(self) -> tuple[str, ...]:
        r"""The bytes of the text that each token stands for; bytes that are no whole character as ``\xNN``."""
        data = self.text.encode()
        pairs = zip(self.token_starts.tolist(), self.token_ends.tolist(), strict=True)
        return tuple(data[start:end].decode(errors="backslashreplace") for start, end in pairs)


@dataclass(frozen=True)
class DocumentRow:
    """A stored document, without its text."""

    id: int
    name: str
    metadata: dict[str, Any]
    held_out: bool
    n_bytes: int


class TextReader:
    """Reads the text of a finished index; may be used from several threads.

    Args:
        folder: the folder with ``text.sqlite`` and ``tokens.safetensors``.

    Raises:
        StoreError: one of them is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "text.sqlite"
        if not self._path.is_file():
            raise _damaged(self._path, "it is missing")
        tokens = folder / "tokens.safetensors"
        arrays = map_arrays(tokens)
        try:
            self.token_id = arrays["token_id"]
            self._token_start, self._token_end = arrays["token_start"], arrays["token_end"]
            self.sentence_start = arrays["sentence_start"]
            """Token index of each sentence's first token, held-out sentences last, and one entry more."""
        except KeyError as error:
            raise _damaged(tokens, f"it has no array {error}") from error
        n_tokens = {len(self.token_id), len(self._token_start), len(self._token_end)}
        if len(self.sentence_start) == 0 or n_tokens != {int(self.sentence_start[-1])}:
            raise _damaged(tokens, "its arrays disagree about the number of tokens")
        self._connection = _open_database(self._path)
        self._lock = threading.Lock()  # one connection serves all threads: a look-up takes microseconds
        weakref.finalize(self, self._connection.close)  # Python 3.13 warns of connections that nobody closes

    @cached_property
    def n_sentences(self) -> int:
        """Indexed sentences."""
        counted = "SELECT count(*) FROM sentences JOIN documents d ON d.id = document_id WHERE NOT d.held_out"
        return int(self._one(counted))

    @property
    def n_all_sentences(self) -> int:
        """Indexed and held-out sentences."""
        return len(self.sentence_start) - 1

    def sentence(self, sentence_id: int) -> SentenceRow:
        """A sentence with its tokens.

        Args:
            sentence_id: from 0; the held-out sentences follow the indexed ones.

        Raises:
            InputError: no such sentence; the message gives the range.
        """
        first, end = self.sentence_range(sentence_id)
        row = self._row(
            "SELECT s.text, s.document_id, s.start_byte, s.n_occurrences, d.held_out "
            "FROM sentences s JOIN documents d ON d.id = s.document_id WHERE s.id = ?",
            sentence_id,
        )
        part = slice(first, end)
        text, document_id, start_byte, n_occurrences, held_out = row
        return SentenceRow(
            sentence_id, text, document_id, start_byte, n_occurrences, bool(held_out),
            self.token_id[part], self._token_start[part], self._token_end[part],
        )  # fmt: skip

    def document(self, document_id: int) -> DocumentRow:
        """A document's name and metadata, by its place in the corpus, from 0."""
        name, metadata, held_out, n_bytes = self._row(
            "SELECT name, metadata, held_out, n_bytes FROM documents WHERE id = ?", document_id
        )
        return DocumentRow(document_id, name, json.loads(metadata), bool(held_out), n_bytes)

    def token_strings(self, token_ids: Sequence[int]) -> tuple[str, ...]:
        """Tokens of the vocabulary as text."""
        return tuple(self._token_string(token_id) for token_id in token_ids)

    def token_ids_of(self, token: str) -> tuple[int, ...]:
        """Ids of the vocabulary's tokens with exactly this text, in ascending order; empty if there is none."""
        found = self._execute("SELECT token_id FROM vocabulary WHERE token = ? ORDER BY token_id", token)
        return tuple(row[0] for row in found)

    def sentence_range(self, sentence_id: int) -> tuple[int, int]:
        """Token indices of a sentence: the first, and the one after the last.

        Raises:
            InputError: no such sentence; the message gives the range.
        """
        if not 0 <= sentence_id < self.n_all_sentences:
            raise InputError(
                f"sentence {sentence_id} does not exist",
                f"Expected 0 to {self.n_all_sentences - 1}",
                "Sentences count from 0; triggers name theirs as sentence_id",
            )
        return int(self.sentence_start[sentence_id]), int(self.sentence_start[sentence_id + 1])

    def locate(self, token: int) -> tuple[int, int]:
        """The sentence that a token index lies in, and the position there."""
        sentence_id = int(np.searchsorted(self.sentence_start, np.uint64(token), side="right")) - 1
        return sentence_id, token - int(self.sentence_start[sentence_id])

    def sentence_of(self, tokens: np.ndarray) -> np.ndarray:
        """The sentences that token indices lie in."""
        return np.searchsorted(self.sentence_start, tokens.astype(np.uint64), side="right") - 1

    def following(self, tokens: np.ndarray) -> np.ndarray:
        """Ids of the tokens after these token indices, -1 at the end of a sentence."""
        last = self.sentence_start[self.sentence_of(tokens) + 1].astype(np.int64) - 1
        next_ids = self.token_id[np.minimum(tokens + 1, len(self.token_id) - 1)].astype(np.int64)
        return np.where(tokens == last, -1, next_ids)

    def document_of(self, sentence_ids: np.ndarray) -> np.ndarray:
        """The documents of sentences."""
        documents: np.ndarray = self._documents[sentence_ids]
        return documents

    def rows(self, sql: str, n: int = 10_000) -> Iterator[list[tuple[Any, ...]]]:
        """Rows of `text.sqlite`, at most ``n`` at a time; never all of them in memory."""
        with closing(_open_database(self._path)) as connection:  # its own, so that other look-ups go on meanwhile
            try:
                cursor = connection.execute(sql)
                while some := cursor.fetchmany(n):
                    yield some
            except sqlite3.DatabaseError as error:
                raise _damaged(self._path, str(error)) from error

    def integrity_problem(self) -> str | None:
        """What SQLite itself, or a comparison of its rows with the token arrays, finds wrong; None if nothing."""
        found = self._one("PRAGMA integrity_check")
        if found != "ok":
            return f"{self._path.name}: {found}"
        n_rows = self._one("SELECT count(*) FROM sentences")
        if n_rows != self.n_all_sentences:
            return f"{self._path.name} has {n_rows:,} sentences, and the token arrays {self.n_all_sentences:,}"
        return None

    @cached_property
    def _documents(self) -> np.ndarray:
        return np.array([row[0] for row in self._execute("SELECT document_id FROM sentences ORDER BY id")])

    @lru_cache(maxsize=100_000)  # noqa: B019 (a reader lives as long as its process)
    def _token_string(self, token_id: int) -> str:
        return str(self._row("SELECT token FROM vocabulary WHERE token_id = ?", token_id)[0])

    def _row(self, sql: str, *values: Any) -> tuple[Any, ...]:
        for row in self._execute(sql, *values):
            return tuple(row)
        raise _damaged(self._path, f"no row for {values}")

    def _one(self, sql: str) -> Any:
        return self._row(sql)[0]

    def _execute(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        try:
            with self._lock:
                return self._connection.execute(sql, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise _damaged(self._path, str(error)) from error


def _open_database(path: Path) -> sqlite3.Connection:
    # immutable: nobody writes it, so SQLite takes no locks and makes no files beside it
    uri = f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1"
    try:
        return sqlite3.connect(uri, uri=True, check_same_thread=False)
    except sqlite3.DatabaseError as error:
        raise _damaged(path, str(error)) from error


def _damaged(path: Path, why: str) -> StoreError:
    return StoreError(
        f"{path} is damaged: {why}",
        "Expected a file as `ffmem index` wrote it",
        "Run `ffmem verify` on the index; copy the file again, or rebuild the index",
    )
