"""Statistics of attention over a corpus that never hold a pair of a query and a source: sums, and counts in bins."""

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ffmem.analyses.correlation import binned_spearman

_STEPS = 8
"""Bins of an octave: neighbours differ by 9 %."""
_WEIGHT_BINS, _NORM_BINS = 32 * _STEPS, 48 * _STEPS
_LOWEST_NORM = -24
"""Norms from 2^-24 to 2^24, weights from 2^-32 to 1; what lies outside counts as the last bin."""


class Dispersion:
    """Mean, spread and extremes of numbers that come in rows.

    Args:
        n_rows: how many rows.
        n_blocks: parts of the corpus, for an interval.
    """

    def __init__(self, n_rows: int, n_blocks: int = 1) -> None:
        self.n, self.sums, self.squares = (np.zeros((n_blocks, n_rows)) for _ in range(3))
        self.low, self.high = np.full(n_rows, np.inf), np.full(n_rows, -np.inf)

    def add(self, row: int, values: Float[np.ndarray, "*n"], block: int = 0) -> None:
        """Some numbers of one row."""
        exact = values.astype(np.float64)
        self.n[block, row] += exact.size
        self.sums[block, row] += exact.sum()
        self.squares[block, row] += (exact * exact).sum()
        self.low[row] = min(self.low[row], exact.min())
        self.high[row] = max(self.high[row], exact.max())

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """All that it is made of, by name."""
        return {"n": self.n, "sums": self.sums, "squares": self.squares, "low": self.low, "high": self.high}

    @property
    def mean(self) -> Float[np.ndarray, " rows"]:
        """Of each row."""
        found: Float[np.ndarray, " rows"] = self.sums.sum(0) / self.n.sum(0)
        return found

    def variation(self, without: int | None = None) -> Float[np.ndarray, " rows"]:
        """Coefficient of variation of each row: standard deviation (of the population) / mean, of all blocks or all but one."""
        kept = [block for block in range(len(self.n)) if block != without]
        n, sums, squares = (of[kept].sum(0) for of in (self.n, self.sums, self.squares))
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = sums / n
            found: Float[np.ndarray, " rows"] = np.sqrt(np.clip(squares / n - mean**2, 0, None)) / mean
        return found


def bins_of(
    weights: Float[Tensor, "heads queries keys"], norms: Float[Tensor, "heads keys"]
) -> Int64[Tensor, "heads queries keys"]:
    """The number of the bin that each pair of a weight and a norm falls into: weights ascending, within them norms."""
    by_weight = ((weights.clamp(min=2.0**-40).log2() + 32) * _STEPS).floor().clamp(-1, _WEIGHT_BINS - 1).long() + 1
    by_norm = ((norms.clamp(min=2.0**-40).log2() - _LOWEST_NORM) * _STEPS).floor().clamp(0, _NORM_BINS - 1).long()
    return by_weight * _NORM_BINS + by_norm[:, None]


class RankCorrelation:
    """Spearman's correlation of weights and norms, by category of the source, over as many pairs as there are.

    Args:
        n_categories: of sources.
        n_blocks: parts of the corpus, for the interval.
    """

    def __init__(self, n_categories: int, n_blocks: int) -> None:
        self.counts = np.zeros((n_blocks, n_categories, (_WEIGHT_BINS + 1) * _NORM_BINS), np.int64)

    def add(
        self,
        block: int,
        weights: Float[Tensor, "heads queries keys"],
        norms: Float[Tensor, "heads keys"],
        category: Int64[Tensor, "keys"],
        causal: bool,
    ) -> None:
        """All pairs of one layer of one text; with ``causal`` those in which the query may look at the source."""
        bins = bins_of(weights, norms)
        seen = torch.ones(bins.shape[1:], dtype=torch.bool, device=bins.device)
        if causal:
            seen = seen.tril()
        for number in range(self.counts.shape[1]):
            chosen = bins[:, seen & (category == number)]
            found = torch.bincount(chosen.flatten(), minlength=self.counts.shape[2])
            self.counts[block, number] += found.cpu().numpy()

    def of(self, category: int, without: int | None = None) -> float:
        """The correlation in a category; with ``without``, of all blocks but one."""
        counts = self.counts[:, category].sum(0)
        if without is not None:
            counts = counts - self.counts[without, category]
        return binned_spearman(counts.reshape(_WEIGHT_BINS + 1, _NORM_BINS))

    def n_pairs(self, category: int) -> int:
        """How many pairs there are."""
        return int(self.counts[:, category].sum())
