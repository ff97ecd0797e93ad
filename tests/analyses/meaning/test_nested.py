"""How much groups are shrunk, where the answer is known."""

import numpy as np
import pytest

from ffmem.analyses.meaning.nested import LEAST_SHRINKAGE, MOST_SHRINKAGE, shrinkage_of
from ffmem.analyses.meaning.variance import group_effects


def of(groups: list[list[float]]) -> float:
    values = [x for group in groups for x in group]
    return shrinkage_of(
        sum(x * x for x in values), sum(sum(g) ** 2 / len(g) for g in groups), sum(values), len(values), len(groups),
        sum(len(g) ** 2 for g in groups),
    )  # fmt: skip


def test_by_hand() -> None:
    # within: 4 x 1 / 2 = 2; between: 2 x (2^2 + 2^2) / 1 = 16; variance of the means: (16 - 2) / 2 = 7
    assert of([[1, 3], [-3, -1]]) == pytest.approx(2 / 7)
    assert group_effects(np.array([[1.0], [3], [-3], [-1]]), np.array([0, 0, 1, 1]), 3)[:, 0] == pytest.approx(
        [4 / (2 + 2 / 7), -4 / (2 + 2 / 7), 0]
    )


def test_ends_of_the_scale() -> None:
    assert of([[1, -1], [1, -1]]) == MOST_SHRINKAGE  # groups differ less than chance would have it
    assert of([[5, 5], [-5, -5]]) == LEAST_SHRINKAGE  # nothing but groups
    assert of([[1, 2, 3]]) == MOST_SHRINKAGE and of([[1], [2]]) == MOST_SHRINKAGE
    assert of([[0, 0], [0, 0]]) == MOST_SHRINKAGE  # 0 / 0
