"""First moments and moments for good, against a loop over one cell at a time."""

import numpy as np
import pytest

from ffmem.analyses.through_training.settling import NEVER, settled, share_settled, touched


def by_hand(course: list[bool]) -> tuple[int, int]:
    first = course.index(True) if True in course else NEVER
    for_good = NEVER
    for moment in range(len(course) - 1, -1, -1):
        if not course[moment]:
            break
        for_good = moment
    return first, for_good


@pytest.mark.parametrize("seed", range(3))
def test_as_a_loop_has_it(seed: int) -> None:
    holds = np.random.default_rng(seed).random((6, 200)) < 0.5
    expected = [by_hand(course) for course in holds.T.tolist()]
    assert list(zip(touched(holds).tolist(), settled(holds).tolist(), strict=True)) == expected
    assert {first for first, _ in expected} >= {0, 1, 2} and NEVER in {last for _, last in expected}


def test_courses_by_hand() -> None:
    holds = np.array([[1, 0, 0, 1], [0, 1, 0, 0], [1, 1, 0, 1]], dtype=bool)
    assert touched(holds).tolist() == [0, 1, NEVER, 0] and settled(holds).tolist() == [2, 1, NEVER, 2]
    by = share_settled(settled(holds), 3)
    assert by.sum(0).tolist() == [0, 1, 3] and not by[2].any()
