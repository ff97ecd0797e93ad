"""The nearest neighbours of every point, in all of a cloud and in parts of it."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int, Int32

MOST = 256
"""Neighbours that are kept of each point: enough for the 64th in half of the points, and for the second in a sixteenth."""
_SAME = 1e-6
"""Points nearer than this share of the median distance are the same, but for what a pass rounds."""


@dataclass(frozen=True)
class Neighbours:
    """The neighbours of every point of a cloud, nearest first, equally far ones in the order of the points."""

    index: Int32[np.ndarray, "n near"]
    log_distance: Float32[np.ndarray, "n near"]
    distinct: Bool[np.ndarray, " n"]
    """Whether no earlier point is the same."""

    def __len__(self) -> int:
        return len(self.index)

    @property
    def n_duplicates(self) -> int:
        """Points that are the same as an earlier one."""
        return int((~self.distinct).sum())

    def among(self, kept: Bool[np.ndarray, " n"]) -> "Within":
        """Neighbours of some points among these alone."""
        rows = np.flatnonzero(kept)
        inside = kept[self.index[rows]]
        return Within(self, rows, inside, inside.cumsum(1, dtype=np.int32))


@dataclass(frozen=True)
class Within:
    """Neighbours of some points among these alone."""

    all: Neighbours
    rows: Int[np.ndarray, " some"]
    """The points."""
    inside: Bool[np.ndarray, "some near"]
    """Which of their neighbours count."""
    rank: Int32[np.ndarray, "some near"]
    """How many of them so far."""

    def log_ratio(self, first: int, other: int) -> Float64[np.ndarray, " there"]:
        """ln(r_other / r_first) of each point that has so many neighbours."""
        there = self.rank[:, -1] >= max(first, other)
        rank, rows = self.rank[there], self.rows[there]
        near, far = ((rank < one).sum(1) for one in (first, other))
        found: np.ndarray = self.all.log_distance[rows, far].astype(np.float64) - self.all.log_distance[rows, near]
        return found

    def first(self, k: int) -> Bool[np.ndarray, "some near"]:
        """Which neighbours are the first k."""
        found: np.ndarray = self.inside & (self.rank <= k)
        return found


def neighbours_of(points: Float[np.ndarray, "n d"], most: int = MOST) -> Neighbours:
    """The nearest neighbours by Euclidean distance.

    Args:
        points: a row each.
        most: how many of each are kept.

    Cost: n^2 distances of 8 bytes, a product of n x d with d x n, and a sort of what is kept of each.
    """
    x = torch.from_numpy(np.ascontiguousarray(points)).double()
    x = x - x.mean(0)
    lengths = x.square().sum(1)
    squares = torch.addmm(lengths[:, None] + lengths[None], x, x.T, alpha=-2).clamp_(min=0)
    n = len(x)
    earlier = torch.ones(n, n, dtype=torch.bool).tril_(-1)
    middle = float(squares[earlier].median()) if n > 1 else 0.0
    distinct = ~((squares <= _SAME**2 * middle) & earlier).any(1)
    squares.fill_diagonal_(float("inf"))
    near = min(most, n - 1)
    table = squares.numpy()
    index = np.sort(np.argpartition(table, near - 1, axis=1)[:, :near], axis=1) if near else np.zeros((n, 0), np.int64)
    index = np.take_along_axis(index, np.take_along_axis(table, index, 1).argsort(1, kind="stable"), 1)
    ordered = np.maximum(np.take_along_axis(table, index, 1), np.finfo(np.float64).tiny)
    return Neighbours(index.astype(np.int32), (np.log(ordered) / 2).astype(np.float32), distinct.numpy())


def overlap(left: Within, right: Within, k: int) -> float:
    """chi_k: the share of the first k neighbours of a point that are its first k in another cloud, too, mean of points.

    Args:
        left: of some points.
        right: of the same points in another cloud.
        k: neighbours, no more than are kept.

    Returns:
        1 for a cloud and itself, k / (N - 1) on average for clouds that have nothing to do with each other.
    """
    member = np.zeros((len(left.rows), len(left.all)), dtype=bool)
    at, column = np.nonzero(left.first(k))
    member[at, left.all.index[left.rows[at], column]] = True
    at, column = np.nonzero(right.first(k))
    hits = member[at, right.all.index[right.rows[at], column]]
    return float(hits.sum()) / (k * len(left.rows)) if len(left.rows) else float("nan")


def label_share(
    within: Within, label: Int[np.ndarray, " n"], document: Int[np.ndarray, " n"], k: int
) -> Float64[np.ndarray, " some"]:
    """The share of the first k neighbours of each point, among those of other documents, that have its label.

    Every point counts alike, as in the paper, whatever the size of its class; NaN for a point without such a neighbour.
    """
    near = within.all.index[within.rows]
    others = within.inside & (document[near] != document[within.rows][:, None])
    some = others & (others.cumsum(1, dtype=np.int32) <= k)
    same = some & (label[near] == label[within.rows][:, None])
    count = some.sum(1)
    return np.where(count > 0, same.sum(1) / np.maximum(count, 1), np.nan)
