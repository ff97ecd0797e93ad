"""Sentences -> token ids, each with the bytes of the text that it stands for."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import chain
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, UInt32
from tokenizers import Tokenizer

from ffmem.corpus.cuts import Cutter, cutter_of
from ffmem.errors import InputError


class TokenizedSentence(NamedTuple):
    """The own tokens of a sentence."""

    token_ids: UInt32[np.ndarray, " n_tokens"]
    starts: UInt32[np.ndarray, " n_tokens"]
    """First byte of each token in the sentence's UTF-8 bytes."""
    ends: UInt32[np.ndarray, " n_tokens"]
    """Byte after its last."""


class SentenceTokenizer:
    """Gives the own tokens of sentences, without special tokens.

    Args:
        tokenizer: with truncation and padding off.
        vocabulary: the bytes of each token of a byte-level vocabulary, else None. Where those of a sentence's tokens, one after
            the other, are the very bytes of the sentence, they give exact offsets, also of tokens that are parts of one
            character; otherwise the tokenizer's character offsets are used.
    """

    def __init__(self, tokenizer: Tokenizer, vocabulary: Sequence[bytes] | None) -> None:
        self._tokenizer, self._vocabulary = tokenizer, vocabulary
        self._lengths = None if vocabulary is None else np.array([len(token) for token in vocabulary], dtype=np.int64)

    def __call__(self, texts: list[str]) -> list[TokenizedSentence]:
        """The tokens of each sentence.

        Raises:
            InputError: the tokenizer's own offsets lie outside of a sentence, or go back in it.
        """
        found: list[TokenizedSentence] = []
        for some in _portions(texts):
            found += [self._long(some[0])] if len(some[0]) > _PORTION else self._short(some)
        return found

    def _short(self, texts: list[str]) -> list[TokenizedSentence]:
        exact = self._by_bytes(self._tokenizer, texts)
        others = iter(
            _with_characters(self._tokenizer, [text for text, one in zip(texts, exact, strict=True) if one is None])
        )
        return [next(others) if one is None else one for one in exact]

    def _by_bytes(self, tokenizer: Tokenizer, texts: list[str]) -> list[TokenizedSentence | None]:
        if self._vocabulary is None or self._lengths is None:
            return [None] * len(texts)
        return _with_bytes(tokenizer, texts, self._vocabulary, self._lengths)

    def _long(self, text: str) -> TokenizedSentence:
        """In pieces, if they have the same tokens, so that memory stays within that of a portion."""
        cutter = self._cutter
        pieces = [text] if cutter is None else cutter.cut(text, _PORTION)
        if cutter is None or len(pieces) == 1:
            return self._short([text])[0]
        tokenizers = [self._tokenizer, *[cutter.rest] * (len(pieces) - 1)]
        found: list[TokenizedSentence] = []
        for tokenizer, piece in zip(tokenizers, pieces, strict=True):
            (exact,) = self._by_bytes(tokenizer, [piece])
            if exact is None:  # then none is taken by its bytes, as none would be of the whole
                break
            found.append(exact)
        else:
            return _joined(pieces, found)
        try:
            found = [_with_characters(one, [piece])[0] for one, piece in zip(tokenizers, pieces, strict=True)]
        except InputError:
            return self._short([text])[0]  # raises it with its place in the whole
        return _joined(pieces, found)

    @cached_property
    def _cutter(self) -> Cutter | None:
        return cutter_of(self._tokenizer)


def tokenize(tokenizer: Tokenizer, texts: list[str], vocabulary: Sequence[bytes] | None) -> list[TokenizedSentence]:
    """The own tokens of sentences: see `SentenceTokenizer`, which is quicker for many calls."""
    return SentenceTokenizer(tokenizer, vocabulary)(texts)


_PORTION = 500_000
"""Characters that go to the tokenizer at a time: its encodings take about 200 bytes for each."""


def _portions(texts: list[str]) -> Iterator[list[str]]:
    """Texts of about so many characters together; a longer one alone."""
    portion: list[str] = []
    n = 0
    for text in texts:
        if portion and n + len(text) > _PORTION:
            yield portion
            portion, n = [], 0
        portion.append(text)
        n += len(text)
    if portion:
        yield portion


def _joined(texts: Sequence[str], parts: Sequence[TokenizedSentence]) -> TokenizedSentence:
    """The tokens of pieces of a text, as those of the whole."""
    n_bytes = np.array([len(text) if text.isascii() else len(text.encode()) for text in texts])
    shifts = (n_bytes.cumsum() - n_bytes).astype(np.uint32)
    for part, shift in zip(parts, shifts, strict=True):
        part.starts[...] += shift
        part.ends[...] += shift
    return TokenizedSentence(*map(np.concatenate, zip(*parts, strict=True)))


def _with_bytes(
    tokenizer: Tokenizer, texts: list[str], vocabulary: Sequence[bytes], byte_lengths: Int64[np.ndarray, " d_vocab"]
) -> list[TokenizedSentence | None]:
    """Offsets from the tokens' bytes, of all sentences at once; None for the few whose bytes they are not."""
    encodings = tokenizer.encode_batch_fast(texts, add_special_tokens=False)  # it keeps no offsets
    lists = [encoding.ids for encoding in encodings]
    flat = list(chain.from_iterable(lists))
    ids = np.array(flat, dtype=np.uint32)
    border = np.cumsum([0, *map(len, lists)])
    # bytes up to each token, of all sentences one after another
    after = np.concatenate(([0], byte_lengths[ids].cumsum()))
    spelled, data = b"".join(map(vocabulary.__getitem__, flat)), [text.encode() for text in texts]
    exact = np.diff(after[border]) == [len(one) for one in data]
    if spelled != b"".join(
        data
    ):  # lengths may agree by chance: a space put before the text, and a character made shorter
        edges = after[border].tolist()
        exact &= [spelled[a:b] == one for a, b, one in zip(edges, edges[1:], data, strict=False)]
    own = after[border[:-1]].repeat(np.diff(border))
    starts, ends = (after[:-1] - own).astype(np.uint32), (after[1:] - own).astype(np.uint32)
    return [
        TokenizedSentence(ids[first:end], starts[first:end], ends[first:end]) if holds else None
        for first, end, holds in zip(border[:-1].tolist(), border[1:].tolist(), exact.tolist(), strict=True)
    ]


def _with_characters(tokenizer: Tokenizer, texts: list[str]) -> list[TokenizedSentence]:
    """Offsets as the tokenizer tells them: of whole characters."""
    found = []
    for text, encoding in zip(texts, tokenizer.encode_batch(texts, add_special_tokens=False), strict=True):
        offsets = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
        _check_offsets(text, offsets, encoding.tokens)
        if not text.isascii():
            offsets = _byte_of_character(text)[offsets]
        starts, ends = offsets[:, 0].astype(np.uint32), offsets[:, 1].astype(np.uint32)
        found.append(TokenizedSentence(np.array(encoding.ids, dtype=np.uint32), starts, ends))
    return found


def _check_offsets(text: str, offsets: Int64[np.ndarray, "n_tokens two"], tokens: list[str]) -> None:
    wrong = (offsets[:, 0] > offsets[:, 1]) | (offsets[:, 1] > len(text))
    some = np.flatnonzero(offsets[:, 0] < offsets[:, 1])  # a space that was trimmed away stands nowhere
    wrong[some[1:]] |= offsets[some[1:], 0] < offsets[some[:-1], 0]
    if wrong.any():
        place = int(wrong.argmax())
        raise InputError(
            f"the tokenizer places its token {place}, {tokens[place]!r}, at characters "
            f"{offsets[place, 0]} to {offsets[place, 1]} of {text[:60]!r}",
            "Expected offsets within the text, in order",
            "Use another tokenizer for this model: this one does not tell where its tokens are",
        )


def _byte_of_character(text: str) -> UInt32[np.ndarray, " n_characters_and_one"]:
    """Where each character begins in the text's UTF-8 bytes, and where the last one ends."""
    codes = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
    widths = 1 + (codes >= 0x80) + (codes >= 0x800) + (codes >= 0x10000)  # what UTF-8 needs
    return np.concatenate(([0], widths.cumsum())).astype(np.uint32)


class Window(NamedTuple):
    """A piece of a text that goes through a model by itself."""

    start_byte: int
    """Where it begins in the text."""
    text: str
    tokens: TokenizedSentence
    context: int = 0
    """Its first tokens that an earlier window has too: they are context only."""


def windows(text: str, tokens: TokenizedSentence, size: int, stride: int | None = None) -> list[Window]:
    """A text in pieces of at most ``size`` tokens, cut between characters.

    Args:
        text: the text.
        tokens: its tokens.
        size: most tokens of a window.
        stride: tokens from the beginning of a window to that of the next, fewer where a character would be cut; by
            default ``size``, so that windows follow one another. Every token is in one window that has it not as context.

    Raises:
        InputError: one character alone has more tokens than ``size``.
    """
    data = text.encode()
    n = len(tokens.token_ids)
    found = []
    first = covered = 0
    while covered < n:
        end = min(first + size, n)
        while end > first and end < n and _splits_character(data, tokens, end):
            end -= 1
        if end == first:
            raise InputError(
                f"a character at byte {int(tokens.starts[first])} of a sentence has more than {size} tokens",
                "Expected inputs long enough to hold a whole character",
                "Choose a larger --max-length, or larger windows",
            )
        if end > covered:
            found.append(_window(data, tokens, first, end, covered - first))
            covered = end
        first = _next_start(data, tokens, first, min(first + (stride or size), covered))
    return found


def _window(data: bytes, tokens: TokenizedSentence, first: int, end: int, context: int) -> Window:
    start_byte = int(tokens.starts[first]) if first else 0
    end_byte = int(tokens.starts[end]) if end < len(tokens.starts) else len(data)
    own = TokenizedSentence(
        tokens.token_ids[first:end], tokens.starts[first:end] - start_byte, tokens.ends[first:end] - start_byte
    )
    return Window(start_byte, data[start_byte:end_byte].decode(), own, context)


def _next_start(data: bytes, tokens: TokenizedSentence, first: int, wanted: int) -> int:
    """The last token up to ``wanted`` that begins a character, but after ``first``: else the first one after it."""
    for place in range(wanted, first, -1):
        if place == len(tokens.starts) or not _splits_character(data, tokens, place):
            return place
    place = wanted + 1
    while place < len(tokens.starts) and _splits_character(data, tokens, place):
        place += 1
    return place


def _splits_character(data: bytes, tokens: TokenizedSentence, place: int) -> bool:
    """Whether a cut before this token would go through a character."""
    start = int(tokens.starts[place])
    return (start < len(data) and data[start] & 0xC0 == 0x80) or start < int(tokens.ends[place - 1])
