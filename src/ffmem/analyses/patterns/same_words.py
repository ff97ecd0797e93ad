"""Chance given the words: how often prefixes of other documents that end with the same words have a value."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt64

from ffmem.analyses.patterns.kinds import CLASS_OF, GRAM_LENGTH, Features, Kind, gram_codes, last_words

PRIOR_WEIGHT = 5.0
"""Prefixes that what is known without the words counts as: few with the same words say little."""
MOST_POSITIONS = 2**22
"""Of a larger text so many random positions tell chance."""


def given_words(kind: Kind) -> tuple[int, ...]:
    """By how many last tokens prefixes are matched, among which a pattern of a kind must stand out: each by a test of its own.

    Semantic ones by the last token, then by the last two; the last n tokens by all but the first of them; the position by the
    last token. What is the last token's own, or may stand anywhere, is held against random prefixes alone.
    """
    if CLASS_OF[kind] == "semantic":
        return 1, 2
    if kind.startswith("final"):
        return (GRAM_LENGTH[kind] - 1,)
    return (1,) if kind == "position" else ()


class _Counted:
    """How often each key is there."""

    def __init__(self, keys: np.ndarray) -> None:
        self._keys, self._n = np.unique(keys, return_counts=True)

    def place(self, keys: np.ndarray) -> Int64[np.ndarray, "n"]:
        """The number of each key, from 0 in ascending order; -1 for one that is not there."""
        if not len(self._keys):
            return np.full(len(keys), -1)
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[at] == keys, at, -1)

    def n(self, place: Int64[np.ndarray, "n"]) -> Int64[np.ndarray, "n"]:
        """How often the keys of these numbers are there; 0 for -1."""
        found: np.ndarray = np.append(self._n, 0)[place]
        return found


@dataclass(frozen=True)
class SameWords:
    """Random prefixes by their last tokens, document and value."""

    features: Features
    document_of: Int64[np.ndarray, "sentences"]
    ends: Int64[np.ndarray, "positions"]
    value: Int64[np.ndarray, "positions"]
    """A number from 0; -1 for one that is not asked about, or none."""
    number: Callable[[np.ndarray], Int64[np.ndarray, "n"]]
    """From values as they are asked about to these numbers."""
    n_words: tuple[int, ...]
    """See `given_words`."""

    @classmethod
    def of(
        cls,
        features: Features,
        kind: Kind,
        document_of: Int64[np.ndarray, "sentences"],
        values: UInt64[np.ndarray, "values"] | None = None,
    ) -> "SameWords | None":
        """Of the indexed prefixes; None if there is nothing that the kind is matched on.

        Args:
            features: of the index.
            kind: of the values.
            document_of: the document of each sentence.
            values: of n-grams: those that will be asked about, ascending.
        """
        n_words = given_words(kind)
        if not n_words:
            return None
        tokens = features.tokens
        if tokens.n_prefixes <= MOST_POSITIONS:
            ends = np.concatenate([np.zeros(0, dtype=np.int64), *tokens.blocks()])
        else:
            ends = np.unique(tokens.random(MOST_POSITIONS, np.random.default_rng(0)))
        n = GRAM_LENGTH.get(kind)
        if n is None:
            return cls(
                features, document_of, ends, features.number(kind, ends), lambda some: some.astype(np.int64), n_words
            )
        wanted = _Counted(np.zeros(0, dtype=np.uint64) if values is None else values)
        value = wanted.place(gram_codes(tokens, np.maximum(ends, n - 1), n))
        value[tokens.position_of(ends) < n - 1] = -1
        return cls(features, document_of, ends, value, wanted.place, n_words)

    def frequencies(
        self,
        ends: Int64[np.ndarray, "rows slots"],
        value: np.ndarray,
        frequency: Float64[np.ndarray, "rows"],
    ) -> Iterator[Float64[np.ndarray, "rows slots"]]:
        """How often prefixes that end with the same tokens as each of some have a value, for each number of tokens.

        (n with the value + `PRIOR_WEIGHT` x what is known without these words) / (n + `PRIOR_WEIGHT`), counted in other
        documents: for the first number of tokens that is how frequent the value is at all, for the next what the first says.

        Args:
            ends: some prefixes for each row.
            value: of the row.
            frequency: of the value among all prefixes.
        """
        flat = ends.reshape(-1)
        values = np.repeat(self.number(value), ends.shape[1])
        known = np.repeat(frequency, ends.shape[1])
        documents = self.document_of[self.features.tokens.sentence_of(flat)]
        for level in self._levels:
            known = level.given(last_words(self.features.tokens, flat, level.n), documents, values, known)
            yield known.reshape(ends.shape)

    @cached_property
    def _levels(self) -> "tuple[_Level, ...]":
        document = self.document_of[self.features.tokens.sentence_of(self.ends)]
        return tuple(
            _Level(n, last_words(self.features.tokens, self.ends, n), document, self.value) for n in self.n_words
        )


class _Level:
    """Prefixes by their last n tokens.

    Args:
        n: tokens.
        words: of each prefix, as a number.
        document: of each prefix.
        value: of each prefix; -1 for none.
    """

    def __init__(self, n: int, words: np.ndarray, document: np.ndarray, value: np.ndarray) -> None:
        self.n = n
        self._n_documents, self._n_values = int(document.max(initial=0)) + 1, int(value.max(initial=-1)) + 1
        self._words = _Counted(words)
        group = self._words.place(words)
        some = value >= 0
        self._in_document = _Counted(group * self._n_documents + document)
        self._having = _Counted(group[some] * self._n_values + value[some])
        in_document = self._in_document.place(group * self._n_documents + document)
        self._having_in_document = _Counted(in_document[some] * self._n_values + value[some])

    def given(self, words: np.ndarray, document: np.ndarray, value: np.ndarray, prior: np.ndarray) -> np.ndarray:
        """The share with a value among prefixes of the same words in other documents, drawn towards what was known."""
        group = self._words.place(words)
        there = (group >= 0) & (document < self._n_documents)
        in_document = self._in_document.place(np.where(there, group * self._n_documents + document, -1))
        asked = (value >= 0) & (value < self._n_values)
        having = self._having.place(np.where((group >= 0) & asked, group * self._n_values + value, -1))
        own = np.where((in_document >= 0) & asked, in_document * self._n_values + value, -1)
        having_in_document = self._having_in_document.place(own)
        others = self._words.n(group) - self._in_document.n(in_document)
        with_it = self._having.n(having) - self._having_in_document.n(having_in_document)
        found: np.ndarray = (with_it + PRIOR_WEIGHT * prior) / (others + PRIOR_WEIGHT)
        return found


def any_tail(
    k: Int64[np.ndarray, "rows"], p: Float64[np.ndarray, "rows slots"], counted: Bool[np.ndarray, "rows slots"]
) -> Float64[np.ndarray, "rows"]:
    """The chance of k hits or more, if each slot that counts hits by itself with its own probability (Poisson's binomial)."""
    chances = np.zeros((len(k), p.shape[1] + 1))  # of so many hits so far
    chances[:, 0] = 1
    for slot in range(p.shape[1]):
        hit = np.where(counted[:, slot], p[:, slot], 0)[:, None]
        chances[:, 1:] = chances[:, 1:] * (1 - hit) + chances[:, :-1] * hit
        chances[:, :1] *= 1 - hit
    tails: np.ndarray = np.where(np.arange(p.shape[1] + 1) >= k[:, None], chances, 0).sum(1)
    found: np.ndarray = np.minimum(tails, 1.0)
    return found
