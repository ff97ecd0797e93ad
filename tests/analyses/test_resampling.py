"""The least of several, quantiles, and what is known by leaving groups out: against slow loops and known truths."""

import numpy as np
import pytest

from ffmem.analyses.intervals import Sums, each_ratio
from ffmem.analyses.resampling import chosen, chosen_of_draws, jackknifed, of_draws, quantile_draws
from tests.analyses.simulated import CASES, coverage


def layers(rng: np.random.Generator, p: np.ndarray) -> Sums:
    groups = np.repeat(np.arange(60), 10)
    return Sums.of((rng.random((600, len(p))) < p).astype(float), groups, 60)


def test_the_least_of_equals_is_not_less_than_they_are() -> None:
    """Of twenty layers with 0.3 each the least has some 0.26 by luck; half of that and more is taken back; 0.3 is covered."""
    rng = np.random.default_rng(0)
    plain, corrected = [], []
    for _ in range(40):
        sums = layers(rng, np.full(20, 0.3))
        column, found = chosen(sums, "least")
        plain.append(sums.ratios.min())
        assert column == sums.ratios.argmin()
        corrected.append(found.value)
    assert np.mean(plain) < 0.27 and 0.28 < np.mean(corrected) < 0.305
    held, _, _ = coverage(CASES["the least of eight shares of 0.3"], 60)
    assert held >= 0.87


def test_where_one_stands_out_nothing_is_corrected() -> None:
    sums = layers(np.random.default_rng(1), np.array([0.7, 0.1, 0.8, 0.9]))
    for which, column in (("least", 1), ("most", 3)):
        place, found = chosen(sums, which)  # type: ignore[arg-type]
        alone = each_ratio(sums)[column]
        assert place == column and found.value == pytest.approx(alone.value, abs=2e-3)
        assert found.interval() == pytest.approx(alone.interval(), abs=5e-3)


def test_a_quantile_of_a_draw_is_that_of_the_things_it_takes() -> None:
    rng = np.random.default_rng(2)
    values, groups = rng.integers(0, 50, (200, 2)) * 1.0, rng.integers(0, 20, 200)
    values[::7, 1] = np.nan
    found = quantile_draws(values, groups, 20, 0.5)
    picks = np.random.default_rng(0).integers(0, 20, (2000, 20))  # the draws of seed 0
    for number in (0, 1, 1999):
        taken = np.concatenate([np.flatnonzero(groups == one) for one in picks[number]])
        for column in (0, 1):
            some = np.sort(values[taken, column][~np.isnan(values[taken, column])])
            assert found[number, column] == some[(len(some) + 1) // 2 - 1]  # the lower one of two in the middle


def test_a_percentile_interval_is_no_narrower_than_students() -> None:
    draws = np.random.default_rng(3).normal(5, 2, 2000)
    found = of_draws(5.0, draws, 12, 100)
    low, high = found.interval()
    assert high - low >= 2 * 2.201 * 2 * 0.95 and low < np.quantile(draws, 0.025) and high > np.quantile(draws, 0.975)
    assert found.p_above(5 - 2 * 2.201) == pytest.approx(0.025, abs=0.01)
    skewed = of_draws(1.0, np.random.default_rng(4).exponential(1, 2000), 50, 100)
    assert skewed.interval()[1] - 1 > 1 - skewed.interval()[0]  # it leans the way the draws do
    assert of_draws(3.0, np.full(2000, 3.0), 9, 9).p_above() == pytest.approx(1 / 2001)  # never 0
    assert np.isnan(of_draws(3.0, np.full(5, np.nan), 9, 9).error)


def test_the_least_of_medians() -> None:
    draws = np.random.default_rng(5).normal(0, 1, (2000, 10))
    values = np.linspace(0, 0.5, 10)  # they differ by less than they vary
    place, found = chosen_of_draws(values, values + draws, "least", 40, 400)
    assert place == 0 and found.value > 1  # it was less by luck
    place, found = chosen_of_draws(values, values + draws, "most", 40, 400)
    assert place == 9 and found.value < -0.5
    _, apart = chosen_of_draws(10 * values, 10 * values + 0.1 * draws, "least", 40, 400)
    assert apart.value == pytest.approx(0, abs=0.01)


def test_the_jackknife_of_a_mean_is_its_usual_interval() -> None:
    values = np.random.default_rng(3).normal(size=10)
    without = [float(np.delete(values, n).mean()) for n in range(10)]
    half = 2.262 * values.std(ddof=1) / np.sqrt(10)
    expected = (values.mean() - half, values.mean() + half)
    assert jackknifed(float(values.mean()), without, 10).interval() == pytest.approx(expected, abs=1e-3)
    assert np.isnan(jackknifed(1.0, [float("nan")], 3).interval()).all()
