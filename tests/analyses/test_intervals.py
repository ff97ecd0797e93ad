"""Intervals cover what they estimate as often as they say, and never leave the range of what they estimate."""

import math

import numpy as np
import pytest

from ffmem.analyses.intervals import mean, proportion


def test_a_proportion_by_hand() -> None:
    found = proportion(3, 10)  # Wilson (1927), as in the tables of Newcombe (1998)
    assert (found.value, found.n) == (0.3, 10)
    assert (found.low, found.high) == pytest.approx((0.10779, 0.60322), abs=5e-5)
    assert proportion(0, 50).low == 0 < proportion(0, 50).high < 0.08
    assert proportion(50, 50).high == 1 > proportion(50, 50).low > 0.92
    assert math.isnan(proportion(0, 0).value)


@pytest.mark.parametrize("p", [0.02, 0.3, 0.9])
def test_a_proportion_is_covered(p: float) -> None:
    hits = np.random.default_rng(0).binomial(200, p, 3000)
    found = [proportion(int(k), 200) for k in hits]
    assert 0.93 < np.mean([one.low <= p <= one.high for one in found]) < 0.98


def test_a_mean_is_covered() -> None:
    rng = np.random.default_rng(1)
    found = [mean(rng.exponential(2, 120), seed=i) for i in range(200)]
    assert 0.88 < np.mean([one.low <= 2 <= one.high for one in found]) < 0.99
    assert mean(np.array([1.0, 2.0, 6.0])).value == 3 and mean(np.array([1.0, 2.0, 6.0])).n == 3


def test_groups_are_drawn_whole() -> None:
    rng = np.random.default_rng(2)
    covered, narrow = [], []
    for i in range(150):
        groups = np.repeat(np.arange(30), 20)
        values = rng.normal(size=30)[groups] + 0.1 * rng.normal(size=600)
        whole, alone = mean(values, groups, seed=i), mean(values, seed=i)
        assert whole.value == pytest.approx(alone.value) and whole.n == alone.n == 600
        covered.append(whole.low <= 0 <= whole.high)
        narrow.append((alone.high - alone.low) / (whole.high - whole.low))
    assert 0.86 < np.mean(covered) < 0.99 and np.mean(narrow) < 0.4  # twenty values of a group are hardly more than one


def test_the_seed_decides() -> None:
    values = np.random.default_rng(3).normal(size=50)
    assert mean(values, seed=1) == mean(values, seed=1) != mean(values, seed=2)
    assert math.isnan(mean(np.array([])).value)
