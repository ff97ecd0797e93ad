"""Cells that tell where in a sentence a token stands: the information between a cell's being active and the position."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from ffmem.analyses.sparsity.stretch import Stretch

INFORMATIVE = 0.05
"""Nats above which a cell counts as positional: Voita et al. 2023, who do not state the base of their logarithm."""


@dataclass(frozen=True)
class EqualLengths:
    """The first positions of all sentences that have so many: each position has as many sentences."""

    rows: Int64[np.ndarray, "sentences positions"]
    """Numbers of the positions in a stretch."""

    def shuffled(self, seed: int) -> "EqualLengths":
        """With the positions of each sentence in random order: what a cell would tell that knows nothing of position."""
        return EqualLengths(np.random.default_rng([seed, 43]).permuted(self.rows, axis=1))


def equal_lengths(stretch: Stretch, n_positions: int) -> EqualLengths:
    """The first positions that count, of those sentences of a stretch that have as many."""
    long = np.flatnonzero(stretch.lengths >= n_positions)
    return EqualLengths(stretch.starts[long][:, None] + np.arange(n_positions))


def position_information(
    active: UInt8[np.ndarray, "positions cells"], where: EqualLengths
) -> Float64[np.ndarray, "cells"]:
    """In nats, mean_p KL(f_p || f) of each cell's share of active sentences at position p, less its plug-in bias.

    What is counted of few sentences seems to vary with position by (P - 1) / 2N nats on average, for P positions of N counts in
    all, even if it does not: this is taken off (Miller 1955), so that the value of an uninformative cell is about 0, on either
    side. NaN without sentences.
    """
    n_sentences, n_positions = where.rows.shape
    if not n_sentences:
        return np.full(active.shape[1], np.nan)
    share = np.stack([active[rows].mean(0, dtype=np.float64) for rows in where.rows.T])
    mean = share.mean(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        on = np.where(share > 0, share * np.log(share / mean), 0.0)
        off = np.where(share < 1, (1 - share) * np.log((1 - share) / (1 - mean)), 0.0)
    varies = (mean > 0) & (mean < 1)  # elsewhere there is nothing to vary, nor a bias
    bias = (n_positions - 1) / (2 * n_sentences * n_positions)
    return np.where(varies, (on + off).mean(0) - bias, 0.0)
