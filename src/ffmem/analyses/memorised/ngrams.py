"""Runs of tokens counted in a training text: a reference that read what the model did, and can forget a document."""

from collections import Counter
from collections.abc import Iterable

import numpy as np
from jaxtyping import Float64, Int64

_PRIOR = 5.0
"""How many occurrences of a context the order below is worth."""


class NGrams:
    """Probabilities of tokens by those just before them.

    Of order 1, (c(w) + 1) / (N + V). Of a higher one, (c(h w) + 5 p'(w)) / (c(h) + 5), with p' of the order below: each is a
    ratio of counts, so that a document is left out exactly by taking its own counts off (no discount depends on the others).

    Args:
        texts: own tokens of each document.
        d_vocab: how many tokens there are.
        order: 1: by themselves; 2: by the token before.
    """

    def __init__(self, texts: Iterable[Int64[np.ndarray, " tokens"]], d_vocab: int, order: int = 2) -> None:
        self._d_vocab, self._order = d_vocab, order
        self._counts: Counter[tuple[int, ...]] = Counter()
        for one in texts:
            self._counts.update(_runs(one.tolist(), order))

    def losses(self, ids: Int64[np.ndarray, " tokens"], *, leave_out: bool = False) -> Float64[np.ndarray, " tokens"]:
        """-ln p of each token, in nats.

        Args:
            ids: own tokens of a text.
            leave_out: the text is one of those that were counted, and is taken off first.
        """
        tokens = ids.tolist()
        own = Counter(_runs(tokens, self._order)) if leave_out else Counter[tuple[int, ...]]()
        return np.array([-np.log(self._probability(tokens, at, own)) for at in range(len(tokens))], dtype=np.float64)

    def _probability(self, tokens: list[int], at: int, own: Counter[tuple[int, ...]]) -> float:
        def count(run: tuple[int, ...]) -> int:
            return self._counts[run] - own[run]

        found = (count((tokens[at],)) + 1) / (count(()) + self._d_vocab)
        for length in range(1, min(self._order, at + 1)):
            context = tuple(tokens[at - length : at])
            # what a text ends in is no context: `_runs` counts contexts by their followers
            found = (count((*context, tokens[at])) + _PRIOR * found) / (count((*context, _ANY)) + _PRIOR)
        return found


_ANY = -1
"""Stands for whatever follows a context."""


def _runs(tokens: list[int], order: int) -> Iterable[tuple[int, ...]]:
    """Everything that is counted: tokens, all of them, runs, and contexts with whatever follows."""
    for at, token in enumerate(tokens):
        yield ()
        yield (token,)
        for length in range(1, min(order, at + 1)):
            context = tuple(tokens[at - length : at])
            yield (*context, token)
            yield (*context, _ANY)
