"""The kinds of patterns that are looked for, and what each of them says about prefixes."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Int64, UInt64

from ffmem.analyses.patterns.lexical import Shapes
from ffmem.analyses.patterns.semantic import Meaning
from ffmem.analyses.patterns.tokens import Tokens, mix, ragged

Kind = Literal[
    "token", "final-2-gram", "final-3-gram", "final-4-gram", "2-gram", "3-gram", "position", "shape", "topic", "cluster"
]
"""What prefixes share: "token": the last one, which fires; "final-n-gram": the last n tokens; "n-gram": these tokens somewhere;
"position": where in its sentence the prefix ends; "shape": what the last token looks like; "topic": the label of the
document; "cluster": the cluster of the words before the last three."""
KINDS: tuple[Kind, ...] = get_args(Kind)
PatternClass = Literal["shallow", "lexical", "semantic"]
_NOT_SHALLOW: dict[Kind, PatternClass] = {"shape": "lexical", "topic": "semantic", "cluster": "semantic"}
CLASS_OF: dict[Kind, PatternClass] = {kind: _NOT_SHALLOW.get(kind, "shallow") for kind in KINDS}
GRAM_LENGTH: dict[Kind, int] = {"final-2-gram": 2, "final-3-gram": 3, "final-4-gram": 4, "2-gram": 2, "3-gram": 3}
"""Tokens of the kinds whose values are n-grams."""


class Having(NamedTuple):
    """Which prefix has which value of a kind; a prefix may have several, and one several times."""

    value: UInt64[np.ndarray, "pairs"]
    prefix: Int64[np.ndarray, "pairs"]
    """Number of the prefix."""
    end: Int64[np.ndarray, "pairs"]
    """Token index that the value ends with there."""


@dataclass(frozen=True)
class Features:
    """Everything that is said about prefixes."""

    tokens: Tokens
    shapes: Shapes
    meaning: Meaning | None

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Those that can be told here."""
        meaning = self.meaning.kind if self.meaning else None
        return tuple(kind for kind in KINDS if CLASS_OF[kind] != "semantic" or kind == meaning)

    def number(self, kind: Kind, ends: Int64[np.ndarray, "n"]) -> Int64[np.ndarray, "n"]:
        """The one value that each prefix has of a kind that is not of n-grams; -1 for none."""
        if kind == "token":
            ids: np.ndarray = self.tokens.token_id[ends].astype(np.int64)
            return ids
        if kind == "position":
            return self.tokens.position_of(ends)
        if kind == "shape":
            return self.shapes.of(self.tokens, ends)
        assert self.meaning is not None
        return self.meaning.of(self.tokens, ends)

    def of(self, kind: Kind, ends: Int64[np.ndarray, "n"]) -> Having:
        """The values of a kind that prefixes have."""
        n = GRAM_LENGTH.get(kind)
        if n is None:
            numbers = self.number(kind, ends)
            some = np.flatnonzero(numbers >= 0)
            return Having(numbers[some].astype(np.uint64), some, ends[some])
        if kind.startswith("final"):
            some = np.flatnonzero(self.tokens.position_of(ends) >= n - 1)
            return Having(gram_codes(self.tokens, ends[some], n), some, ends[some])
        first = self.tokens.start[self.tokens.sentence_of(ends)] + n - 1
        lengths = np.maximum(ends - first + 1, 0)
        places = ragged(first, lengths)
        return Having(gram_codes(self.tokens, places, n), np.repeat(np.arange(len(ends)), lengths), places)


def gram_codes(tokens: Tokens, ends: Int64[np.ndarray, "m"], n: int) -> UInt64[np.ndarray, "m"]:
    """A number for the n tokens that end at each place. Two n-grams of a million share one with a chance of 3 in 10^8."""
    codes = np.zeros(len(ends), dtype=np.uint64)
    for back in range(n - 1, -1, -1):
        codes = mix(codes + tokens.token_id[ends - back].astype(np.uint64) + np.uint64(1))
    return codes


def last_words(tokens: Tokens, ends: Int64[np.ndarray, "m"], n: int) -> UInt64[np.ndarray, "m"]:
    """A number for the last n tokens of each prefix; a prefix of fewer has that of other whole prefixes of these tokens."""
    position = tokens.position_of(ends)
    codes = gram_codes(tokens, np.maximum(ends, n - 1), n)
    for shorter in range(1, n):
        some = np.flatnonzero(position == shorter - 1)
        codes[some] = gram_codes(tokens, ends[some], shorter) ^ np.uint64(n - shorter)
    return codes
