"""Corpus -> the text side of a store, streaming: documents, sentences, tokens. Knows no model."""

import copy
import errno
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from ffmem.corpus.documents import Corpus, Document
from ffmem.corpus.tokens import TokenizedSentence
from ffmem.errors import InputError
from ffmem.index.text.head import HeadWriter
from ffmem.index.text.prepare import REFUSED, Prepared, Recipe
from ffmem.index.text.prepare import is_held_out as is_held_out
from ffmem.index.text.processes import ReadDocument, TextProcesses
from ffmem.index.text.text_spool import TextSpool
from ffmem.options import IndexOptions, Windows, parse_split
from ffmem.store.files import atomic_write
from ffmem.store.keys import NO_TOKEN

_CHARACTERS_AT_ONCE = 50_000
"""How long the documents are together, but for the last, that are prepared at once: about five hundred sentences."""
_CHARACTERS_OF_A_DOCUMENT = 50
"""What a document counts as beside its text, so that those of nothing do not pile up."""


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
    n_context_tokens: int = 0
    """Of the tokens of indexed sentences, those that only stand before others: an earlier window has them."""
    n_undecodable_bytes: int = 0
    """Bytes of the corpus that did not decode; each stands as U+FFFD."""
    n_long_sentences: int = 0
    """Sentences longer than the context."""
    n_windows: int = 0
    """Pieces they were cut into."""
    n_empty_sentences: int = 0
    """Sentences without a token."""
    stopped_by: str | None = None
    """"max_sentences" or "max_tokens" if the corpus was not read to its end."""
    n_sentences_by_corpus: list[int] = field(default_factory=list)
    """Indexed sentences that each corpus gave; shards do not reach from one into the next."""
    n_sentences_shared: int = 0
    """Indexed sentences of merged indexes that an earlier one of them holds too; both are kept."""
    n_lines: int = 0
    """Lines of the corpus that were read, blank ones included; 0 where it has none."""


@dataclass(frozen=True)
class Readable:
    """How much of a text that is being written others may read."""

    n_sentences: int
    """Indexed sentences whose tokens are in the files."""
    has_head: bool
    """Whether its head is whole, and in its file."""
    corpus_ended: bool
    """Whether these are the last sentences of a corpus."""


@dataclass(frozen=True)
class TextSource:
    """What turns a corpus into tokens."""

    corpora: Sequence[Corpus]
    tokenizer: Tokenizer
    token_bytes: Sequence[bytes] | None
    """The bytes of each token of a byte-level vocabulary, else None."""
    vocabulary: Sequence[str]
    """Each token as text."""
    max_tokens: int
    """Most own tokens of one input."""
    base: "TextBase | None" = None
    """A finished text that these corpora continue."""
    check_tokens: Callable[[int], None] | None = None
    """Refuses the largest id of a sentence for which the model has no row; None where each token has one."""


@dataclass(frozen=True)
class TextBase:
    """A finished text."""

    folder: Path
    """With its ``text.sqlite`` and ``tokens.safetensors``."""
    counts: TextCounts


def write_text(
    folder: Path,
    source: TextSource,
    options: IndexOptions,
    progress: Callable[[TextCounts], None] | None = None,
    n_processes: int = 0,
    tell: Callable[[Readable], None] | None = None,
) -> TextCounts:
    """Write ``text.sqlite``, ``tokens.safetensors`` and ``tokenizer.json`` into a folder: a function of text and options alone.

    Args:
        folder: to be written to.
        source: the text.
        options: of the index.
        progress: called now and then with what there is.
        n_processes: how many split and tokenize beside this one, once the corpus is seen to be long; never changes a byte.
        tell: called with how much others may read already, by `read_head` and `read_spooled`, until all files are whole.

    Raises:
        InputError: the corpus is empty, nothing is left to index, a sentence is too long and shall not be cut, windows
            are longer than the context, or there are more tokens than an index can hold.

    Cost: memory does not grow with the corpus: repeats are found through a table on disk.
    """
    _check_windows(parse_split(options.split), source.max_tokens)
    head = None if tell is None else HeadWriter(folder, parse_split(options.split) is not None)
    recipe = Recipe(source.tokenizer, source.token_bytes, source.max_tokens, options)
    with (
        _sqlite_disk_errors(folder),
        TextSpool(folder, source.vocabulary, head) as spool,
        TextProcesses(recipe, n_processes) as processes,
    ):
        counts = TextCounts()
        if source.base is not None:
            counts = copy.deepcopy(source.base.counts)
            if head is not None:
                head.has_pieces |= counts.n_windows > 0
            spool.take(source.base.folder, counts.n_sentences)
        adder = _Adder(source, options, spool, counts)

        def written(corpus_ended: bool = False) -> None:
            if progress is not None and not corpus_ended:
                progress(counts)
            if tell is not None and head is not None:
                n_sentences = spool.flush()
                tell(Readable(n_sentences, head.is_whole, corpus_ended))

        for corpus in source.corpora:
            n_before, n_bad, n_lines = counts.n_sentences, counts.n_undecodable_bytes, counts.n_lines
            if counts.stopped_by is None:
                counts.n_undecodable_bytes = counts.n_lines = 0
                _read(corpus, adder, processes, written)
                counts.n_undecodable_bytes += n_bad
                counts.n_lines += n_lines
            counts.n_sentences_by_corpus.append(counts.n_sentences - n_before)
            written(corpus_ended=True)
        _check_something_is_left(", ".join(corpus.name for corpus in source.corpora), counts)
        counts.n_held_out_also_indexed = spool.finish(counts.n_sentences)
    atomic_write(folder / "tokenizer.json", source.tokenizer.to_str().encode())
    return counts


def _read(corpus: Corpus, adder: "_Adder", processes: TextProcesses, written: Callable[[], None]) -> None:
    """Add one corpus, up to its end or to a limit."""
    counts = adder.counts
    for documents, prepared in processes.prepared(_batches(corpus, counts.n_documents)):
        if not adder.add(documents, prepared):
            break
        written()
    else:
        counts.n_lines = corpus.n_lines  # those after its last document too


@contextmanager
def _sqlite_disk_errors(folder: Path) -> Iterator[None]:
    """SQLite's own word for a full disk, as the OSError that the rest of the program understands."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from error
        raise


def _batches(corpus: Corpus, first_number: int) -> Iterator[list[ReadDocument]]:
    """Documents that together have about as many characters as are prepared at once."""
    batch: list[ReadDocument] = []
    n_characters = 0
    for number, document in enumerate(_documents(corpus), start=first_number):
        batch.append(ReadDocument(number, document, corpus.n_undecodable_bytes, corpus.n_lines))
        n_characters += len(document.text) + _CHARACTERS_OF_A_DOCUMENT
        if n_characters >= _CHARACTERS_AT_ONCE:
            yield batch
            batch, n_characters = [], 0
    if batch:
        yield batch


def _documents(corpus: Corpus) -> Iterator[Document]:
    """Those of a corpus; a file that cannot be read is told by its name."""
    try:
        yield from corpus
    except OSError as error:
        raise InputError(
            f"the corpus {error.filename or corpus.name} cannot be read: {error.strerror or error}",
            "Expected files that are there, and stay as they are, until the text is written",
            "Put it back, or check its permissions, and run the command again",
        ) from error


class _Adder:
    """Adds what was prepared: numbers, repeats, limits. All that depends on what came before."""

    def __init__(self, source: TextSource, options: IndexOptions, spool: TextSpool, counts: TextCounts) -> None:
        self._source, self._options, self._spool, self.counts = source, options, spool, counts
        self._fixed = parse_split(options.split) is not None
        self._taken: tuple[list[int], list[int]] = ([], [])
        """Pieces of a batch whose rows were added, the indexed ones and the held-out ones."""

    def add(self, documents: list[ReadDocument], prepared: Prepared) -> bool:
        """Add some documents; False when a limit is reached.

        Raises:
            InputError: a sentence is refused, or an index cannot hold so many tokens.
        """
        self._spool.look_up(prepared.keys)
        self._taken = ([], [])
        goes_on = self._add_documents(documents, prepared)
        for held_out, pieces in enumerate(self._taken):
            if pieces:
                is_taken = np.zeros(len(prepared.sizes), dtype=bool)
                is_taken[pieces] = True
                of_tokens = is_taken.repeat(prepared.sizes)
                is_all = bool(of_tokens.all())
                tokens = TokenizedSentence(*(array if is_all else array[of_tokens] for array in prepared.tokens))
                sizes, contexts = ([of[piece] for piece in pieces] for of in (prepared.sizes, prepared.contexts))
                self._spool.add_tokens(bool(held_out), tokens, sizes, contexts)
        return goes_on

    def _add_documents(self, documents: list[ReadDocument], prepared: Prepared) -> bool:
        counts, next_piece = self.counts, 0
        for read, found in zip(documents, prepared.documents, strict=False):  # none follow one that is refused
            document = read.document
            self._spool.add_stored_document(
                read.number, document.name, document.metadata, found.held_out, found.n_bytes
            )
            counts.n_documents += 1
            counts.n_documents_held_out += found.held_out
            counts.n_documents_empty += not found.n_pieces
            counts.n_undecodable_bytes, counts.n_lines = read.n_undecodable_bytes, read.n_lines
            for n_pieces, largest in zip(found.n_pieces, found.largest, strict=True):
                if self._source.check_tokens is not None and largest >= 0:
                    self._source.check_tokens(largest)
                if n_pieces == REFUSED:
                    assert prepared.error is not None
                    raise prepared.error
                counts.n_empty_sentences += n_pieces == 0
                if n_pieces > 1 and not self._fixed:
                    counts.n_long_sentences += 1
                    counts.n_windows += n_pieces
                    if self._spool.head is not None:
                        self._spool.head.has_pieces = True
                for piece in range(next_piece, next_piece + n_pieces):
                    if not self._add_piece(read.number, piece, found.held_out, prepared):
                        return False
                next_piece += n_pieces
        return True

    def _add_piece(self, document_id: int, piece: int, held_out: bool, prepared: Prepared) -> bool:
        """Add the row of one sentence, or count it with its first; False when a limit is reached."""
        counts, options, spool = self.counts, self._options, self._spool
        n, key = prepared.sizes[piece], prepared.keys[piece]
        if options.duplicates == "once" and spool.count_again(key):
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
            counts.n_context_tokens += prepared.contexts[piece]
        if counts.n_tokens + counts.n_tokens_held_out >= NO_TOKEN:
            raise InputError(
                f"the corpus has more than {NO_TOKEN - 1:,} tokens",
                "Expected fewer: token indices are stored in 32 bits",
                "Build several indexes, each over a part of it, or stop earlier with --max-tokens",
            )
        spool.add_row(document_id, prepared.start_bytes[piece], prepared.texts[piece], held_out, key)
        self._taken[held_out].append(piece)
        return True


def _check_windows(asked: Windows | None, max_tokens: int) -> None:
    if asked and asked.size > max_tokens:
        raise InputError(
            f"--split asks for windows of {asked.size:,} tokens, longer than the context",
            f"Expected at most {max_tokens:,} own tokens a window",
            f"Write --split windows:{max_tokens}",
        )


def _check_something_is_left(name: str, counts: TextCounts) -> None:
    if counts.n_documents == 0:
        raise InputError(
            f"the corpus {name} is empty", "Expected at least one document with text", "Give another corpus"
        )
    if counts.n_sentences == 0:
        numbers = {f.name: getattr(counts, f.name) for f in fields(counts)}
        told = ", ".join(f"{name} {n}" for name, n in numbers.items() if n and not isinstance(n, list))
        raise InputError(
            f"no sentence of {name} is left to index ({told})",
            "Expected at least one sentence that is not held out",
            "Lower --holdout, raise --max-sentences or --max-tokens, or give more text",
        )
