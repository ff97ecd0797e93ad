"""Estimators against known manifolds, against brute force, and against numbers of other programs."""

import numpy as np
import pytest

from ffmem.analyses.geometry.dimension import gride, two_nn, two_nn_ml
from ffmem.analyses.geometry.neighbours import neighbours_of


def ratios(points: np.ndarray, order: int = 1) -> np.ndarray:
    near = neighbours_of(points)
    return near.among(near.distinct).log_ratio(order, 2 * order)


@pytest.mark.parametrize(
    ("kind", "d", "expected"), [("cube", 2, 2.03), ("cube", 5, 4.66), ("cube", 10, 8.8), ("normal", 5, 4.96)]
)
def test_known_manifolds_come_out_as_so_many_points_let_them(kind: str, d: int, expected: float) -> None:
    rng = np.random.default_rng(d)
    points = rng.random((3000, d)) if kind == "cube" else rng.normal(size=(3000, d))
    assert two_nn(ratios(points)) == pytest.approx(expected, rel=0.06)
    assert two_nn_ml(ratios(points)) == pytest.approx(expected, rel=0.06)


def test_a_bent_surface_in_many_dimensions_has_two() -> None:
    u = np.random.default_rng(0).random((1500, 2))
    roll = np.stack([u[:, 0] * np.cos(6 * u[:, 0]), u[:, 0] * np.sin(6 * u[:, 0]), u[:, 1]], 1)
    for order in (1, 2, 4):
        assert gride(ratios(roll @ np.random.default_rng(1).normal(size=(3, 40)), order), order) == pytest.approx(
            2, rel=0.1
        )


def test_rotation_and_scale_change_nothing() -> None:
    points = np.random.default_rng(2).normal(size=(300, 4))
    turned = 1000 * points @ np.linalg.qr(np.random.default_rng(3).normal(size=(4, 4)))[0] + 7
    assert gride(ratios(points, 2), 2) == pytest.approx(gride(ratios(turned, 2), 2), rel=1e-4)


@pytest.mark.parametrize("order", [1, 3, 16])
def test_gride_is_the_most_likely_of_a_grid(order: int) -> None:
    log_mu = ratios(np.random.default_rng(4).random((400, 5)), order)
    grid = np.linspace(0.5, 30, 5901)
    likely = [
        np.sum(np.log(d) + (order - 1) * np.log(np.expm1(d * log_mu)) - ((2 * order - 1) * d + 1) * log_mu)
        for d in grid
    ]  # fmt: skip
    assert gride(log_mu, order) == pytest.approx(grid[int(np.argmax(likely))], abs=0.006)


def test_gride_of_the_first_two_is_the_likelihood_of_twonn() -> None:
    log_mu = ratios(np.random.default_rng(5).random((200, 3)))
    assert gride(log_mu, 1) == pytest.approx(two_nn_ml(log_mu) * 200 / 199)


def test_the_numbers_of_other_programs() -> None:
    """DADApy 0.3.4 (base, ml, gride) and scikit-dimension 0.5.0 (5.8215 too) on the same points."""
    rng = np.random.default_rng(5)
    points = rng.normal(size=(1500, 6)) @ rng.normal(size=(6, 30))
    assert two_nn(ratios(points)) == pytest.approx(5.8215074, abs=1e-4)
    assert two_nn_ml(ratios(points)) == pytest.approx(5.7648830, abs=1e-4)
    other = (5.76, 5.83, 5.75, 5.92, 5.58, 5.38, 5.05)
    for place, expected in enumerate(other):
        assert gride(ratios(points, 2**place), 2**place) == pytest.approx(expected, abs=0.011)


def test_the_fit_leaves_the_largest_out() -> None:
    x = np.sort(np.random.default_rng(6).exponential(1 / 4, 100))
    y = -np.log(1 - np.arange(1, 91) / 100)
    assert two_nn(x) == pytest.approx(np.linalg.lstsq(x[:90, None], y, rcond=None)[0][0])
    assert two_nn(np.append(x[:99], 50.0)) == pytest.approx(two_nn(x))  # what is dropped may be anything
    assert np.isfinite(two_nn(x, dropped=0.0))  # the very last is infinite, and never there


def test_nothing_to_tell_is_no_number() -> None:
    for empty in (np.empty(0), np.zeros(5)):
        assert np.isnan(two_nn(empty)) and np.isnan(two_nn_ml(empty)) and np.isnan(gride(empty, 2))
