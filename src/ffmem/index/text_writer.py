"""Corpus -> the text side of a store, streaming: documents, sentences, tokens. Knows no model."""

import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
from tokenizers import Tokenizer

from ffmem.corpus.documents import Corpus, Document
from ffmem.corpus.sentences import Sentence, split_sentences
from ffmem.corpus.tokens import TokenizedSentence, tokenize, windows
from ffmem.errors import InputError
from ffmem.index.files import sync_folder
from ffmem.options import IndexOptions

TOKEN_LIMIT = 2**32 - 1
"""Most tokens of an index, held-out ones included: token indices are stored in 32 bits, one value means "none"."""

_DOCUMENTS_AT_ONCE = 64
_COPY_BYTES = 1 << 22


@dataclass
class TextCounts:
    """What became of a corpus; nothing is left out without being counted."""

    n_documents: int = 0
    n_documents_held_out: int = 0
    n_documents_empty: int = 0
    """Documents without a sentence."""
    n_sentences: int = 0
    """Indexed sentences."""
    n_sentences_held_out: int = 0
    n_held_out_also_indexed: int = 0
    """Held-out sentences whose exact text is also indexed."""
    n_duplicates: int = 0
    """Repeats of indexed sentences, counted with their first and not indexed again."""
    n_tokens: int = 0
    """Tokens of indexed sentences."""
    n_tokens_held_out: int = 0
    n_undecodable_bytes: int = 0
    """Bytes of the corpus that were no UTF-8; each stands as U+FFFD."""
    n_long_sentences: int = 0
    """Sentences longer than the context."""
    n_windows: int = 0
    """Pieces they were cut into."""
    n_empty_sentences: int = 0
    """Sentences without a token."""
    stopped_by: str | None = None
    """"max_sentences" or "max_tokens" if the corpus was not read to its end."""


@dataclass(frozen=True)
class TextSource:
    """What turns a corpus into tokens."""

    corpus: Corpus
    tokenizer: Tokenizer
    byte_lengths: Sequence[int] | None
    """Bytes of each token of a byte-level vocabulary, else None."""
    vocabulary: Sequence[str]
    """Each token as text."""
    max_tokens: int
    """Most own tokens of one input."""


def write_text(
    folder: Path, source: TextSource, options: IndexOptions, progress: Callable[[TextCounts], None] | None = None
) -> TextCounts:
    """Write ``text.sqlite`` and ``tokens.safetensors`` into a folder; a pure function of source and options.

    Raises:
        InputError: the corpus is empty, nothing is left to index, a sentence is too long and shall not be cut, or there
            are more tokens than an index can hold.

    Cost: memory does not grow with the corpus: repeats are found through a table on disk.
    """
    counts = TextCounts()
    with _Spool(folder, source.vocabulary) as spool:
        for batch in _batches(_documents(source.corpus, counts), _DOCUMENTS_AT_ONCE):
            if not _add_documents(batch, source, options, spool, counts):
                break
            if progress is not None:
                progress(counts)
        counts.n_undecodable_bytes = source.corpus.n_undecodable_bytes
        _check_something_is_left(source.corpus, counts)
        counts.n_held_out_also_indexed = spool.finish(counts.n_sentences)
    return counts


def _documents(corpus: Corpus, counts: TextCounts) -> Iterator[tuple[int, Document]]:
    for number, document in enumerate(corpus):
        counts.n_documents += 1
        yield number, document


def _batches(documents: Iterator[tuple[int, Document]], n: int) -> Iterator[list[tuple[int, Document]]]:
    while batch := list(islice(documents, n)):
        yield batch


def is_held_out(text: str, options: IndexOptions) -> bool:
    """Whether a document is set aside: by a hash of its text, keyed with the seed, below the share asked for."""
    key = options.seed.to_bytes(8, "little")
    digest = hashlib.blake2b(text.encode(), digest_size=8, key=key).digest()
    return int.from_bytes(digest, "little") / 2**64 < options.holdout


def _add_documents(
    batch: list[tuple[int, Document]], source: TextSource, options: IndexOptions, spool: "_Spool", counts: TextCounts
) -> bool:
    """Add the sentences of some documents; False when a limit is reached."""
    split = [(number, document, list(split_sentences(document.text, options.split))) for number, document in batch]
    lengths = None if source.byte_lengths is None else np.array(source.byte_lengths, dtype=np.int64)
    texts = [sentence.text for _, _, sentences in split for sentence in sentences]
    tokenized = iter(tokenize(source.tokenizer, texts, lengths))
    for number, document, sentences in split:
        held_out = is_held_out(document.text, options)
        spool.add_document(number, document, held_out)
        counts.n_documents_held_out += held_out
        counts.n_documents_empty += not sentences
        for sentence in sentences:
            for piece, tokens in _pieces(sentence, next(tokenized), source, options, counts):
                if not _add_sentence(spool, number, piece, tokens, held_out, options, counts):
                    return False
    return True


def _pieces(
    sentence: Sentence, tokens: TokenizedSentence, source: TextSource, options: IndexOptions, counts: TextCounts
) -> Iterator[tuple[Sentence, TokenizedSentence]]:
    """The sentence, or its windows if it is too long."""
    n = len(tokens.token_ids)
    if n == 0:
        counts.n_empty_sentences += 1
    elif n <= source.max_tokens:
        yield sentence, tokens
    elif options.long_sentences == "refuse":
        raise InputError(
            f"a sentence of {n:,} tokens is longer than the {source.max_tokens:,} that fit: {sentence.text[:60]!r}...",
            f"Expected at most {source.max_tokens:,} tokens a sentence, as --long-sentences refuse asks",
            "Let it be cut: --long-sentences window",
        )
    else:
        cut = windows(sentence.text, tokens, source.max_tokens)
        counts.n_long_sentences += 1
        counts.n_windows += len(cut)
        for start_byte, text, piece in cut:
            yield Sentence(text, sentence.start_byte + start_byte), piece


def _add_sentence(
    spool: "_Spool",
    document_id: int,
    sentence: Sentence,
    tokens: TokenizedSentence,
    held_out: bool,
    options: IndexOptions,
    counts: TextCounts,
) -> bool:
    """Add one sentence, or count it with its first; False when a limit is reached."""
    n = len(tokens.token_ids)
    if options.duplicates == "once" and spool.count_again(sentence.text, held_out):
        counts.n_duplicates += not held_out
        return True
    if held_out:
        counts.n_sentences_held_out += 1
        counts.n_tokens_held_out += n
    else:
        if options.max_sentences is not None and counts.n_sentences >= options.max_sentences:
            counts.stopped_by = "max_sentences"
            return False
        if options.max_tokens is not None and counts.n_tokens + n > options.max_tokens:
            counts.stopped_by = "max_tokens"
            return False
        counts.n_sentences += 1
        counts.n_tokens += n
    if counts.n_tokens + counts.n_tokens_held_out >= TOKEN_LIMIT:
        raise InputError(
            f"the corpus has more than {TOKEN_LIMIT - 1:,} tokens",
            "Expected fewer: token indices are stored in 32 bits",
            "Build several indexes, each over a part of it, or stop earlier with --max-tokens",
        )
    spool.add_sentence(document_id, sentence, tokens, held_out)
    return True


def _check_something_is_left(corpus: Corpus, counts: TextCounts) -> None:
    if counts.n_documents == 0:
        raise InputError(
            f"the corpus {corpus.name} is empty", "Expected at least one document with text", "Give another corpus"
        )
    if counts.n_sentences == 0:
        told = ", ".join(f"{f.name} {getattr(counts, f.name)}" for f in fields(counts) if getattr(counts, f.name))
        raise InputError(
            f"no sentence of {corpus.name} is left to index ({told})",
            "Expected at least one sentence that is not held out",
            "Lower --holdout, raise --max-sentences or --max-tokens, or give more text",
        )


class _Spool:
    """Writes rows and token arrays as they come; held-out ones apart, to follow the indexed ones in the end."""

    def __init__(self, folder: Path, vocabulary: Sequence[str]) -> None:
        self._folder = folder
        self._vocabulary = vocabulary
        self._parts = (_TokenSpool(folder / "indexed"), _TokenSpool(folder / "held-out"))
        # An unfinished folder is simply written anew, so neither database needs a journal.
        self._db = _open_database(folder / "text.sqlite")
        self._seen = _open_database(folder / "seen.sqlite")
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
            CREATE TEMP TABLE held_out AS SELECT * FROM sentences;
            """
        )
        self._seen.executescript(
            "CREATE TABLE seen(hash BLOB PRIMARY KEY, id INTEGER NOT NULL, n INTEGER NOT NULL) WITHOUT ROWID;"
        )

    def __enter__(self) -> "_Spool":
        return self

    def __exit__(self, *_: object) -> None:
        for part in self._parts:
            part.close()
        self._db.close()
        self._seen.close()

    def add_document(self, number: int, document: Document, held_out: bool) -> None:
        metadata = json.dumps(document.metadata, ensure_ascii=False)
        row = (number, document.name, metadata, int(held_out), len(document.text.encode()))
        self._db.execute("INSERT INTO documents VALUES (?, ?, ?, ?, ?)", row)

    def count_again(self, text: str, held_out: bool) -> bool:
        """Count a sentence that is already there; False if it is not."""
        updated = self._seen.execute("UPDATE seen SET n = n + 1 WHERE hash = ?", (_hash(text, held_out),))
        return updated.rowcount == 1

    def add_sentence(self, document_id: int, sentence: Sentence, tokens: TokenizedSentence, held_out: bool) -> None:
        part = self._parts[held_out]
        table = "temp.held_out" if held_out else "main.sentences"
        row = (part.n_sentences, document_id, sentence.start_byte, sentence.text)
        self._db.execute(f"INSERT INTO {table} VALUES (?, ?, ?, ?, 1, 0)", row)
        seen = (_hash(sentence.text, held_out), part.n_sentences)
        self._seen.execute("INSERT OR IGNORE INTO seen VALUES (?, ?, 1)", seen)
        part.add(tokens)

    def finish(self, n_indexed: int) -> int:
        """Put everything in its final form; return how many held-out sentences are also indexed."""
        self._db.execute(
            "INSERT INTO main.sentences SELECT id + ?, document_id, start_byte, text, 1, 0 FROM temp.held_out ORDER BY id",
            (n_indexed,),
        )
        for held_out, first in ((False, 0), (True, n_indexed)):
            marker = bytes([held_out])
            repeats = self._seen.execute("SELECT n, id FROM seen WHERE n > 1 AND substr(hash, 1, 1) = ?", (marker,))
            self._db.executemany(
                "UPDATE sentences SET n_occurrences = ? WHERE id = ?", ((n, number + first) for n, number in repeats)
            )
        twins = self._seen.execute(
            "SELECT h.id FROM seen h JOIN seen i ON i.hash = X'00' || substr(h.hash, 2) WHERE substr(h.hash, 1, 1) = X'01'"
        ).fetchall()
        self._db.executemany("UPDATE sentences SET also_indexed = 1 WHERE id = ?", ((i + n_indexed,) for (i,) in twins))
        self._db.executemany("INSERT INTO vocabulary VALUES (?, ?)", enumerate(self._vocabulary))
        self._db.executescript(
            "CREATE INDEX sentences_document ON sentences(document_id); CREATE INDEX vocabulary_token ON vocabulary(token);"
        )
        self._db.commit()
        self._db.close()
        self._seen.close()
        (self._folder / "seen.sqlite").unlink()
        _write_tokens(self._folder / "tokens.safetensors", self._parts)
        for part in self._parts:
            part.remove()
        for name in ("text.sqlite", "tokens.safetensors"):
            with (self._folder / name).open("rb+") as file:
                os.fsync(file.fileno())
        sync_folder(self._folder)
        return len(twins)


def _open_database(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path)
    connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")
    return connection


def _hash(text: str, held_out: bool) -> bytes:
    return bytes([held_out]) + hashlib.blake2b(text.encode(), digest_size=16).digest()


_FIELDS = ("token_id", "token_start", "token_end")


class _TokenSpool:
    """Appends token arrays to files, as uint32, and keeps their maxima."""

    def __init__(self, prefix: Path) -> None:
        self._paths = [prefix.with_name(f"{prefix.name}-{name}.spool") for name in (*_FIELDS, "length")]
        self._files: list[BinaryIO] = [path.open("wb+") for path in self._paths]
        self.n_sentences = 0
        self.n_tokens = 0
        self.maxima = [0, 0, 0]

    def add(self, tokens: TokenizedSentence) -> None:
        self.n_sentences += 1
        self.n_tokens += len(tokens.token_ids)
        for i, array in enumerate((tokens.token_ids, tokens.starts, tokens.ends)):
            self._files[i].write(array.astype("<u4").tobytes())
            self.maxima[i] = max(self.maxima[i], int(array.max()))
        self._files[3].write(len(tokens.token_ids).to_bytes(4, "little"))

    def chunks(self, i: int) -> Iterator[np.ndarray]:
        """One of the files, piece by piece; 3 is the lengths of the sentences."""
        self._files[i].seek(0)
        while data := self._files[i].read(_COPY_BYTES):
            yield np.frombuffer(data, dtype="<u4")

    def close(self) -> None:
        for file in self._files:
            file.close()

    def remove(self) -> None:
        self.close()
        for path in self._paths:
            path.unlink()


def _write_tokens(path: Path, parts: Sequence[_TokenSpool]) -> None:
    """A safetensors file, written piece by piece: its library would need all arrays in memory."""
    n_tokens, n_sentences = (sum(getattr(part, name) for part in parts) for name in ("n_tokens", "n_sentences"))
    header: dict[str, object] = {}
    end = 0
    wide = [max(part.maxima[i] for part in parts) >= 2**16 for i in range(3)]
    layout = [("sentence_start", "U64", 8, n_sentences + 1)]
    layout += [
        (name, "U32" if w else "U16", 4 if w else 2, n_tokens)
        for name, w in sorted(zip(_FIELDS, wide, strict=True), key=lambda x: not x[1])
    ]
    for name, dtype, width, n in layout:
        header[name] = {"dtype": dtype, "shape": [n], "data_offsets": [end, end + width * n]}
        end += width * n
    data = json.dumps(header).encode()
    data += b" " * (-len(data) % 8)
    with path.open("wb") as file:
        file.write(len(data).to_bytes(8, "little") + data)
        total = np.uint64(0)
        file.write(total.tobytes())
        for part in parts:
            for lengths in part.chunks(3):
                starts = total + lengths.astype("<u8").cumsum(dtype="<u8")
                file.write(starts.tobytes())
                total = starts[-1]
        for name, dtype, _, _ in layout[1:]:
            for part in parts:
                for chunk in part.chunks(_FIELDS.index(name)):
                    file.write(chunk.astype("<u4" if dtype == "U32" else "<u2").tobytes())
