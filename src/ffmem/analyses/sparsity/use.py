"""How many cells of a layer are in use, from counts alone: at a token, in a sentence, in so many positions."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8

RARE = 1e-3
"""A cell that is active at a smaller share of positions is rare (and dead if at none)."""


def rarefied_use(
    n_active: Int64[np.ndarray, "cells"], n: int, sizes: Float[np.ndarray, "sizes"]
) -> Float[np.ndarray, "sizes"]:
    """The share of cells that some of T positions drawn at random would use: what order and topic of a text do not touch.

    mean_i [1 - C(N - n_i, T) / C(N, T)]: T = 1 gives the mean share of positions at which cells are active, T = N the share of
    cells that are not dead. Counts are exact; logarithms of factorials are right to about 1e-8.

    Args:
        n_active: positions at which each cell is active.
        n: positions in all.
        sizes: how many are drawn, each at most ``n``; larger ones count as ``n``.
    """
    counts, times = np.unique(n_active, return_counts=True)
    all_of = np.array(n, dtype=np.float64)
    drawn = np.minimum(np.asarray(sizes, dtype=np.float64)[None], all_of)
    rest = all_of - counts[:, None]
    with np.errstate(invalid="ignore"):
        log_none = _factorial(rest) - _factorial(rest - drawn) - _factorial(all_of) + _factorial(all_of - drawn)
    missed = np.where(rest < drawn, 0.0, np.exp(np.minimum(log_none, 0.0)))
    found: np.ndarray = (1 - missed).T @ times / len(n_active)
    return found


def _factorial(n: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """Its logarithm."""
    found: np.ndarray = torch.lgamma(torch.from_numpy(np.asarray(n + 1, dtype=np.float64))).numpy()
    return found


def in_use_by_part(
    active: UInt8[np.ndarray, "positions cells"], edges: Int64[np.ndarray, "parts_and_one"]
) -> Bool[np.ndarray, "parts cells"]:
    """Which cells are active somewhere in each part: consecutive positions from one edge to the next, none of them empty."""
    return np.maximum.reduceat(active[: edges[-1]], edges[:-1], axis=0).astype(bool)


@dataclass(frozen=True)
class CountedUse:
    """One layer by the counts of an index: exact for its text."""

    token: float
    """Share of its cells that are active at a position, mean of all positions; of a mixture, of those routed to each."""
    token_of_all: float
    """Of a mixture, the same where positions that are not routed to an expert count as well; else as ``token``."""
    sentence: float
    """Share that is active in a sentence, mean of all that an expert sees; NaN where the index does not know."""
    window: float
    """Share expected in 8,192 positions drawn at random: see `rarefied_use`."""
    dead: int
    rare: int
    """Active at fewer than `RARE` of the positions that they see, and not dead."""
    n_cells: int


def counted_use(
    n_active: Int64[np.ndarray, "cells"],
    n_active_sentences: Int64[np.ndarray, "cells"] | None,
    counts: Int64[np.ndarray, "groups 2"],
    n_positions: int,
    window: int,
) -> CountedUse:
    """The use of a layer, from the arrays of an index of these names.

    Args:
        n_active: positions.
        n_active_sentences: sentences; None where the index has no such array.
        counts: positions and sentences that each group of cells has seen.
        n_positions: all that were counted.
        window: positions of ``window``.
    """
    size = len(n_active) // len(counts)
    seen, sentences = (np.repeat(counts[:, column], size) for column in (0, 1))
    share = n_active / np.maximum(seen, 1)
    in_sentences = np.nan if n_active_sentences is None else n_active_sentences.sum() / max(int(sentences.sum()), 1)
    return CountedUse(
        token=float(n_active.sum() / max(int(seen.sum()), 1)),
        token_of_all=float(n_active.sum() / (n_positions * len(n_active))),
        sentence=float(in_sentences),
        window=float(rarefied_use(n_active, n_positions, np.array([window]))[0]),
        dead=int((n_active == 0).sum()),
        rare=int(((n_active > 0) & (share < RARE)).sum()),
        n_cells=len(n_active),
    )
