"""Sentences -> token ids, each with the bytes of the text that it stands for."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt32
from tokenizers import Encoding, Tokenizer

from ffmem.errors import InputError


@dataclass(frozen=True)
class TokenizedSentence:
    """The own tokens of a sentence."""

    token_ids: UInt32[np.ndarray, " n_tokens"]
    starts: UInt32[np.ndarray, " n_tokens"]
    """First byte of each token in the sentence's UTF-8 bytes."""
    ends: UInt32[np.ndarray, " n_tokens"]
    """Byte after its last."""


def tokenize(
    tokenizer: Tokenizer, texts: list[str], byte_lengths: Int64[np.ndarray, " d_vocab"] | None
) -> list[TokenizedSentence]:
    """The own tokens of sentences, without special tokens.

    Args:
        tokenizer: with truncation and padding off.
        texts: sentences.
        byte_lengths: bytes of each token of a byte-level vocabulary, else None. Where they add up to the sentence, they
            give exact offsets, also of tokens that are parts of one character; otherwise the tokenizer's character
            offsets are used.
    """
    found: list[TokenizedSentence] = []
    for some in _portions(texts):
        encodings = tokenizer.encode_batch(some, add_special_tokens=False)
        found += (_with_bytes(text, encoding, byte_lengths) for text, encoding in zip(some, encodings, strict=True))
    return found


_PORTION = 500_000
"""Characters that go to the tokenizer at a time: its encodings take about 200 bytes for each."""


def _portions(texts: list[str]) -> Iterator[list[str]]:
    portion: list[str] = []
    n = 0
    for text in texts:
        portion.append(text)
        n += len(text)
        if n >= _PORTION:
            yield portion
            portion, n = [], 0
    if portion:
        yield portion


def _with_bytes(text: str, encoding: Encoding, byte_lengths: np.ndarray | None) -> TokenizedSentence:
    ids = np.array(encoding.ids, dtype=np.uint32)
    if byte_lengths is not None and len(ids):
        lengths = byte_lengths[ids]
        ends = lengths.cumsum()
        if ends[-1] == (len(text) if text.isascii() else len(text.encode())):
            return TokenizedSentence(ids, (ends - lengths).astype(np.uint32), ends.astype(np.uint32))
    offsets = np.array(encoding.offsets, dtype=np.uint32).reshape(-1, 2)
    if not text.isascii():
        offsets = _byte_of_character(text)[offsets]
    return TokenizedSentence(ids, offsets[:, 0], offsets[:, 1])


def _byte_of_character(text: str) -> UInt32[np.ndarray, " n_characters_and_one"]:
    """Where each character begins in the text's UTF-8 bytes, and where the last one ends."""
    codes = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
    widths = 1 + (codes >= 0x80) + (codes >= 0x800) + (codes >= 0x10000)  # what UTF-8 needs
    return np.concatenate(([0], widths.cumsum())).astype(np.uint32)


def windows(text: str, tokens: TokenizedSentence, max_tokens: int) -> list[tuple[int, str, TokenizedSentence]]:
    """A long sentence in consecutive pieces of at most ``max_tokens`` tokens, cut between characters.

    Returns:
        For each piece the byte where it begins in the sentence, its text and its tokens.

    Raises:
        InputError: one character alone has more tokens than that.
    """
    data = text.encode()
    found = []
    first, n = 0, len(tokens.token_ids)
    while first < n:
        end = min(first + max_tokens, n)
        while end > first and end < n and _splits_character(data, tokens, end):
            end -= 1
        if end == first:
            raise InputError(
                f"a character at byte {int(tokens.starts[first])} of a sentence has more than {max_tokens} tokens",
                "Expected a longest input that holds a whole character",
                "Choose a larger --max-length",
            )
        start_byte = int(tokens.starts[first]) if first else 0
        end_byte = int(tokens.starts[end]) if end < n else len(data)
        piece = TokenizedSentence(
            tokens.token_ids[first:end], tokens.starts[first:end] - start_byte, tokens.ends[first:end] - start_byte
        )
        found.append((start_byte, data[start_byte:end_byte].decode(), piece))
        first = end
    return found


def _splits_character(data: bytes, tokens: TokenizedSentence, place: int) -> bool:
    """Whether a cut before this token would go through a character."""
    start = int(tokens.starts[place])
    return (start < len(data) and data[start] & 0xC0 == 0x80) or start < int(tokens.ends[place - 1])
