"""What a token looks like: a short list of word shapes, told by characters alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from ffmem.analyses.patterns.tokens import Tokens

SHAPES = (
    "a lower-case word",
    "a capitalised word",
    "a word in capitals",
    "a word without case",
    "a number",
    "punctuation",
    "white space",
    "mixed characters",
    "the continuation of a word",
)
"""A token of letters, digits or marks alone; "mixed characters" are all others. White space around it does not count. A single
capital is a capitalised word."""
CONTINUATION = SHAPES.index("the continuation of a word")


@dataclass(frozen=True)
class Shapes:
    """The shapes of a vocabulary's tokens."""

    of_token: Int64[np.ndarray, "d_vocab"]
    """Number of the shape, as if the token began a word."""
    begins_with_letter: Bool[np.ndarray, "d_vocab"]
    ends_with_letter: Bool[np.ndarray, "d_vocab"]

    @classmethod
    def of_vocabulary(cls, vocabulary: Sequence[str]) -> "Shapes":
        """From the tokens as text, by id."""
        bare = [_without_mark(token) for token in vocabulary]
        return cls(
            np.array([SHAPES.index(shape_of(token)) for token in bare], dtype=np.int64),
            np.array([token[:1].isalpha() for token in bare], dtype=bool),
            np.array([token[-1:].isalpha() for token in bare], dtype=bool),
        )

    def of(self, tokens: Tokens, ends: Int64[np.ndarray, "n"]) -> Int64[np.ndarray, "n"]:
        """The shapes of the last tokens of prefixes. A token that goes on with the letters before it is a continuation."""
        ids, before = tokens.token_id[ends], tokens.token_id[np.maximum(ends - 1, 0)]
        goes_on = tokens.joined(ends) & self.begins_with_letter[ids] & self.ends_with_letter[before]
        return np.where(goes_on, CONTINUATION, self.of_token[ids])


def shape_of(token: str) -> str:
    """One of `SHAPES`, for a token by itself."""
    core = token.strip()
    if not core:
        return "white space"
    if core.isalpha():
        if core.islower():
            return "a lower-case word"
        if len(core) > 1 and core.isupper():
            return "a word in capitals"
        if core[0].isupper() and (len(core) == 1 or core[1:].islower()):
            return "a capitalised word"
        return "mixed characters" if core.lower() != core.upper() else "a word without case"
    if not any(character.isalnum() for character in core):
        return "punctuation"
    return "mixed characters" if any(character.isalpha() for character in core) else "a number"


def _without_mark(token: str) -> str:
    """WordPiece marks continuations with ##; where the letters stand tells them, too."""
    return token.removeprefix("##") or token
