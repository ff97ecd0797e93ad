"""Neighbours against a loop over all pairs."""

import numpy as np
import pytest

from ffmem.analyses.geometry.neighbours import Within, label_share, neighbours_of, overlap

POINTS = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)


def by_hand(points: np.ndarray, kept: np.ndarray) -> dict[int, list[int]]:
    """The neighbours of each kept point, nearest first, by a loop."""
    some = np.flatnonzero(kept).tolist()
    return {
        i: sorted((j for j in some if j != i), key=lambda j: (float(np.linalg.norm(points[i] - points[j])), j))
        for i in some
    }  # fmt: skip


def whole(points: np.ndarray) -> Within:
    return neighbours_of(points).among(np.ones(len(points), dtype=bool))


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_neighbours_and_ratios_are_those_of_a_loop(share: float) -> None:
    kept = np.random.default_rng(1).random(60) < share
    near, expected = neighbours_of(POINTS), by_hand(POINTS.astype(float), kept)
    within = near.among(kept)
    ratio = within.log_ratio(2, 4)
    for row, i in enumerate(np.flatnonzero(kept).tolist()):
        first = near.index[i][within.first(5)[row]].tolist()
        assert first == expected[i][:5]
        far, close = (np.linalg.norm(POINTS[i] - POINTS[expected[i][r - 1]]) for r in (4, 2))
        assert ratio[row] == pytest.approx(np.log(far / close), abs=1e-5)


def test_only_so_many_neighbours_are_kept_and_they_are_the_nearest() -> None:
    assert (neighbours_of(POINTS, 7).index == neighbours_of(POINTS).index[:, :7]).all()


def test_equal_points_are_found_and_equally_far_ones_come_in_order() -> None:
    points = np.concatenate([POINTS, POINTS[:3], POINTS[:1] * (1 + 1e-9)])
    near = neighbours_of(points)
    assert np.flatnonzero(~near.distinct).tolist() == [60, 61, 62, 63] and near.n_duplicates == 4
    line = neighbours_of(np.array([[0.0], [1.0], [-1.0], [5.0]]))
    assert line.index[0].tolist() == [1, 2, 3]


def test_overlap_is_1_with_itself_and_by_chance_k_of_all_others() -> None:
    rng = np.random.default_rng(2)
    one, other = (neighbours_of(rng.normal(size=(600, 8))) for _ in range(2))
    every = np.ones(600, dtype=bool)
    assert overlap(one.among(every), one.among(every), 30) == 1
    assert overlap(one.among(every), other.among(every), 30) == pytest.approx(30 / 599, rel=0.1)


def test_overlap_is_that_of_a_loop_in_a_part_too() -> None:
    moved = POINTS + 0.5 * np.random.default_rng(3).normal(size=POINTS.shape)
    kept = np.random.default_rng(4).random(60) < 0.6
    left, right = by_hand(POINTS.astype(float), kept), by_hand(moved, kept)
    expected = np.mean([len(set(left[i][:4]) & set(right[i][:4])) / 4 for i in left])
    found = overlap(neighbours_of(POINTS).among(kept), neighbours_of(moved).among(kept), 4)
    assert found == pytest.approx(expected)


def test_labels_are_counted_among_other_documents_alone() -> None:
    rng = np.random.default_rng(5)
    label, document = rng.integers(0, 3, 60), np.arange(60) // 4
    found = label_share(whole(POINTS), label, document, 6)
    for i, order in by_hand(POINTS.astype(float), np.ones(60, dtype=bool)).items():
        others = [j for j in order if document[j] != document[i]][:6]
        assert found[i] == pytest.approx(np.mean(label[others] == label[i]))
    assert np.isnan(label_share(whole(POINTS), label, np.zeros(60, dtype=int), 6)).all()
