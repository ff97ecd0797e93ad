import numpy as np
import pytest

from ffmem.analyses.geometry.halves import N_HALVES, around, halves_of, of_halves


def test_a_half_has_half_of_the_documents_and_all_of_each() -> None:
    groups = np.arange(40) // 4
    halves = halves_of(groups, 10, seed=3)
    assert halves.shape == (N_HALVES, 40) and (halves.sum(1) == 20).all()
    by_group = halves.reshape(N_HALVES, 10, 4)
    assert (by_group.all(2) == by_group.any(2)).all()
    assert (halves == halves_of(groups, 10, seed=3)).all() and (halves != halves_of(groups, 10, seed=4)).any()


@pytest.mark.parametrize("n_groups", [60, 61])
def test_of_a_mean_halves_say_what_its_standard_error_is(n_groups: int) -> None:
    """The mean is what has a formula: halves have to come near to it, whether their number is even or not."""
    values = np.random.default_rng(0).normal(size=n_groups)
    draws = np.array([values[half].mean() for half in halves_of(np.arange(n_groups), n_groups)])
    found = of_halves(float(values.mean()), draws, n_groups, n_groups)
    assert found.error == pytest.approx(values.std(ddof=1) / np.sqrt(n_groups), rel=0.2)
    low, high = found.interval()
    assert low < found.value < high


def test_another_scale_of_halves_moves_nothing_and_one_document_says_nothing() -> None:
    draws = np.random.default_rng(1).normal(7, 1, N_HALVES)
    assert around(5.0, draws, 20).mean() == pytest.approx(5)
    assert np.isnan(around(5.0, draws, 1)).all() and np.isnan(of_halves(5.0, draws, 1, 9).error)
