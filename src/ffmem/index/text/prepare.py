"""What becomes of documents whatever came before them: sentences, tokens, windows, hashes. A function of their text alone."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from tokenizers import Tokenizer

from ffmem.corpus.sentences import Sentence, split_sentences
from ffmem.corpus.tokens import SentenceTokenizer, TokenizedSentence, Window, windows
from ffmem.errors import FfmemError, InputError
from ffmem.index.text.text_spool import sentence_key
from ffmem.options import IndexOptions, Windows, parse_split

REFUSED = -1
"""Stands for the number of pieces of a sentence that ends the build."""


@dataclass(frozen=True)
class Recipe:
    """What decides the pieces of a text; may be sent to another process."""

    tokenizer: Tokenizer | None
    """None on its way to another process."""
    token_bytes: Sequence[bytes] | None
    """As `TextSource` has them."""
    max_tokens: int
    options: IndexOptions


@dataclass(frozen=True)
class NamedText:
    """A document as far as its pieces depend on it."""

    name: str
    """For messages."""
    text: str


@dataclass
class PreparedDocument:
    """What became of one document."""

    held_out: bool
    n_bytes: int
    n_pieces: list[int] = field(default_factory=list)
    """Of each sentence: 0 if it has no token, `REFUSED` if it ends the build; it is the last one then."""
    largest: list[int] = field(default_factory=list)
    """Largest token id of each sentence, -1 for none."""


@dataclass
class Prepared:
    """Documents, and their pieces one after the other; a piece is a sentence or a window of one."""

    documents: list[PreparedDocument] = field(default_factory=list)
    start_bytes: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)
    """The `sentence_key` of each."""
    sizes: list[int] = field(default_factory=list)
    """Tokens of each."""
    contexts: list[int] = field(default_factory=list)
    """Of these, the first ones that are context only."""
    tokens: TokenizedSentence = field(default_factory=lambda: joined([]))
    """Of all pieces, one after the other."""
    error: FfmemError | None = None
    """Why the last sentence is refused."""


class Preparer:
    """Prepares one batch of documents after the other."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe, self._options = recipe, recipe.options
        self._fixed = parse_split(recipe.options.split)
        assert recipe.tokenizer is not None
        self._tokenize = SentenceTokenizer(recipe.tokenizer, recipe.token_bytes)

    def prepare(self, documents: Sequence[NamedText]) -> Prepared:
        """The pieces of some documents, up to the first sentence that is refused.

        Raises:
            InputError: the tokenizer's offsets cannot be.
        """
        how = "windows" if self._fixed else self._options.split
        split = [list(split_sentences(document.text, how)) for document in documents]
        tokenized = iter(self._tokenize([sentence.text for sentences in split for sentence in sentences]))
        found, tokens = Prepared(), list[TokenizedSentence]()
        for document, sentences in zip(documents, split, strict=True):
            data = document.text.encode()
            found.documents.append(PreparedDocument(is_held_out(data, self._options), len(data)))
            try:
                for sentence in sentences:
                    self._add(document, sentence, next(tokenized), found, tokens)
            except FfmemError as error:
                found.documents[-1].n_pieces.append(REFUSED)
                found.error = error
                break
        found.tokens = joined(tokens)
        return found

    def _add(
        self,
        document: NamedText,
        sentence: Sentence,
        own: TokenizedSentence,
        found: Prepared,
        tokens: list[TokenizedSentence],
    ) -> None:
        last, n = found.documents[-1], len(own.token_ids)
        last.largest.append(int(own.token_ids.max()) if n else -1)
        if self._options.long_sentences == "refuse" and not self._fixed:
            _check_length(document.name, n, self._recipe.max_tokens)
        pieces = list(_pieces(sentence, own, self._recipe.max_tokens, self._fixed))
        last.n_pieces.append(len(pieces))
        for piece in pieces:
            found.start_bytes.append(piece.start_byte)
            found.texts.append(piece.text)
            found.keys.append(sentence_key(piece, last.held_out))
            found.sizes.append(len(piece.tokens.token_ids))
            found.contexts.append(piece.context)
            tokens.append(piece.tokens)


def is_held_out(text: str | bytes, options: IndexOptions) -> bool:
    """Whether a document is set aside: by a hash of its text, keyed with the seed, below the share asked for."""
    key = options.seed.to_bytes(8, "little")
    digest = hashlib.blake2b(text.encode() if isinstance(text, str) else text, digest_size=8, key=key).digest()
    return int.from_bytes(digest, "little") / 2**64 < options.holdout


def joined(tokens: Iterable[TokenizedSentence]) -> TokenizedSentence:
    """The tokens of several pieces, one after the other; each keeps the places that it has in its own piece."""
    none = np.zeros(0, dtype=np.uint32)
    return TokenizedSentence(
        *(np.concatenate(arrays) for arrays in zip(TokenizedSentence(none, none, none), *tokens, strict=True))
    )


def _check_length(name: str, n_tokens: int, max_tokens: int) -> None:
    if n_tokens > max_tokens:
        raise InputError(
            f"the document {name!r} has a sentence of {n_tokens:,} tokens, longer than the context",
            f"Expected at most {max_tokens:,} own tokens a sentence, as --long-sentences refuse asks",
            "Let it be cut: --long-sentences window",
        )


def _pieces(sentence: Sentence, tokens: TokenizedSentence, max_tokens: int, fixed: Windows | None) -> Iterator[Window]:
    """The sentence, or its windows if they are asked for or it is too long; each with its place in the document."""
    n = len(tokens.token_ids)
    if n == 0:
        return
    if fixed:
        yield from windows(sentence.text, tokens, fixed.size, fixed.stride)
    elif n <= max_tokens:
        yield Window(sentence.start_byte, sentence.text, tokens)
    else:
        for piece in windows(sentence.text, tokens, max_tokens):
            yield piece._replace(start_byte=sentence.start_byte + piece.start_byte)
