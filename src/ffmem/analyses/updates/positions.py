"""The positions that are asked about: whole held-out sentences, so that one pass of a sentence serves all its positions."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from ffmem.analyses.prefixes import Prefixes
from ffmem.errors import InputError
from ffmem.store.text import TextReader


@dataclass(frozen=True)
class Positions:
    """Positions of text that another token follows."""

    prefixes: Prefixes
    """Each with what comes before it."""
    following: Int[np.ndarray, "n"]
    """The token after each."""

    def __len__(self) -> int:
        return len(self.following)

    @property
    def document(self) -> Int[np.ndarray, "n"]:
        """Of each position."""
        found: np.ndarray = self.prefixes.document[self.prefixes.sentence]
        return found

    def some(self, n: int, *, seed: int) -> "Positions":
        """At most n of them, drawn at random, in their order."""
        if n >= len(self):
            return self
        kept = np.sort(np.random.default_rng([seed, 22]).choice(len(self), n, replace=False))
        return Positions(self.prefixes.some(kept), self.following[kept])


def positions_of_text(text: TextReader, first: int, end: int, n: int, *, seed: int = 0) -> Positions:
    """All positions of random sentences, until there are n.

    Long sentences that were cut into windows give no position that begins within a sentence; neither does the last token of a
    sentence, which nothing follows.

    Args:
        text: of an index, or other text stored as such.
        first: the first sentence that may be drawn.
        end: after the last.
        n: how many; fewer come back where there are not as many.
        seed: of the draw.

    Raises:
        InputError: there is none.
    """
    starts = text.sentence_start.astype(np.int64)
    able = np.arange(first, end)
    if text.context is not None:
        able = able[text.context[first:end] == 0]
    able = able[np.diff(starts)[able] > 1]
    if not len(able):
        raise InputError(
            "no held-out sentence has two tokens",
            "Expected held-out text, at whose positions a model is asked for the next token",
            "Build an index with --holdout 0.05, or give other text with --held-out CORPUS",
        )
    drawn = np.random.default_rng([seed, 21]).permutation(able)
    so_far = np.cumsum(np.diff(starts)[drawn] - 1)
    ids = np.sort(drawn[: np.searchsorted(so_far, n) + 1])
    tokens = [np.array(text.token_id[starts[i] : starts[i + 1]], dtype=np.int64) for i in ids.tolist()]
    sentence = np.repeat(np.arange(len(ids)), [len(one) - 1 for one in tokens])
    prefixes = Prefixes(
        sentences=tuple(one[:-1] for one in tokens),
        sentence_ids=ids,
        document=text.document_of(ids),
        sentence=sentence,
        position=np.concatenate([np.arange(len(one) - 1) for one in tokens]),
    )
    found = Positions(prefixes, np.concatenate([one[1:] for one in tokens]))
    return found.some(n, seed=seed)
