"""Corpus -> the text side of a store, streaming: documents, sentences, tokens. Knows no model."""

import copy
import errno
import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path

from tokenizers import Tokenizer

from ffmem.corpus.documents import Corpus, Document
from ffmem.corpus.sentences import Sentence, split_sentences
from ffmem.corpus.tokens import TokenizedSentence, Window, tokenize, windows
from ffmem.errors import InputError
from ffmem.index.text.text_spool import TextSpool, sentence_key
from ffmem.options import IndexOptions, Windows, parse_split
from ffmem.store.files import atomic_write
from ffmem.store.keys import NO_TOKEN

_SENTENCES_AT_ONCE = 1000
"""About how many go to the tokenizer in one call."""
_CHARACTERS_AT_ONCE = 1 << 20
"""How long the documents are together, but for the last, that go there in one call."""


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


@dataclass(frozen=True)
class _SplitDocument:
    number: int
    document: Document
    sentences: list[Sentence]
    n_undecodable_bytes: int
    """Of the corpus, as far as it was read for this document."""
    n_lines: int
    """Also."""


def write_text(
    folder: Path, source: TextSource, options: IndexOptions, progress: Callable[[TextCounts], None] | None = None
) -> TextCounts:
    """Write ``text.sqlite``, ``tokens.safetensors`` and ``tokenizer.json`` into a folder: a function of its arguments alone.

    Raises:
        InputError: the corpus is empty, nothing is left to index, a sentence is too long and shall not be cut, windows
            are longer than the context, or there are more tokens than an index can hold.

    Cost: memory does not grow with the corpus: repeats are found through a table on disk.
    """
    _check_windows(parse_split(options.split), source.max_tokens)
    with _sqlite_disk_errors(folder), TextSpool(folder, source.vocabulary) as spool:
        counts = TextCounts()
        if source.base is not None:
            counts = copy.deepcopy(source.base.counts)
            spool.take(source.base.folder, counts.n_sentences)
        for corpus in source.corpora:
            n_before, n_bad, n_lines = counts.n_sentences, counts.n_undecodable_bytes, counts.n_lines
            if counts.stopped_by is None:
                counts.n_undecodable_bytes = counts.n_lines = 0
                _read(corpus, source, options, spool, counts, progress)
                counts.n_undecodable_bytes += n_bad
                counts.n_lines += n_lines
            counts.n_sentences_by_corpus.append(counts.n_sentences - n_before)
        _check_something_is_left(", ".join(corpus.name for corpus in source.corpora), counts)
        counts.n_held_out_also_indexed = spool.finish(counts.n_sentences)
    atomic_write(folder / "tokenizer.json", source.tokenizer.to_str().encode())
    return counts


def _read(
    corpus: Corpus,
    source: TextSource,
    options: IndexOptions,
    spool: TextSpool,
    counts: TextCounts,
    progress: Callable[[TextCounts], None] | None,
) -> None:
    """Add one corpus, up to its end or to a limit."""
    for batch in _batches(corpus, options, counts.n_documents):
        if not _add_documents(batch, source, options, spool, counts):
            break
        if progress is not None:
            progress(counts)
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


def _batches(corpus: Corpus, options: IndexOptions, first_number: int) -> Iterator[list[_SplitDocument]]:
    """Documents that together have about as many sentences as the tokenizer takes at once."""
    batch: list[_SplitDocument] = []
    n_sentences = n_characters = 0
    how = "windows" if parse_split(options.split) else options.split
    for number, document in enumerate(corpus, start=first_number):
        sentences = list(split_sentences(document.text, how))
        batch.append(_SplitDocument(number, document, sentences, corpus.n_undecodable_bytes, corpus.n_lines))
        n_sentences += max(1, len(sentences))
        n_characters += len(document.text)
        if n_sentences >= _SENTENCES_AT_ONCE or n_characters >= _CHARACTERS_AT_ONCE:
            yield batch
            batch, n_sentences, n_characters = [], 0, 0
    if batch:
        yield batch


def is_held_out(text: str, options: IndexOptions) -> bool:
    """Whether a document is set aside: by a hash of its text, keyed with the seed, below the share asked for."""
    key = options.seed.to_bytes(8, "little")
    digest = hashlib.blake2b(text.encode(), digest_size=8, key=key).digest()
    return int.from_bytes(digest, "little") / 2**64 < options.holdout


def _add_documents(
    batch: list[_SplitDocument], source: TextSource, options: IndexOptions, spool: TextSpool, counts: TextCounts
) -> bool:
    """Add the sentences of some documents; False when a limit is reached."""
    texts = [sentence.text for split in batch for sentence in split.sentences]
    tokenized = iter(tokenize(source.tokenizer, texts, source.token_bytes))
    fixed = parse_split(options.split)
    for split in batch:
        held_out = is_held_out(split.document.text, options)
        spool.add_document(split.number, split.document, held_out)
        counts.n_documents += 1
        counts.n_documents_held_out += held_out
        counts.n_documents_empty += not split.sentences
        counts.n_undecodable_bytes, counts.n_lines = split.n_undecodable_bytes, split.n_lines
        for sentence in split.sentences:
            own = next(tokenized)
            if source.check_tokens is not None and len(own.token_ids):
                source.check_tokens(int(max(own.token_ids)))
            if options.long_sentences == "refuse" and not fixed:
                _check_length(split.document, len(own.token_ids), source.max_tokens)
            for piece in _pieces(sentence, own, source.max_tokens, fixed, counts):
                if not _add_sentence(spool, split.number, piece, held_out, options, counts):
                    return False
    return True


def _check_windows(asked: Windows | None, max_tokens: int) -> None:
    if asked and asked.size > max_tokens:
        raise InputError(
            f"--split asks for windows of {asked.size:,} tokens, longer than the context",
            f"Expected at most {max_tokens:,} own tokens a window",
            f"Write --split windows:{max_tokens}",
        )


def _check_length(document: Document, n_tokens: int, max_tokens: int) -> None:
    if n_tokens > max_tokens:
        raise InputError(
            f"the document {document.name!r} has a sentence of {n_tokens:,} tokens, longer than the context",
            f"Expected at most {max_tokens:,} own tokens a sentence, as --long-sentences refuse asks",
            "Let it be cut: --long-sentences window",
        )


def _pieces(
    sentence: Sentence, tokens: TokenizedSentence, max_tokens: int, fixed: Windows | None, counts: TextCounts
) -> Iterator[Window]:
    """The sentence, or its windows if they are asked for or it is too long; each with its place in the document."""
    n = len(tokens.token_ids)
    if n == 0:
        counts.n_empty_sentences += 1
    elif fixed:
        yield from windows(sentence.text, tokens, fixed.size, fixed.stride)
    elif n <= max_tokens:
        yield Window(sentence.start_byte, sentence.text, tokens)
    else:
        cut = windows(sentence.text, tokens, max_tokens)
        counts.n_long_sentences += 1
        counts.n_windows += len(cut)
        for piece in cut:
            yield piece._replace(start_byte=sentence.start_byte + piece.start_byte)


def _add_sentence(
    spool: TextSpool,
    document_id: int,
    piece: Window,
    held_out: bool,
    options: IndexOptions,
    counts: TextCounts,
) -> bool:
    """Add one sentence, or count it with its first; False when a limit is reached."""
    n, key = len(piece.tokens.token_ids), sentence_key(piece, held_out)
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
        counts.n_context_tokens += piece.context
    if counts.n_tokens + counts.n_tokens_held_out >= NO_TOKEN:
        raise InputError(
            f"the corpus has more than {NO_TOKEN - 1:,} tokens",
            "Expected fewer: token indices are stored in 32 bits",
            "Build several indexes, each over a part of it, or stop earlier with --max-tokens",
        )
    spool.add_sentence(document_id, piece, held_out, key)
    return True


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
