"""Correlations of rows of numbers, and of two numbers that are too many to be kept."""

import numpy as np
from jaxtyping import Float, Int64


def pearson(left: Float[np.ndarray, " n"], right: Float[np.ndarray, " n"]) -> float:
    """The correlation of two rows of numbers; NaN if one of them does not vary."""
    left, right = left - left.mean(), right - right.mean()
    length = float(np.linalg.norm(left) * np.linalg.norm(right))
    return float(left @ right) / length if length > 0 else float("nan")


def ranks(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Ranks from 0; equal values share the mean of theirs."""
    order = values.argsort(kind="stable")
    ranks = np.empty(len(values))
    ranks[order] = np.arange(len(values))
    _, groups = np.unique(values, return_inverse=True)
    shared: np.ndarray = (np.bincount(groups, ranks) / np.bincount(groups))[groups]
    return shared


def spearman(left: Float[np.ndarray, " n"], right: Float[np.ndarray, " n"]) -> float:
    """The correlation of ranks; NaN if one of them does not vary."""
    return pearson(ranks(left), ranks(right))


def binned_spearman(counts: Int64[np.ndarray, "left right"]) -> float:
    """The rank correlation of pairs that were counted into bins, in ascending order along both axes.

    Pairs of a bin share a rank, so it differs from that of the pairs by what a bin's width hides.
    """
    n = counts.sum()
    if n == 0:
        return float("nan")

    def middle(margin: np.ndarray) -> np.ndarray:
        """Mean rank of each bin, from the mean of all."""
        found: np.ndarray = np.cumsum(margin) - margin / 2 - n / 2
        return found

    rows, columns = counts.sum(1).astype(np.float64), counts.sum(0).astype(np.float64)
    left, right = middle(rows), middle(columns)
    scale = np.sqrt((rows * left**2).sum() * (columns * right**2).sum())
    return float(left @ counts @ right / scale) if scale > 0 else float("nan")
