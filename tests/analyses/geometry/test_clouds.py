import numpy as np
import pytest

from ffmem.analyses.geometry.clouds import Scales, half_k, measure_cloud, overlaps, plateau, without_largest
from ffmem.analyses.geometry.dimension import gride, two_nn
from ffmem.analyses.geometry.halves import halves_of
from ffmem.analyses.geometry.neighbours import MOST, label_share, neighbours_of, overlap


def test_scales_have_neighbours_in_halves_too() -> None:
    assert Scales.of(2000) == Scales((1, 2, 4, 8, 16, 32), (1, 2, 4, 8, 16), 30)
    assert Scales.of(60).orders == (1,) and Scales.of(60).divisors == (1,)
    for n in (50, 120, 500, 20_000):
        scales = Scales.of(n)
        assert 2 * scales.orders[-1] <= max(n // 8, 2) and 4 * scales.orders[-1] <= MOST and scales.k <= n // 2


def test_halves_are_measured_as_if_there_were_nothing_else() -> None:
    rng = np.random.default_rng(0)
    points, label, document = rng.normal(size=(200, 4)), rng.integers(0, 3, 200), np.arange(200) // 2
    scales, halves = Scales.of(200), halves_of(document, 100)[:3]
    found = measure_cloud(points, scales, halves, label, document)
    for number, half in enumerate(halves):
        alone = neighbours_of(points[half])
        within = alone.among(alone.distinct)
        for place, order in enumerate(scales.orders):
            expected = gride(within.log_ratio(order, 2 * order), order)
            assert found.gride_halves[number, place] == pytest.approx(expected, rel=1e-5)
        share = label_share(within, label[half], document[half], half_k(scales.k))
        assert found.label_halves[number] == pytest.approx(np.nanmean(share))
    assert found.decimated[0] == pytest.approx(found.two_nn) and len(found.decimated) == len(scales.divisors)
    every = neighbours_of(points)
    assert found.two_nn == pytest.approx(two_nn(every.among(every.distinct).log_ratio(1, 2)))


def test_overlaps_of_halves_are_those_of_their_points_alone() -> None:
    rng = np.random.default_rng(1)
    one = rng.normal(size=(150, 4))
    other = one + 0.4 * rng.normal(size=one.shape)
    scales, halves = Scales.of(150), halves_of(np.arange(150), 150)[:2]
    left, right = (measure_cloud(points, scales, halves).neighbours for points in (one, other))
    value, of_halves = overlaps(left, right, scales.k, halves)
    every = [neighbours_of(points).among(np.ones(150, dtype=bool)) for points in (one, other)]
    assert value == pytest.approx(overlap(*every, scales.k))
    for number, half in enumerate(halves):
        alone = [neighbours_of(points[half]).among(np.ones(75, dtype=bool)) for points in (one, other)]
        assert of_halves[number] == pytest.approx(overlap(*alone, half_k(scales.k)))


def test_labels_that_decide_where_points_lie_are_found_and_others_are_chance() -> None:
    rng = np.random.default_rng(2)
    label = rng.integers(0, 4, 240)
    points = rng.normal(size=(240, 6)) + 6 * np.eye(6)[label]
    scales, halves = Scales.of(240), halves_of(np.arange(240), 240)[:2]
    assert measure_cloud(points, scales, halves, label, np.arange(240)).label > 0.95
    assert measure_cloud(points, scales, halves, rng.permutation(label), np.arange(240)).label == pytest.approx(
        0.25, abs=0.05
    )
    assert np.isnan(measure_cloud(points, scales, halves).label)


def test_duplicates_do_not_make_dimensions_small() -> None:
    points = np.random.default_rng(3).normal(size=(200, 5))
    twice = np.concatenate([points, points[:80]])
    scales, halves = Scales.of(200), halves_of(np.arange(280), 280)[:1]
    found = measure_cloud(twice, scales, halves)
    alone = measure_cloud(points, scales, halves[:, :200])
    assert found.neighbours.n_duplicates == 80 and found.gride == pytest.approx(alone.gride, rel=1e-4)


def test_massive_dimensions_are_those_that_go() -> None:
    points = np.random.default_rng(4).normal(size=(50, 6))
    points[:, [1, 4, 5]] += [300, -200, 100]
    assert (without_largest(points) == points[:, [0, 2, 3]]).all()


def test_the_plateau_is_where_a_profile_changes_least() -> None:
    profile = np.array([[20.0, 12.0, 11.9, 8.0], [30.0, 22.0, 21.0, 15.0]])
    place, change = plateau(profile)
    assert place == 1 and change == pytest.approx(np.median(np.abs(np.log([11.9 / 12, 21 / 22]))))
    assert plateau(profile[:, :1])[0] == 0 and plateau(np.full((2, 3), np.nan))[0] == 0
