"""Layouts of planted groups: the same for a seed, near cells stay near, and what is told of that is counted again."""

import numpy as np
import pytest

from ffmem import InputError
from ffmem.queries.atlas.layout import lay_out, plan_atlas
from ffmem.queries.atlas.neighbours import SharedTriggers, Vectors
from ffmem.store.atlas import Atlas

pytest.importorskip("umap", reason="layouts need the extra atlas")

N, GROUPS, K = 240, 6, 5
GROUP = np.arange(N) % GROUPS


def planted() -> Vectors:
    rng = np.random.default_rng(8)
    rows = rng.normal(size=(GROUPS, 20))[GROUP] + 0.25 * rng.normal(size=(N, 20))
    norm = np.linalg.norm(rows, axis=1)
    return Vectors((rows / norm[:, None]).astype(np.float32), norm, False)


@pytest.fixture(scope="module")
def whole() -> Atlas:
    return lay_out(planted(), "values", seed=7, neighbours=K)


def nearest(positions: np.ndarray) -> list[set[int]]:
    away = np.linalg.norm(positions[:, None] - positions[None], axis=2)
    np.fill_diagonal(away, np.inf)
    return [set(row) for row in np.argsort(away, axis=1)[:, :K].tolist()]


def test_the_same_seed_gives_the_same_picture(whole: Atlas) -> None:
    again = lay_out(planted(), "values", seed=7, neighbours=K)
    np.testing.assert_array_equal(whole.positions, again.positions)
    other = lay_out(planted(), "values", seed=8, neighbours=K)
    assert not np.array_equal(whole.positions, other.positions)


def test_groups_lie_together_and_the_share_that_is_told_is_true(whole: Atlas) -> None:
    unit = planted().unit.astype(np.float64)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -9)
    true = [set(row) for row in np.argsort(-cosines, axis=1)[:, :K].tolist()]
    near = nearest(whole.positions.astype(np.float64))
    kept = [len(one & two) / K for one, two in zip(true, near, strict=True)]
    assert whole.facts.kept == pytest.approx(np.mean(kept), abs=0.01)
    assert whole.facts.n_measured == N and whole.facts.kept > 5 * whole.facts.kept_by_chance
    assert whole.facts.kept_by_chance == pytest.approx(K / (N - 1), abs=0.02)
    assert np.mean([GROUP[other] == GROUP[cell] for cell, some in enumerate(near) for other in some]) > 0.95
    assert whole.facts.far is not None and -1 <= whole.facts.far <= 1
    assert (whole.positions >= 0).all() and (whole.positions <= 1).all()
    np.testing.assert_allclose(whole.norm, planted().norm, rtol=1e-6)


def test_cells_that_were_not_laid_out_lie_between_those_they_are_like() -> None:
    made = lay_out(planted(), "values", seed=7, neighbours=K, fitted=120)
    assert (made.facts.n_fitted, made.facts.n_cells) == (120, N)
    near = nearest(made.positions.astype(np.float64))
    assert np.mean([GROUP[other] == GROUP[cell] for cell, some in enumerate(near) for other in some]) > 0.9
    assert made.facts.kept > 3 * made.facts.kept_by_chance


def test_cells_that_share_nothing_lie_apart() -> None:
    # 40 cells share sentences within two groups; the last 10 have one each of their own, or none
    lists = [[10 * (cell % 2) + (cell * 3 + i) % 7 for i in range(3)] for cell in range(40)]
    lists += [[30 + cell] if cell % 2 else [] for cell in range(10)]
    starts = np.concatenate([[0], np.cumsum([len(one) for one in lists])])
    sentences = np.concatenate([np.array(one, dtype=np.int64) for one in lists])
    made = lay_out(
        SharedTriggers(starts, sentences, np.ones(len(sentences), dtype=np.float32), 50), "triggers", neighbours=4
    )
    assert made.facts.n_apart == 10 and made.facts.far is None and made.facts.n_measured == 40
    assert made.positions[40:, 1].max() < made.positions[:40, 1].min()
    assert np.isnan(made.kept[40:]).all() and len(np.unique(made.positions[40:], axis=0)) == 10
    assert made.positions[40:, 0].tolist() == sorted(made.positions[40:, 0].tolist())


def test_a_plan_tells_of_samples_and_neighbours_are_bounded() -> None:
    plan = plan_atlas(planted(), "values", fitted=100)
    assert (plan.n_cells, plan.n_fitted) == (N, 100) and plan.seconds > 0 and plan.n_bytes > planted().unit.nbytes
    for wrong in (1, 500):
        with pytest.raises(InputError, match=f"--neighbours is {wrong}"):
            lay_out(planted(), "values", neighbours=wrong)
