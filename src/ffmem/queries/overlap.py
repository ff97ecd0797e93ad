"""Rank-biased overlap: how far two ranked lists agree, their tops counting most.

Webber, Moffat and Zobel, A similarity measure for indefinite rankings, TOIS 2010: with X_d the number of items that the
first d of both lists share, RBO = (1 - p) sum_d p^(d-1) X_d / d, a number from 0 to 1. Lists end; we give the
extrapolated form (their equation 32), which is 1 for equal lists of any length.
"""

import numpy as np

PERSISTENCE = 0.9
"""The p of the formula: the first ten ranks have 86 % of the weight."""


def rank_weights(k: int, p: float = PERSISTENCE) -> np.ndarray:
    """What an item shared by two lists of k items adds to their overlap, by the larger of its two ranks, from 0.

    For lists of equal length the extrapolated overlap is a sum over shared items: one at ranks i and j is counted in X_d
    from d = max(i, j) + 1 on.
    """
    depths = np.arange(1, k + 1)
    terms = (1 - p) * p ** (depths - 1) / depths
    weights: np.ndarray = np.cumsum(terms[::-1])[::-1] + p**k / k
    return weights


def rank_biased_overlap(left: np.ndarray, right: np.ndarray, p: float = PERSISTENCE) -> np.ndarray:
    """The extrapolated overlap of each row's list in ``left`` with that in ``right``.

    Args:
        left: (rows, k) items, best first, none twice in a row; -1 in empty slots, which come last.
        right: the same; k may be another one.
        p: how slowly the weight falls with depth, between 0 and 1.

    Returns:
        (rows,); 0 where one list is empty, NaN where both are.
    """
    n, depth = len(left), max(left.shape[1], right.shape[1])
    shared = _shared_by_depth(left, right, depth)
    lengths = np.sort(np.stack([(left >= 0).sum(1), (right >= 0).sum(1)]), axis=0)
    short, long = lengths
    depths = np.arange(1, depth + 1)
    at = np.arange(n)
    with np.errstate(divide="ignore", invalid="ignore"):
        in_short = np.where(short > 0, shared[at, np.maximum(short, 1) - 1], 0)
        in_long = shared[at, np.maximum(long, 1) - 1]
        terms = shared / depths * (depths <= long[:, None])
        beyond = (depths > short[:, None]) & (depths <= long[:, None]) & (short[:, None] > 0)
        extra = in_short[:, None] * (depths - short[:, None]) / (short[:, None] * depths)
        total = ((terms + np.where(beyond, extra, 0)) * p**depths).sum(1)
        tail = (in_long - in_short) / long + in_short / short
        overlap = (1 - p) / p * total + tail * p**long
    return np.where(short > 0, overlap, np.where(long > 0, 0.0, np.nan))


def _shared_by_depth(left: np.ndarray, right: np.ndarray, depth: int) -> np.ndarray:
    """X_d for each row and d = 1 ... depth."""
    n_items = int(max(left.max(initial=0), right.max(initial=0))) + 1
    keys, rows, ranks = [], [], []
    for items in (left, right):
        row, rank = np.nonzero(items >= 0)
        keys.append(row * n_items + items[row, rank].astype(np.int64))
        rows.append(row)
        ranks.append(rank)
    _, i, j = np.intersect1d(keys[0], keys[1], assume_unique=True, return_indices=True)
    cells = rows[0][i] * depth + np.maximum(ranks[0][i], ranks[1][j])
    counts: np.ndarray = np.bincount(cells, minlength=len(left) * depth).reshape(len(left), depth)
    return counts.cumsum(1)


def without_repeats(items: np.ndarray) -> np.ndarray:
    """Rows of items with only the first of equal ones; -1 marks empty slots, which come last."""
    order = np.argsort(items, axis=1, kind="stable")
    ordered = np.take_along_axis(items, order, axis=1)
    repeated = np.zeros(items.shape, dtype=bool)
    np.put_along_axis(repeated, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
    kept = np.where(repeated, -1, items)
    return np.take_along_axis(kept, np.argsort(kept < 0, axis=1, kind="stable"), axis=1)
