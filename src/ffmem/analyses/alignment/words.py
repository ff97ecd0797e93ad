"""From tokens to words, by where both stand in the text: whatever marks a tokenizer puts at the beginning of words, or none."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int64

from ffmem.errors import InputError

BLANK = " "
"""Between the words that a tokenizer is given. Other white space may be part of a word."""
NO_WORD = -1
"""Of a token that belongs to no word: one that was put around the text."""


def text_of(words: Sequence[str]) -> str:
    """The words with a space between them: what a tokenizer is given."""
    return BLANK.join(words)


def word_of_tokens(words: Sequence[str], offsets: Sequence[tuple[int, int]]) -> Int64[np.ndarray, " tokens"]:
    """The word that each token is a piece of.

    Args:
        words: as `text_of` joins them.
        offsets: first character of each token in that text, and the one behind its last. A space at either end is not
            counted; a token of nothing else belongs to the word after it.

    Raises:
        InputError: a token goes over the space between two words.
    """
    text = text_of(words)
    word_at = np.repeat(np.arange(len(words)), [len(word) + 1 for word in words])  # with the space behind it
    found = np.empty(len(offsets), dtype=np.int64)
    for number, (begin, end) in enumerate(offsets):
        piece = text[begin:end]
        start = begin + len(piece) - len(piece.lstrip(BLANK))
        last = (
            start + max(len(piece.strip(BLANK)), 1) - 1
        )  # of a marker alone: the first character of the word after it
        found[number] = word_at[min(start, len(text) - 1)]
        if word_at[min(last, len(text) - 1)] != found[number]:
            raise InputError(
                f"the tokenizer has one token for {piece.strip(BLANK)!r}, which is more than one word",
                "Expected tokens within words",
                "Use a model whose tokenizer cuts at spaces",
            )
    return found


def columns_of(words: Int64[np.ndarray, " tokens"], n_words: int) -> Float[np.ndarray, "tokens columns"]:
    """What turns columns of tokens into columns of words: a word's column is the SUM over its tokens.

    The columns of tokens that belong to no word come after those of the words, each by itself.
    """
    outside = np.flatnonzero(words == NO_WORD)
    matrix = np.zeros((len(words), n_words + len(outside)))
    inside = np.flatnonzero(words != NO_WORD)
    matrix[inside, words[inside]] = 1.0
    matrix[outside, n_words + np.arange(len(outside))] = 1.0
    return matrix


def rows_of(words: Int64[np.ndarray, " tokens"], n_words: int) -> Float[np.ndarray, "words tokens"]:
    """What turns rows of tokens into rows of words: a word's row is the MEAN over its tokens, zeros if it has none."""
    matrix = (words[None, :] == np.arange(n_words)[:, None]).astype(np.float64)
    means: np.ndarray = matrix / np.maximum(matrix.sum(1, keepdims=True), 1.0)
    return means


def merge(
    maps: Float[np.ndarray, "*maps rows tokens"],
    rows: Float[np.ndarray, "words rows"],
    columns: Float[np.ndarray, "tokens columns"],
) -> Float[np.ndarray, "*maps words columns"]:
    """Maps between tokens as maps between words: sums over source tokens, means over target tokens.

    For weights this keeps the sum of each row. For norms it is the sum of the tokens' norms, as in the official code; the norm
    of the tokens' summed vectors is smaller where they point apart: see `merge_vectors`.
    """
    merged: np.ndarray = rows @ (maps @ columns)
    return merged


def merge_vectors(
    weights: Float[np.ndarray, "heads rows tokens"],
    vectors: Float[np.ndarray, "heads tokens d_model"],
    rows: Float[np.ndarray, "words rows"],
    columns: Float[np.ndarray, "tokens columns"],
) -> Float[np.ndarray, "words columns"]:
    """The other way to merge norms: ‖sum of alpha f(x) over heads and the tokens of a source word‖, then the mean over rows.

    Args:
        weights: alpha.
        vectors: f(x) of each head and source token.
        rows: see `rows_of`.
        columns: see `columns_of`.

    Cost: heads x rows x columns x d_model: for single pairs.
    """
    summed = np.einsum("hij,hjd,jw->iwd", weights, vectors, columns, optimize=True)
    merged: np.ndarray = rows @ np.linalg.norm(summed, axis=-1)
    return merged
