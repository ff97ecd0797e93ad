"""The text side of a store while it is being written: rows and token arrays as they come. Knows no model."""

import hashlib
import json
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ffmem.corpus.documents import Document
from ffmem.corpus.tokens import TokenizedSentence, Window
from ffmem.index.text.head import HeadWriter
from ffmem.index.text.seen import SeenSentences
from ffmem.index.text.token_spool import TokenSpool, tokens_path, write_tokens
from ffmem.json_values import JsonObject
from ffmem.store.files import map_arrays, sync_folder
from ffmem.store.text import TOKENIZE

INDEXED_SPOOL = "indexed"
"""Begins the names of the files that have the tokens of indexed sentences, until all are written."""
_ROWS_AT_ONCE, _CHARACTERS_AT_ONCE = 1000, 1 << 20
"""As much waits in memory before it is written."""


class TextSpool:
    """Writes rows and token arrays as they come; held-out ones apart, to follow the indexed ones in the end."""

    def __init__(self, folder: Path, vocabulary: Sequence[str], head: HeadWriter | None = None) -> None:
        self.head = head
        """Keeps the first indexed sentences, where others read them before the text is whole."""
        self._folder = folder
        self._vocabulary = vocabulary
        self._parts = (TokenSpool(folder / INDEXED_SPOOL), TokenSpool(folder / "held-out"))
        # An unfinished folder is simply written anew, so neither database needs a journal.
        self._db = _open_database(folder / "text.sqlite")
        self._seen = SeenSentences(folder / "seen.sqlite", _open_database)
        self._db.executescript(
            """
            CREATE TABLE documents(
                id INTEGER PRIMARY KEY, name TEXT NOT NULL, metadata TEXT NOT NULL, held_out INTEGER NOT NULL,
                n_bytes INTEGER NOT NULL);
            CREATE TABLE sentences(
                id INTEGER PRIMARY KEY, document_id INTEGER NOT NULL REFERENCES documents(id),
                start_byte INTEGER NOT NULL, text TEXT NOT NULL, n_occurrences INTEGER NOT NULL,
                also_indexed INTEGER NOT NULL);
            CREATE TABLE vocabulary(token_id INTEGER PRIMARY KEY, token TEXT NOT NULL);
            CREATE TEMP TABLE held_out AS SELECT *, x'' AS indexed_hash FROM sentences;
            """
        )
        self._documents = _Rows(self._db, "INSERT INTO main.documents VALUES (?, ?, ?, ?, ?)")
        self._sentences = (
            _Rows(self._db, "INSERT INTO main.sentences VALUES (?, ?, ?, ?, ?, 0)"),
            _Rows(self._db, "INSERT INTO temp.held_out VALUES (?, ?, ?, ?, ?, 0, ?)"),
        )
        self._n_rows = [0, 0]

    def __enter__(self) -> "TextSpool":
        return self

    def __exit__(self, *_: object) -> None:
        for part in self._parts:
            part.close()
        self._db.close()
        self._seen.close()

    def take(self, folder: Path, n_indexed: int) -> int:
        """Append all of a finished text, sentences that are there already included; return how many of those were indexed.

        Args:
            folder: with its ``text.sqlite`` and ``tokens.safetensors``.
            n_indexed: how many of its sentences are indexed; the held-out ones follow them.
        """
        self._write_rows()
        first_document = self._db.execute("SELECT count(*) FROM documents").fetchone()[0]
        self._db.execute("ATTACH ? AS taken", (str(folder / "text.sqlite"),))
        self._db.execute(
            "INSERT INTO main.documents SELECT id + ?, name, metadata, held_out, n_bytes FROM taken.documents ORDER BY id",
            (first_document,),
        )
        arrays = map_arrays(folder / "tokens.safetensors")
        starts, context = arrays["sentence_start"].astype(np.int64), arrays.get("context")
        context = np.zeros(len(starts) - 1, dtype=np.uint32) if context is None else context
        n_shared = 0
        columns = "id, document_id, start_byte, text, n_occurrences"
        for row in self._db.execute(f"SELECT {columns} FROM taken.sentences ORDER BY id"):
            number, document, start_byte, text, n = row
            piece = slice(starts[number], starts[number + 1])
            tokens = TokenizedSentence(*(arrays[name][piece] for name in ("token_id", "token_start", "token_end")))
            window = Window(start_byte, text, tokens, int(context[number]))
            held_out = number >= n_indexed
            key = sentence_key(window, held_out)
            n_shared += not self.add_sentence(document + first_document, window, held_out, key, n) and not held_out
        self._write_rows()
        self._db.commit()
        self._db.execute("DETACH taken")
        return n_shared

    def add_document(self, number: int, document: Document, held_out: bool) -> None:
        """Add a document, without its text."""
        self.add_stored_document(number, document.name, document.metadata, held_out, len(document.text.encode()))

    def add_stored_document(self, number: int, name: str, metadata: JsonObject, held_out: bool, n_bytes: int) -> None:
        """Add a document whose text is no longer there."""
        stored = json.dumps(metadata, ensure_ascii=False, allow_nan=False)  # which readers refuse
        self._documents.add((number, name, stored, int(held_out), n_bytes), len(stored))

    def look_up(self, keys: Sequence[bytes]) -> None:
        """Ask at once whether sentences are there that are to be counted or added next, by their `sentence_key`."""
        self._seen.look_up(keys)

    def count_again(self, key: bytes) -> bool:
        """Count a sentence that is already there, by its `sentence_key`; False if it is not."""
        return self._seen.count_again(key)

    def add_sentence(self, document_id: int, piece: Window, held_out: bool, key: bytes, n_occurrences: int = 1) -> bool:
        """Add a sentence of a document, with its `sentence_key`; False if one like it was there before."""
        is_new = self.add_row(document_id, piece.start_byte, piece.text, held_out, key, n_occurrences)
        self.add_tokens(held_out, piece.tokens, [len(piece.tokens.token_ids)], [piece.context])
        return is_new

    def add_row(
        self, document_id: int, start_byte: int, text: str, held_out: bool, key: bytes, n_occurrences: int = 1
    ) -> bool:
        """As `add_sentence`, without the tokens: these follow, in the same order, with `add_tokens`."""
        if self.head is not None and not held_out:
            self.head.add(text)
        number = self._n_rows[held_out]
        self._n_rows[held_out] += 1
        row = (number, document_id, start_byte, text, n_occurrences)
        self._sentences[held_out].add((*row, _INDEXED + key[1:]) if held_out else row, len(text))
        return self._seen.add(key, number, n_occurrences)

    def add_tokens(
        self, held_out: bool, tokens: TokenizedSentence, sizes: Sequence[int], contexts: Sequence[int]
    ) -> None:
        """Append the tokens of sentences whose rows were added: of how many tokens each is, and how many are context."""
        self._parts[held_out].add(tokens, sizes, contexts)

    def flush(self) -> int:
        """Let others read the tokens of all indexed sentences so far; return how many there are."""
        self._parts[0].flush()
        return self._parts[0].n_sentences

    def _write_rows(self) -> None:
        for rows in (self._documents, *self._sentences):
            rows.write()

    def finish(self, n_indexed: int) -> int:
        """Put everything in its final form; return how many held-out sentences are also indexed."""
        self._write_rows()
        self._db.execute(
            "INSERT INTO main.sentences "
            "SELECT id + ?, document_id, start_byte, text, n_occurrences, 0 FROM temp.held_out ORDER BY id",
            (n_indexed,),
        )
        for marker, first in ((_INDEXED, 0), (_HELD_OUT, n_indexed)):
            repeats = ((n, number + first) for n, number in self._seen.repeats(marker))
            self._db.executemany("UPDATE sentences SET n_occurrences = ? WHERE id = ?", repeats)
        held_out = self._db.execute("SELECT id, indexed_hash FROM temp.held_out ORDER BY id")
        twins = ((number + n_indexed,) for number, key in held_out if self._seen.has(key))
        n_twins = self._db.executemany("UPDATE main.sentences SET also_indexed = 1 WHERE id = ?", twins).rowcount
        self._db.executemany("INSERT INTO vocabulary VALUES (?, ?)", enumerate(self._vocabulary))
        self._db.executescript(
            f"""
            CREATE INDEX sentences_document ON sentences(document_id);
            CREATE INDEX vocabulary_token ON vocabulary(token);
            CREATE VIRTUAL TABLE sentences_fts USING fts5(
                text, content = 'sentences', content_rowid = 'id', tokenize = '{TOKENIZE}');
            INSERT INTO sentences_fts(sentences_fts) VALUES ('rebuild');
            INSERT INTO sentences_fts(sentences_fts) VALUES ('optimize');
            """
        )
        self._db.commit()
        self._db.close()
        self._seen.remove()
        write_tokens(tokens_path(self._folder), self._parts)
        for part in self._parts:
            part.remove()
        if self.head is not None:
            self.head.remove()
        with (self._folder / "text.sqlite").open("rb+") as file:
            os.fsync(file.fileno())
        sync_folder(self._folder)
        return n_twins


def _open_database(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path)
    connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")
    return connection


_INDEXED, _HELD_OUT = b"\0", b"\1"


class _Rows:
    """Rows for one table, that go to the database many at a time."""

    def __init__(self, db: sqlite3.Connection, statement: str) -> None:
        self._db, self._statement = db, statement
        self._waiting: list[tuple[object, ...]] = []
        self._n_characters = 0

    def add(self, row: tuple[object, ...], n_characters: int) -> None:
        self._waiting.append(row)
        self._n_characters += n_characters
        if len(self._waiting) >= _ROWS_AT_ONCE or self._n_characters >= _CHARACTERS_AT_ONCE:
            self.write()

    def write(self) -> None:
        self._db.executemany(self._statement, self._waiting)
        self._waiting, self._n_characters = [], 0


def sentence_key(piece: Window, held_out: bool) -> bytes:
    """The same for equal texts of which the same part competes."""
    data = piece.text.encode()
    if piece.context:
        data += b"\xff%d" % piece.context  # a byte that no text has
    return (_HELD_OUT if held_out else _INDEXED) + hashlib.blake2b(data, digest_size=16).digest()
