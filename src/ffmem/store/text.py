"""The text side of a store: documents, sentences, tokens, vocabulary. Knows no model.

docs/design/store-format.md is normative.
"""

import json
import os
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
from ffmem.json_values import JsonObject
from ffmem.store.document_runs import DocumentRuns, document_runs
from ffmem.store.files import damaged, map_arrays, parse_json

TOKENIZE = "unicode61 remove_diacritics 0"
"""How the full-text table cuts text into words: exact sentences are evidence, so that café is not cafe."""
MARKS = ("\x02", "\x03")
"""Around the parts of a sentence that match a full-text query."""

_MAPPED = 1 << 40
"""Bytes of the file that SQLite reads as the system has them in memory, without copies; it takes as much of it as it can."""
_MATCHED_AT_ONCE = 1 << 19
"""Sentences among which a full-text query is asked at a time: as many numbers are text, and others may ask between."""


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
    metadata: JsonObject
    held_out: bool
    n_bytes: int


LABEL_FIELDS = ("topic", "label", "category")
"""Fields of a document's metadata that say what it is about; the first that every document has is taken."""


@dataclass(frozen=True)
class DocumentLabels:
    """What each document is about, as its metadata says."""

    field: str
    names: tuple[str, ...]
    of_document: np.ndarray
    """(n_documents,) the number of each one's name."""


class TextReader:
    """Reads the text of a finished index; may be used from several threads.

    Args:
        folder: the folder with ``text.sqlite`` and ``tokens.safetensors``.

    Raises:
        StoreError: one of them is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "text.sqlite"
        if not self.path.is_file():
            raise damaged(self.path, "it is missing")
        self._tokens_path = folder / "tokens.safetensors"
        arrays = map_arrays(self._tokens_path)
        try:
            self.token_id = arrays["token_id"]
            self.token_start, self.token_end = arrays["token_start"], arrays["token_end"]
            self.sentence_start = arrays["sentence_start"]
            """Token index of each sentence's first token, held-out sentences last, and one entry more."""
        except KeyError as error:
            raise damaged(self._tokens_path, f"it has no array {error}") from error
        of_tokens = (self.token_id, self.token_start, self.token_end)
        if self.sentence_start.dtype != np.uint64 or not {array.dtype for array in of_tokens} <= _TOKEN_DTYPES:
            raise damaged(self._tokens_path, "an array has another number type")
        if {array.ndim for array in (*of_tokens, self.sentence_start)} != {1}:
            raise damaged(self._tokens_path, "an array has another shape")
        n_tokens = {len(array) for array in of_tokens}
        if len(self.sentence_start) == 0 or n_tokens != {int(self.sentence_start[-1])}:
            raise damaged(self._tokens_path, "its arrays disagree about the number of tokens")
        self.context: np.ndarray | None = arrays.get("context")
        """How many of each sentence's first tokens only stand before others; None if none does anywhere."""
        context = self.context
        if context is not None and (context.shape != (self.n_all_sentences,) or context.dtype != np.uint32):
            raise damaged(self._tokens_path, "its arrays disagree about the number of sentences")
        self._connection, self._searching = _open_database(self.path), _open_database(self.path)
        for connection in (self._connection, self._searching):
            weakref.finalize(self, connection.close)  # Python 3.13 warns of connections that nobody closes
        self._lock = threading.Lock()  # one connection serves all threads: a look-up takes microseconds
        self._search_lock = threading.Lock()  # a search may take long, and look-ups do not wait for it
        if self._one("SELECT count(*) FROM sqlite_master WHERE type NOT IN ('table', 'index')"):
            raise damaged(self.path, "it has views or triggers, which may never end")

    @cached_property
    def n_sentences(self) -> int:
        """Indexed sentences; those of documents that are held out follow them."""
        first = "SELECT min(s.id) FROM documents d JOIN sentences s ON s.document_id = d.id WHERE d.held_out"
        found = self._one(first)
        return self.n_all_sentences if found is None else int(found)

    def count_indexed(self) -> int:
        """Sentences of documents that are not held out, one by one: as many as `n_sentences`, if the file is sound."""
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
        text, document_id, start_byte, n_occurrences, held_out = self._typed(row, (str, int, int, int, int))
        starts, ends = self.token_start[first:end], self.token_end[first:end]
        if (starts > ends).any() or int(ends.max()) > len(text.encode()):
            raise damaged(self._tokens_path, f"a token of sentence {sentence_id} lies outside of its text")
        return SentenceRow(
            sentence_id, text, document_id, start_byte, n_occurrences, bool(held_out),
            self.token_id[first:end], starts, ends,
        )  # fmt: skip

    def document(self, document_id: int) -> DocumentRow:
        """A document's name and metadata, by its place in the corpus, from 0."""
        row = self._row("SELECT name, metadata, held_out, n_bytes FROM documents WHERE id = ?", document_id)
        name, metadata, held_out, n_bytes = self._typed(row, (str, str, int, int))
        return DocumentRow(document_id, name, self._metadata(document_id, metadata), bool(held_out), n_bytes)

    def _metadata(self, document_id: int, stored: str) -> JsonObject:
        try:
            return dict(parse_json(stored))
        except (ValueError, TypeError) as error:
            raise damaged(self.path, f"the metadata of document {document_id} is not a JSON object") from error

    def metadata(self) -> Iterator[JsonObject]:
        """The metadata of each document, by document id.

        Python reads it, not SQLite: that one has no numbers beyond 64 bits, no truth values and no odd names of fields.
        """
        expected = 0
        for rows in self.rows("SELECT id, metadata FROM documents ORDER BY id"):
            for document_id, stored in rows:
                if document_id != expected:
                    raise damaged(self.path, "its documents are not numbered from 0 on")
                expected += 1
                yield self._metadata(document_id, stored)

    def metadata_field(self, name: str) -> list[Any]:
        """What each document has under this name in its metadata, None where it has nothing; by document id.

        Args:
            name: the whole name of a field, whatever characters it has; what is nested in others has none.
        """
        return [metadata.get(name) for metadata in self.metadata()]

    def document_labels(self) -> DocumentLabels | None:
        """The first of `LABEL_FIELDS` that every document has, with more than one value among them; None if there is none."""
        labels: dict[str, list[str]] = {field: [] for field in LABEL_FIELDS}
        for metadata in self.metadata():
            labels = {field: found for field, found in labels.items() if isinstance(metadata.get(field), str)}
            if not labels:
                return None
            for field, found in labels.items():
                found.append(metadata[field])
        for field, found in labels.items():
            if len(set(found)) > 1:
                names, numbers = np.unique(found, return_inverse=True)
                return DocumentLabels(field, tuple(names.tolist()), numbers)
        return None

    def token_strings(self, token_ids: Sequence[int]) -> tuple[str, ...]:
        """Tokens of the vocabulary as text."""
        return tuple(self._token_string(token_id) for token_id in token_ids)

    def token_ids_of(self, token: str) -> tuple[int, ...]:
        """Ids of the vocabulary's tokens with exactly this text, in ascending order; empty if there is none."""
        found = self._execute("SELECT token_id FROM vocabulary WHERE token = ? ORDER BY token_id", token)
        return tuple(row[0] for row in found)

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """Each token as text, by id."""
        return tuple(row[0] for row in self._execute("SELECT token FROM vocabulary ORDER BY token_id"))

    def tokenize(self, text: str) -> list[int]:
        """Ids of a text's own tokens, by the tokenizer of the model."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def token_id_of_piece(self, piece: str) -> int | None:
        """The id of a token as the tokenizer itself writes it, such as ``▁the`` or ``##ing``; None if there is none."""
        found = self._tokenizer.token_to_id(piece)
        return None if found is None else int(found)

    def matching(self, query: str, limit: int = -1) -> np.ndarray:
        """Ids of sentences that match a full-text query, ascending.

        Args:
            query: in the syntax of SQLite's FTS5.
            limit: at most this many, the first ones; -1: all.

        Raises:
            InputError: not that syntax.
        """
        # numbers in one text: a row of Python's own for each takes more than twice the time, and ten times the memory
        sql = (
            "SELECT group_concat(rowid) FROM (SELECT rowid FROM sentences_fts "
            "WHERE sentences_fts MATCH ? AND rowid >= ? AND rowid < ? ORDER BY rowid LIMIT ?)"
        )
        parts: list[np.ndarray] = []
        n_left = limit
        for first in range(0, max(self.n_all_sentences, 1), _MATCHED_AT_ONCE):
            ((numbers,),) = self._match(sql, query, first, first + _MATCHED_AT_ONCE, n_left)
            found = np.fromstring(numbers or "", dtype=np.int64, sep=",")
            parts.append(found)
            n_left -= len(found) if limit >= 0 else 0
            if not n_left:
                break
        return np.concatenate(parts)

    def ranked(self, query: str, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Ids of the matches up to a sentence, the best first and equals by id, and their BM25 scores; a larger one is better.

        Cost: SQLite counts, for each part of the query, all sentences that have it.
        """
        best = (
            "SELECT rowid, -bm25(sentences_fts) AS score FROM sentences_fts "
            "WHERE sentences_fts MATCH ? AND rowid <= ? ORDER BY score DESC, rowid"
        )
        found = np.array(self._match(best, query, last), dtype=[("id", np.int64), ("score", np.float64)])
        return found["id"].copy(), found["score"].copy()

    def marked(self, query: str, sentence_id: int) -> str:
        """The text of a match with `MARKS` around each part that matches.

        It is no part of `ranked`, since SQLite would mark every match before it sorts them.
        """
        sql = (
            f"SELECT highlight(sentences_fts, 0, '{MARKS[0]}', '{MARKS[1]}') FROM sentences_fts "
            "WHERE sentences_fts MATCH ? AND rowid = ?"
        )
        return str(self._match(sql, query, sentence_id)[0][0])

    def texts(self, first: int, end: int, containing: str = "") -> list[tuple[int, str]]:
        """(sentence id, text) of the sentences from ``first`` up to ``end`` that contain a string."""
        sql = "SELECT id, text FROM sentences WHERE id >= ? AND id < ? AND instr(text, ?) ORDER BY id"
        return self._execute(sql, first, end, containing, searching=True)

    def alike(self, ids: range | np.ndarray, patterns: Sequence[str], column: str = "id") -> list[tuple[Any, ...]]:
        """(id, column) of those sentences that meet all these patterns of LIKE, in which a backslash quotes."""
        like = " AND ".join(["text LIKE ? ESCAPE '\\'"] * len(patterns))
        given: tuple[int | str, ...]
        if isinstance(ids, range):
            where, given = "id >= ? AND id < ?", (ids.start, ids.stop)
        else:
            where, given = "id IN (SELECT value FROM json_each(?))", (json.dumps(ids.tolist()),)
        sql = f"SELECT id, {column} FROM sentences WHERE {where} AND {like} ORDER BY id"
        return self._execute(sql, *given, *patterns, searching=True)

    def utf8(self, ids: np.ndarray) -> bytes:
        """The text of some sentences, one after the other, in UTF-8 with a 0 after each.

        Raises:
            StoreError: one of them is missing, or has a 0.
        """
        if not len(ids):
            return b""
        # a CROSS JOIN keeps to the order that is given; rows of Python's own would take as long again
        sql = (
            "SELECT CAST(group_concat(s.text, char(0)) AS BLOB) "
            "FROM json_each(?) AS one CROSS JOIN sentences AS s ON s.id = one.value"
        )
        found = (self._execute(sql, json.dumps(ids.tolist()), searching=True)[0][0] or b"") + b"\0"
        if found.count(0) != len(ids):
            raise damaged(self.path, f"sentences from {ids[0]} on are missing, or have a character 0")
        return bytes(found)

    def _match(self, sql: str, query: str, *values: int) -> list[Any]:
        with self._search_lock:
            try:
                return self._searching.execute(sql, (query, *values)).fetchall()
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):
                    raise StoreError(
                        f"{self.path} has no full-text table",
                        "Expected an index built by a version of ffmem that can search",
                        "Rebuild the index, or search with --regex",
                    ) from error
                raise InputError(
                    f"the full-text query {query!r} is not understood: {error}",
                    'Expected FTS5 syntax, such as: fox OR hound*, "brown fox", NEAR(fox dog, 5)',
                    "Leave --raw out to search for plain words",
                ) from error
            except sqlite3.DatabaseError as error:
                raise damaged(self.path, str(error)) from error

    def sentence_range(self, sentence_id: int) -> tuple[int, int]:
        """Token indices of a sentence: the first, and the one after the last.

        Raises:
            InputError: no such sentence; the message gives the range.
            StoreError: the file says nonsense about it.
        """
        if not 0 <= sentence_id < self.n_all_sentences:
            raise InputError(
                f"sentence {sentence_id} does not exist",
                f"Expected 0 to {self.n_all_sentences - 1}",
                "Sentences count from 0; triggers name theirs as sentence_id",
            )
        first, end = int(self.sentence_start[sentence_id]), int(self.sentence_start[sentence_id + 1])
        if not first < end <= len(self.token_id):
            raise damaged(self._tokens_path, f"sentence {sentence_id} has the tokens from {first} to {end}")
        return first, end

    def locate(self, token: int) -> tuple[int, int]:
        """The sentence that a token index lies in, and the position there."""
        sentence_id = int(self.sentence_of(np.array([token]))[0])
        first, end = self.sentence_range(sentence_id)
        if not first <= token < end:
            raise damaged(self._tokens_path, f"its sentences are not in order around token {token}")
        return sentence_id, token - first

    def sentence_of(self, tokens: np.ndarray) -> np.ndarray:
        """The sentences that token indices lie in."""
        found = np.searchsorted(self.sentence_start, tokens.astype(np.uint64), side="right") - 1
        if len(found) and not 0 <= found.min() <= found.max() < self.n_all_sentences:
            raise damaged(self._tokens_path, f"no sentence has one of the tokens {tokens.min()} to {tokens.max()}")
        return found

    def following(self, tokens: np.ndarray) -> np.ndarray:
        """Ids of the tokens after these token indices, -1 at the end of a sentence."""
        last = self.sentence_start[self.sentence_of(tokens) + 1].astype(np.int64) - 1
        next_ids = self.token_id[np.minimum(tokens + 1, len(self.token_id) - 1)].astype(np.int64)
        return np.where(tokens == last, -1, next_ids)

    def document_of(self, sentence_ids: np.ndarray) -> np.ndarray:
        """The documents of sentences."""
        return self.document_runs.of(sentence_ids)

    def rows(self, sql: str, n: int = 10_000) -> Iterator[list[tuple[Any, ...]]]:
        """Rows of `text.sqlite`, at most ``n`` at a time; never all of them in memory."""
        with closing(_open_database(self.path)) as connection:  # its own, so that other look-ups go on meanwhile
            try:
                cursor = connection.execute(sql)
                while some := cursor.fetchmany(n):
                    yield some
            except sqlite3.DatabaseError as error:
                raise damaged(self.path, str(error)) from error

    def integrity_problem(self) -> str | None:
        """What SQLite itself, or a comparison of its rows with the token arrays, finds wrong; None if nothing."""
        found = self._one("PRAGMA integrity_check")
        if found != "ok":
            return f"{self.path.name}: {found}"
        n_rows = self._one("SELECT count(*) FROM sentences")
        if n_rows != self.n_all_sentences:
            return f"{self.path.name} has {n_rows:,} sentences, and the token arrays {self.n_all_sentences:,}"
        return None

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer  # looking up a cell does not need it

        try:
            return Tokenizer.from_file(str(self.path.with_name("tokenizer.json")))
        except Exception as error:  # the library raises nothing more special
            raise damaged(self.path.with_name("tokenizer.json"), str(error)) from error

    @cached_property
    def document_runs(self) -> DocumentRuns:
        """Which document each sentence lies in.

        Raises:
            StoreError: the file says nonsense about it.

        Cost: the list from documents to sentences is read once; memory for each document, whatever its length.
        """
        grouped = "SELECT document_id, min(id), max(id), count(*) FROM sentences GROUP BY document_id"
        n_documents = self._one("SELECT count(*) FROM documents")
        try:
            found = document_runs(self.rows(grouped), self.n_all_sentences)
        except (ValueError, OverflowError) as error:
            raise damaged(self.path, str(error)) from error
        if len(found.document) and not 0 <= found.document.min() <= found.document.max() < n_documents:
            raise damaged(self.path, "a sentence lies in a document that is missing")
        return found

    @lru_cache(maxsize=100_000)  # noqa: B019 (a reader lives as long as its process)
    def _token_string(self, token_id: int) -> str:
        row = self._row("SELECT token FROM vocabulary WHERE token_id = ?", token_id)
        return str(self._typed(row, (str,))[0])

    def _row(self, sql: str, *values: Any) -> tuple[Any, ...]:
        for row in self._execute(sql, *values):
            return tuple(row)
        raise damaged(self.path, f"no row for {values}")

    def _typed(self, row: tuple[Any, ...], types: tuple[type, ...]) -> tuple[Any, ...]:
        """The row, if its values are what the table was made with: SQLite itself does not insist."""
        if tuple(map(type, row)) != types:
            raise damaged(self.path, "a value has another type")
        return row

    def _one(self, sql: str) -> Any:
        return self._row(sql)[0]

    def _execute(self, sql: str, *values: Any, searching: bool = False) -> list[tuple[Any, ...]]:
        try:
            with self._search_lock if searching else self._lock:
                return (self._searching if searching else self._connection).execute(sql, values).fetchall()
        except (sqlite3.Error, MemoryError) as error:  # damaged lengths ask for gigabytes
            raise damaged(self.path, str(error) or "it asks for more memory than there is") from error


_TOKEN_DTYPES = {np.dtype(np.uint16), np.dtype(np.uint32)}


def _open_database(path: Path) -> sqlite3.Connection:
    # immutable: nobody writes it, so SQLite takes no locks and makes no files beside it
    uri = f"file:{quote(os.fsencode(path.resolve()))}?mode=ro&immutable=1"
    try:
        connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
        connection.execute(f"PRAGMA mmap_size = {_MAPPED}")
        return connection
    except sqlite3.DatabaseError as error:
        raise damaged(path, str(error)) from error
