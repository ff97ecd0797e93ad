"""Use from counts, against the sets of positions that can be drawn, one by one."""

from itertools import combinations

import numpy as np
import pytest

from ffmem.analyses.sparsity.use import RARE, counted_use, in_use_by_part, rarefied_use

N_ACTIVE = np.array([0, 1, 3, 6, 6, 2])


def test_rarefied_use_is_the_mean_over_all_sets_of_positions() -> None:
    rng = np.random.default_rng(0)
    active = np.stack([rng.permutation(np.arange(6) < n) for n in N_ACTIVE], 1)
    for size in range(1, 7):
        used = [active[list(drawn)].any(0).mean() for drawn in combinations(range(6), size)]
        assert rarefied_use(N_ACTIVE, 6, np.array([size]))[0] == pytest.approx(np.mean(used), abs=1e-12)


def test_of_one_position_it_is_the_use_of_a_token_and_of_all_what_is_not_dead() -> None:
    rng = np.random.default_rng(1)
    n_active = rng.integers(0, 200_000, 500) * (rng.random(500) < 0.9)
    one, every = rarefied_use(n_active, 200_000, np.array([1, 200_000]))
    assert one == pytest.approx(n_active.sum() / (200_000 * 500), abs=1e-8)
    assert every == (n_active > 0).mean()
    sizes = rarefied_use(n_active, 200_000, np.array([1, 20, 8192, 10**9]))
    assert (np.diff(sizes) >= 0).all() and sizes[-1] == every


def test_a_part_uses_what_is_active_somewhere_in_it() -> None:
    active = (np.random.default_rng(2).random((9, 4)) < 0.2).astype(np.uint8)
    found = in_use_by_part(active, np.array([0, 2, 3, 7]))
    assert found.tolist() == [active[a:b].any(0).tolist() for a, b in ((0, 2), (2, 3), (3, 7))]


def test_counts_of_a_layer() -> None:
    found = counted_use(
        np.array([0, 1, 5000, 10_000]), np.array([0, 1, 300, 500]), np.array([[10_000, 500]]), 10_000, 1
    )
    assert found.token == found.token_of_all == 15_001 / 40_000 and found.sentence == 801 / 2000
    assert (found.dead, found.rare, found.n_cells) == (1, 1, 4) and RARE > 1 / 10_000
    assert found.window == pytest.approx(found.token, abs=1e-8)
    older = counted_use(np.array([0, 1, 5000, 10_000]), None, np.array([[10_000, 500]]), 10_000, 1)
    assert np.isnan(older.sentence) and older.token == found.token


def test_of_experts_positions_count_that_are_routed_to_them_or_all() -> None:
    """Two experts of two cells; one saw 100 positions of 5 sentences, the other 900 of 45, and none saw all 1,000 of 50."""
    found = counted_use(
        np.array([50, 0, 90, 900]), np.array([4, 0, 9, 45]), np.array([[100, 5], [900, 45]]), 1000, 1000
    )
    assert found.token == 1040 / 2000 and found.token_of_all == 1040 / 4000
    assert found.sentence == 58 / 100 and found.window == 3 / 4 and found.rare == 0
