"""The shapes of tokens, said by hand."""

import numpy as np
import pytest

from ffmem.analyses.patterns.lexical import CONTINUATION, SHAPES, Shapes, shape_of
from ffmem.analyses.patterns.tokens import Tokens


@pytest.mark.parametrize(
    ("token", "shape"),
    [
        (" the", "a lower-case word"),
        ("é", "a lower-case word"),
        ("USA", "a word in capitals"),
        ("A", "a capitalised word"),
        (" River", "a capitalised word"),
        ("iPhone", "mixed characters"),
        ("a1", "mixed characters"),
        ("don't", "mixed characters"),
        ("日本", "a word without case"),
        ("12", "a number"),
        ("1,234.5", "a number"),
        ("...", "punctuation"),
        ("“", "punctuation"),
        ("", "white space"),
        (" \n", "white space"),
        ("😀", "punctuation"),
        ("²", "a number"),
    ],
)
def test_shapes(token: str, shape: str) -> None:
    assert shape_of(token) == shape and shape in SHAPES


def test_a_token_that_goes_on_with_a_word_is_a_continuation() -> None:
    """ "play|ing", "play| ing", "1|ing", "ing" at the start, and "play|##ing" as WordPiece writes it."""
    vocabulary = ["play", "ing", "1", "##ing"]
    rows = [([0, 1], True), ([0, 1], False), ([2, 1], True), ([1], True), ([0, 3], True), ([0, 2], True)]
    ids = np.array([token for row, _ in rows for token in row])
    start = np.concatenate([[0], np.cumsum([len(row) for row, _ in rows])]).astype(np.int64)
    first = np.concatenate(
        [10 * np.arange(len(row)) + (0 if touches else np.arange(len(row))) for row, touches in rows]
    )
    ends_at = np.concatenate([10 * np.arange(len(row)) + 10 for row, _ in rows])
    tokens = Tokens(ids, first, ends_at, start, len(rows), np.zeros(len(rows), dtype=np.int64))
    shapes = Shapes.of_vocabulary(vocabulary)
    lower, number = SHAPES.index("a lower-case word"), SHAPES.index("a number")
    expected = [CONTINUATION, lower, lower, lower, CONTINUATION, number]
    assert shapes.of(tokens, start[1:] - 1).tolist() == expected
