"""Cells that come on at a few tokens, or at a few n-grams, and at little else: by the label that each position has."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64, UInt8

MOST = 5
"""Labels that a detector may have: Voita et al. 2023."""
RATE = 0.95
"""Share of the occurrences of each at which the cell is active, and of its activations that these labels have together."""
LEAST = 10
"""Positions at which a cell must be active to be judged: one activation is at one label, whatever the cell is."""


@dataclass(frozen=True)
class Labels:
    """Positions by their label."""

    order: Int64[np.ndarray, "positions"]
    """Positions with equal labels beside each other."""
    first: Int64[np.ndarray, "labels"]
    """Where those of each label begin in that order."""
    names: Int64[np.ndarray, "labels"]
    """The labels, ascending; -1 is none."""
    counts: Int64[np.ndarray, "labels"]
    """Positions of each."""


def labels_of(label: Int64[np.ndarray, "positions"]) -> Labels:
    """Positions by label; -1: none."""
    names, first, counts = np.unique(np.sort(label), return_index=True, return_counts=True)
    return Labels(np.argsort(label, kind="stable"), first, names, counts)


@dataclass(frozen=True)
class Detectors:
    """What was found of some cells."""

    judged: Bool[np.ndarray, "cells"]
    """Active often enough: at `LEAST` positions."""
    found: Bool[np.ndarray, "cells"]
    """Whether each is a detector."""
    best: Int64[np.ndarray, "cells"]
    """The label at which each is active most often, of those at which it is nearly always; -1 if it is no detector."""


def detectors(active: UInt8[np.ndarray, "positions cells"], labels: Labels) -> Detectors:
    """Which cells are detectors: a few labels, at nearly all occurrences of which they are active, have nearly all activations.

    At most `MOST` labels, each with the cell active at `RATE` of its occurrences, have together `RATE` of its activations.

    Source: Voita et al. 2023, whose labels are tokens; that a cell must be active at `LEAST` positions is ours.

    Cost: memory of labels x cells counts, four bytes each.
    """
    n_active, some = active.sum(0, dtype=np.int64), labels.names >= 0
    judged = n_active >= LEAST
    # most cells are active more often than any few labels occur: only the others are counted label by label
    rows = np.flatnonzero(judged & (RATE * n_active <= np.sort(labels.counts[some])[-MOST:].sum()))
    found, best = np.zeros(len(n_active), dtype=bool), np.full(len(n_active), -1, dtype=np.int64)
    if len(rows):
        by_label = np.add.reduceat(active[:, rows][labels.order], labels.first, axis=0, dtype=np.int32)
        counts = np.ascontiguousarray(by_label[some].T)
        counts[counts < RATE * labels.counts[some]] = 0
        n_most = min(MOST, counts.shape[1])
        covered = np.partition(counts, counts.shape[1] - n_most, axis=1)[:, -n_most:].sum(1)
        found[rows] = covered >= RATE * n_active[rows]
        best[rows] = np.where(found[rows], labels.names[some][counts.argmax(1)], -1)
    return Detectors(judged, found, best)
