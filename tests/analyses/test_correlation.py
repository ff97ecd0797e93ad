"""Correlations, against numpy's and against ranks counted one by one."""

import numpy as np
import pytest

from ffmem.analyses.correlation import binned_spearman, pearson, ranks, spearman

rng = np.random.default_rng(4)
LEFT, RIGHT = rng.integers(0, 9, 60).astype(float), rng.normal(size=60)


def naive_ranks(values: np.ndarray) -> list[float]:
    return [sum(other < one for other in values) + (sum(other == one for other in values) - 1) / 2 for one in values]


def test_against_other_ways() -> None:
    assert pearson(LEFT, RIGHT) == pytest.approx(np.corrcoef(LEFT, RIGHT)[0, 1])
    assert ranks(LEFT).tolist() == naive_ranks(LEFT)
    assert spearman(LEFT, RIGHT) == pytest.approx(np.corrcoef(naive_ranks(LEFT), naive_ranks(RIGHT))[0, 1])
    assert spearman(LEFT, LEFT**3) == pytest.approx(1)


def test_bins_of_one_value_each_hide_nothing() -> None:
    right = (RIGHT * 2).round()
    rows, columns = (np.unique(side, return_inverse=True)[1] for side in (LEFT, right))
    counts = np.zeros((rows.max() + 1, columns.max() + 1), np.int64)
    np.add.at(counts, (rows, columns), 1)
    assert binned_spearman(counts) == pytest.approx(spearman(LEFT, right))


def test_what_does_not_vary_has_none() -> None:
    assert np.isnan(pearson(np.ones(3), np.arange(3.0))) and np.isnan(spearman(np.arange(3.0), np.ones(3)))
    assert np.isnan(binned_spearman(np.zeros((2, 2), np.int64))) and np.isnan(binned_spearman(np.array([[3, 4]])))
