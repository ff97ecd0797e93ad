"""Chance given the words: how often prefixes of other documents that end with the same words have a value."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from ffmem.analyses.patterns.kinds import Features, Kind, last_words

PRIOR_WEIGHT = 5.0
"""Prefixes that what is known without the words counts as: few with the same words say little."""
MOST_POSITIONS = 2**22
"""Of a larger text so many random positions tell chance."""


@dataclass(frozen=True)
class SameWords:
    """Random prefixes by their last token, last two tokens, document and value."""

    features: Features
    document_of: Int64[np.ndarray, "sentences"]
    ends: Int64[np.ndarray, "positions"]
    value: Int64[np.ndarray, "positions"]

    @classmethod
    def of(cls, features: Features, kind: Kind, document_of: Int64[np.ndarray, "sentences"]) -> "SameWords | None":
        """Of the indexed prefixes; None if the kind is not known of all of them."""
        tokens = features.tokens
        if tokens.n_prefixes <= MOST_POSITIONS:
            ends = np.concatenate([np.zeros(0, dtype=np.int64), *tokens.blocks()])
        else:
            ends = np.unique(tokens.random(MOST_POSITIONS, np.random.default_rng(0)))
        value = features.number(kind, ends)
        return None if (value < 0).any() else cls(features, document_of, ends, value)

    def frequencies(
        self,
        ends: Int64[np.ndarray, "rows slots"],
        value: Int64[np.ndarray, "rows"],
        frequency: Float64[np.ndarray, "rows"],
    ) -> tuple[Float64[np.ndarray, "rows slots"], Float64[np.ndarray, "rows slots"]]:
        """How often prefixes that end with the same token as each of some have a value; and with the same two tokens.

        (n with the value + `PRIOR_WEIGHT` x what is known without these words) / (n + `PRIOR_WEIGHT`), counted in other
        documents: for the last token that is how frequent the value is at all, for the last two what the last token says.

        Args:
            ends: some prefixes for each row.
            value: of the row.
            frequency: of the value among all prefixes.
        """
        flat = ends.reshape(-1)
        values = np.repeat(value, ends.shape[1])
        every = np.concatenate([self.ends, flat])
        last, last_two = (last_words(self.features.tokens, every, n) for n in (1, 2))
        prior = np.repeat(frequency, ends.shape[1])
        by_token = self._given(last, flat, values, prior)
        by_both = self._given(last_two, flat, values, by_token)
        return by_token.reshape(ends.shape), by_both.reshape(ends.shape)

    def _given(self, words: np.ndarray, ends: np.ndarray, value: np.ndarray, prior: np.ndarray) -> np.ndarray:
        n = len(self.ends)
        group = np.unique(words, return_inverse=True)[1]
        documents = self.document_of[self.features.tokens.sentence_of(np.concatenate([self.ends, ends]))]
        in_document = np.unique(group * (documents.max(initial=0) + 1) + documents, return_inverse=True)[1]
        values = np.concatenate([self.value, value])

        def count(keys: np.ndarray) -> np.ndarray:
            numbers = np.unique(keys, return_inverse=True)[1]
            counts: np.ndarray = np.bincount(numbers[:n], minlength=int(numbers.max(initial=0)) + 1)[numbers[n:]]
            return counts

        n_values = values.max(initial=0) + 1
        others = count(group) - count(in_document)
        having = count(group * n_values + values) - count(in_document * n_values + values)
        found: np.ndarray = (having + PRIOR_WEIGHT * prior) / (others + PRIOR_WEIGHT)
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
