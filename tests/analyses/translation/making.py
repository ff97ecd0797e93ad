"""Pairs that are made up: each word of a translation is one of the source's, and one map in four knows which."""

import numpy as np
import torch

from ffmem.analyses.translation.states import SeenPair

RIGHT = 2
"""The map that knows."""


def pairs_of(n: int, n_words: int, states: torch.Tensor, seed: int, first: int = 0) -> list[SeenPair]:
    """Pairs of random words; ``states``: a row for each word; ``first``: the id of the first word."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        source = rng.integers(n_words, size=int(rng.integers(4, 9)))
        order = rng.permutation(len(source))
        weights = torch.from_numpy(rng.dirichlet(np.ones(len(source)), size=(4, len(source)))).float()
        weights[RIGHT] = torch.eye(len(source))[order]
        found.append(
            SeenPair(
                targets=torch.from_numpy(source[order]) + first,
                source=states[source][None],
                target=states[source[order]][None],
                weights=weights,
                norms=3 * torch.stack([weights[0], weights[RIGHT]]),
                own=slice(0, len(source) - 1),
            )
        )
    return found
