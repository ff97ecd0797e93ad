"""What lenses make of values, against the tokens that follow the triggers of their keys."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from ffmem.analyses.lenses.reading import Lens, Reader
from ffmem.analyses.updates.readout import stream_values
from ffmem.analyses.values import NONE, Targets, first_of_largest, rank_of, targets
from ffmem.errors import InputError
from ffmem.store.reader import Index

_READ = 2**22
"""Scores that are held at a time."""


@dataclass(frozen=True)
class ValueReadings:
    """Of some cells with a trigger that a token follows, of gated ones both signs, by each lens of `Reader.of_vectors`."""

    layer: Int64[np.ndarray, "cells"]
    """Its number among the Jacobian's places."""
    document: Int64[np.ndarray, "cells"]
    """Of the best trigger that a token follows."""
    agrees: Bool[np.ndarray, "cells lenses"]
    """Whether the value's top token is the one that follows that trigger."""
    of_triggers: Float[np.ndarray, "cells lenses"]
    """Share of the triggers with a next token that the top token follows."""
    above: Float[np.ndarray, "cells lenses"]
    """Share of the vocabulary that scores higher than the token that follows the best trigger: about 0.5 by chance."""


def read_values(
    reader: Reader,
    index: Index,
    *,
    n_cells: int,
    seed: int = 0,
    on_layer: Callable[[int], None] = lambda _: None,
) -> ValueReadings:
    """Read values of random cells of each of the Jacobian's layers.

    Args:
        reader: of the model of the index, or of a control of it.
        index: whose triggers values are held to.
        n_cells: of each layer at most.
        seed: of the draws.
        on_layer: called with the number of those that are done.

    Raises:
        InputError: none of them has a trigger that a token follows.

    Cost: a product with the vocabulary for each cell, sign and lens.
    """
    parts = []
    for number, place in enumerate(reader.jacobian.places):
        wanted, rows = targets(index, place), stream_values(reader.model, place)
        drawn = np.sort(np.random.default_rng([seed, 33, place]).permutation(len(rows))[:n_cells])
        for sign in range(wanted.following.shape[1]):
            some = drawn[wanted.following[drawn, sign] != NONE]
            if len(some):
                parts.append(_of_sign(reader, number, rows, wanted, some, sign, seed))
        on_layer(number + 1)
    if not parts:
        raise InputError(
            f"none of {n_cells} cells of each layer has a trigger that a token follows",
            "Expected cells that fire within sentences",
            "Look at more of them, or index more text",
        )
    return ValueReadings(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


def _of_sign(
    reader: Reader, number: int, rows: Tensor, wanted: Targets, some: np.ndarray, sign: int, seed: int
) -> dict[str, np.ndarray]:
    """The columns of `ValueReadings` of some cells of one layer and sign."""
    vectors = rows[torch.from_numpy(some)] * (-1.0 if sign else 1.0)
    following, every = wanted.following[some, sign], wanted.all_following[some, sign]
    generator = torch.Generator().manual_seed(seed * 1_000_003 + 2 * number + sign)
    found = [_by_lens(reader, lens, number, vectors, following, generator) for lens in reader.of_vectors]
    tops, above = (np.stack(column, axis=1) for column in zip(*found, strict=True))
    there = every != NONE
    hits = (every[:, :, None] == tops[:, None]) & there[:, :, None]
    return {
        "layer": np.full(len(some), number),
        "document": wanted.document[some, sign].astype(np.int64),
        "agrees": tops == following[:, None],
        "of_triggers": hits.sum(1) / there.sum(1)[:, None],
        "above": above,
    }


def _by_lens(
    reader: Reader, lens: Lens, number: int, vectors: Tensor, following: np.ndarray, generator: torch.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The top token of each vector, and the share of the vocabulary above the token that follows."""
    size, parts = max(1, _READ // reader.model.facts.d_vocab), []
    with torch.inference_mode():
        for first in range(0, len(vectors), size):
            few = slice(first, first + size)
            scores = reader.vectors(lens, number, vectors[few], generator).float()
            top, _ = first_of_largest(scores)
            ranks = rank_of(scores, torch.from_numpy(following[few].astype(np.int64)).to(scores.device))
            parts.append((top.cpu().numpy(), ranks.cpu().numpy() / (scores.shape[1] - 1)))
    tops, above = (np.concatenate(one) for one in zip(*parts, strict=True))
    return tops, above
