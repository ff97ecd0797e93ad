"""A stretch of text: whole sentences of whole documents, one after the other, cut into windows of consecutive positions."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Int64

from ffmem.errors import InputError
from ffmem.store.text import TextReader


@dataclass(frozen=True)
class Stretch:
    """Sentences in the order of their text, with the positions that count: context and what is skipped never do."""

    tokens: tuple[Int64[np.ndarray, "own_tokens"], ...]
    """Of each sentence."""
    skip: Int64[np.ndarray, "sentences"]
    """How many tokens at the beginning of each do not count."""
    documents: Int64[np.ndarray, "sentences"]

    @cached_property
    def lengths(self) -> Int64[np.ndarray, "sentences"]:
        """Positions of each sentence that count."""
        found: np.ndarray = np.array([len(one) for one in self.tokens], dtype=np.int64) - self.skip
        return found

    @cached_property
    def starts(self) -> Int64[np.ndarray, "sentences_and_one"]:
        """The number of the first counted position of each sentence, and how many there are in all."""
        return np.concatenate([[0], np.cumsum(self.lengths)]).astype(np.int64)

    def __len__(self) -> int:
        """Positions that count."""
        return int(self.starts[-1])

    @cached_property
    def sentence(self) -> Int64[np.ndarray, "positions"]:
        """Of each counted position."""
        return np.repeat(np.arange(len(self.tokens)), self.lengths)

    @cached_property
    def position(self) -> Int64[np.ndarray, "positions"]:
        """Of each counted position, its place in its sentence, from 0."""
        found: np.ndarray = np.arange(len(self)) - np.repeat(self.starts[:-1] - self.skip, self.lengths)
        return found

    @cached_property
    def token(self) -> Int64[np.ndarray, "positions"]:
        """Of each counted position."""
        return np.concatenate([own[skip:] for own, skip in zip(self.tokens, self.skip.tolist(), strict=True)])

    def ngrams(self, n: int) -> Int64[np.ndarray, "positions"]:
        """A number for the n tokens that end at each position, equal where these are equal; -1 where its sentence has fewer."""
        found = np.full(len(self), -1, dtype=np.int64)
        rows = [
            np.lib.stride_tricks.sliding_window_view(own, n)[max(skip - n + 1, 0) :]
            for own, skip in zip(self.tokens, self.skip.tolist(), strict=True)
            if len(own) >= n
        ]
        if rows:
            _, numbers = np.unique(np.concatenate(rows), axis=0, return_inverse=True)
            found[self.position >= n - 1] = numbers.reshape(-1)
        return found

    def windows(self, size: int) -> Int64[np.ndarray, "windows_and_one"]:
        """Where windows of whole sentences begin that have at least so many positions each, and where the last one ends."""
        edges = [0]
        for end in self.starts[1:].tolist():
            if end - edges[-1] >= size:
                edges.append(end)
        return np.array(edges, dtype=np.int64)

    def some(self, n: int) -> "Stretch":
        """Its first sentences, until they have n positions."""
        kept = int(np.searchsorted(self.starts, n)) if n < len(self) else len(self.tokens)
        return Stretch(self.tokens[:kept], self.skip[:kept], self.documents[:kept])


def stretch_of(
    text: TextReader,
    sentences: tuple[int, int],
    n: int,
    *,
    skip_first: int = 0,
    seed: int = 0,
    among: Sequence[int] = (),
) -> Stretch:
    """Random documents of a text, one after the other with all of their sentences, until they have n positions that count.

    Args:
        text: of an index, or other text stored as such.
        sentences: the first sentence that may be there, and the one after the last.
        n: how many positions; fewer come back where there are not as many.
        skip_first: tokens at the beginning of each sentence that do not count.
        seed: of the draw.
        among: ids of the documents that are drawn from; none named: all.

    Raises:
        InputError: no position counts.
    """
    ids = np.arange(*sentences)
    of_document = text.document_of(ids).astype(np.int64) if len(ids) else ids
    allowed = np.unique(of_document) if not len(among) else np.intersect1d(of_document, among)
    starts, found = text.sentence_start.astype(np.int64), 0
    chosen: list[int] = []
    context = np.zeros(sentences[1], dtype=np.int64) if text.context is None else text.context.astype(np.int64)
    for document in np.random.default_rng([seed, 41]).permutation(allowed).tolist():
        for one in ids[of_document == document].tolist():
            own = int(starts[one + 1] - starts[one] - max(context[one], skip_first))
            if own > 0 and found < n:
                chosen.append(one)
                found += own
        if found >= n:
            break
    if not chosen:
        raise InputError(
            "no sentence has a position that counts",
            "Expected text whose sentences have tokens beyond context and what --skip-first leaves out",
            "Give other text, or an index of more text",
        )
    return Stretch(
        tuple(np.array(text.token_id[starts[one] : starts[one + 1]], dtype=np.int64) for one in chosen),
        np.maximum(context[chosen], skip_first),
        of_document[np.array(chosen) - sentences[0]],
    )
