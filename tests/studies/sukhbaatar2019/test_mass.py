"""Weights of memories by how much context competes."""

import numpy as np
import pytest

from ffmem.analyses.softmax_memories import Use
from ffmem.studies.sukhbaatar2019.mass import bins, less_later, mass_in


def made(context: list[int], mass: list[float]) -> Use:
    n = len(context)
    column = np.array(mass)[:, None]
    document = np.arange(n) % 3
    return Use(np.zeros(n), np.array(context), column, column, column, np.zeros((1, 1)), document)


def test_bins_hold_every_context_once() -> None:
    context = np.array([2, 2, 5, 17, 60])
    found = bins(context)
    assert found == [(2, 2), (4, 5), (13, 18), (41, 60)]
    assert bins(np.arange(1, 46))[-1] == (41, 45)
    assert all(sum(low <= one <= high for low, high in found) == 1 for one in context.tolist())


def test_means_are_of_the_positions_with_so_much_context() -> None:
    use = made([2, 2, 2, 3, 9, 4], [0.9, 0.8, 0.7, 0.2, 0.1, 0.3])
    assert mass_in(use, 0, 2, 2).value == pytest.approx(0.8)
    assert mass_in(use, 0, 4, 9).value == pytest.approx(0.2)
    assert less_later(use).value == pytest.approx(0.8 - 0.2)
