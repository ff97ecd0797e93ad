"""Rank-biased overlap against its definition, and against a sum that runs to infinity."""

import random

import numpy as np
import pytest

from ffmem.queries.overlap import rank_biased_overlap, rank_weights, without_repeats


def obvious(left: list[int], right: list[int], p: float) -> float:
    """Webber et al. 2010, equation 32, as it is printed."""
    short, long = sorted((left, right), key=len)
    s, n = len(short), len(long)

    def shared(d: int) -> int:
        return len(set(short[:d]) & set(long[:d]))

    first = sum(shared(d) / d * p**d for d in range(1, n + 1))
    second = sum(shared(s) * (d - s) / (s * d) * p**d for d in range(s + 1, n + 1))
    return (1 - p) / p * (first + second) + ((shared(n) - shared(s)) / n + shared(s) / s) * p**n


def padded(lists: list[list[int]], k: int) -> np.ndarray:
    return np.array([one + [-1] * (k - len(one)) for one in lists])


def test_equals_the_formula_for_lists_of_any_length() -> None:
    rng = random.Random(0)
    pairs = [(rng.sample(range(12), rng.randint(1, 7)), rng.sample(range(12), rng.randint(1, 9))) for _ in range(200)]
    for p in (0.5, 0.9):
        found = rank_biased_overlap(padded([a for a, _ in pairs], 7), padded([b for _, b in pairs], 9), p)
        assert found == pytest.approx([obvious(a, b, p) for a, b in pairs])


def test_lists_that_agree_as_far_as_they_go_are_extrapolated_to_1() -> None:
    found = rank_biased_overlap(
        padded([[3, 1], [3, 1], [1, 3], [], [], [5]], 2), padded([[3, 1], [8, 9], [3, 1], [2], [], [6]], 2)
    )
    assert found[0] == pytest.approx(1) and found[1] == found[3] == found[5] == 0 and 0 < found[2] < 1
    assert np.isnan(found[4])


def test_the_weights_of_ranks_add_up_to_the_overlap() -> None:
    rng = random.Random(1)
    weights = rank_weights(8)
    assert weights.sum() == pytest.approx(1) and (np.diff(weights) < 0).all()
    for _ in range(50):
        left, right = rng.sample(range(15), 8), rng.sample(range(15), 8)
        total = sum(weights[max(left.index(one), right.index(one))] for one in set(left) & set(right))
        assert total == pytest.approx(obvious(left, right, 0.9))


def test_without_repeats_keeps_the_first_of_each() -> None:
    rng = np.random.default_rng(2)
    items = rng.integers(-1, 6, (50, 9))
    items.sort(axis=1)
    items = items[:, ::-1].copy()  # empty slots last
    items[:, :3] = rng.integers(0, 6, (50, 3))
    for row, found in zip(items.tolist(), without_repeats(items).tolist(), strict=True):
        expected = list(dict.fromkeys(one for one in row if one >= 0))
        assert found == expected + [-1] * (9 - len(expected))
