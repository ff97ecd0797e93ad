"""Trends over layers: rank correlations, thirds, paired differences."""

import numpy as np
import pytest

from ffmem.analyses.meaning.draws import (
    N_RESAMPLES,
    differences,
    document_weights,
    estimate,
    spearman_with_depth,
    thirds_of,
    trends,
)


def test_rank_correlation_by_its_formula() -> None:
    values = np.array([[1.0, 5], [2, 4], [7, 3], [5, 2], [9, 1]])
    ranks = [1, 2, 4, 3, 5]
    by_formula = 1 - 6 * sum((a - b) ** 2 for a, b in zip(ranks, range(1, 6), strict=True)) / (5 * 24)
    assert spearman_with_depth(values) == pytest.approx([by_formula, -1])
    assert np.isnan(spearman_with_depth(np.ones((4, 1)))[0]) and np.isnan(spearman_with_depth(np.eye(2))[0])
    assert spearman_with_depth(np.array([[1.0], [1], [2]]))[0] == pytest.approx(
        np.corrcoef([1.5, 1.5, 3], [0, 1, 2])[0, 1]
    )


def test_thirds() -> None:
    bottom, top = thirds_of(np.arange(7.0)[:, None])
    assert bottom == 0.5 and top == 5.5


def test_documents_are_drawn_with_replacement() -> None:
    weights = document_weights(50, np.random.default_rng(0))
    assert weights.shape == (N_RESAMPLES + 1, 50) and (weights[0] == 1).all()
    assert (weights.sum(1) == 50).all() and 0.3 < (weights[1:] == 0).mean() < 0.42  # e^-1


def test_a_difference_is_paired() -> None:
    """Noise that both have is none of the difference."""
    rng = np.random.default_rng(0)
    shared = np.concatenate(([0], rng.standard_normal(N_RESAMPLES)))
    left = [{"lift": np.full(N_RESAMPLES + 1, 1.0)}, {"lift": shared + 3}, {"lift": shared + 3}]
    right = [{"lift": np.full(N_RESAMPLES + 1, 1.0)}, {"lift": shared + 2}, {"lift": shared + 2}]
    found = differences(left, right, 50)["lift"]
    assert (found.value, found.low, found.high) == pytest.approx((1, 1, 1))
    assert differences(left, right, 50, whole=True)["lift"].value == pytest.approx(2 / 3)
    trend = trends(left, 50)["lift"]
    assert trend.contrast.value == 2 and trend.contrast.low < 1 < 3 < trend.contrast.high
    assert trend.top.value == 3 and trend.bottom.value == 1


def test_what_cannot_be_told_is_nan() -> None:
    assert np.isnan(estimate(np.full(N_RESAMPLES + 1, np.nan), 3).value)
    some = np.concatenate(([1.0], np.where(np.arange(N_RESAMPLES) < 10, np.nan, 2)))
    assert (estimate(some, 3).low, estimate(some, 3).high) == (1, 2)
