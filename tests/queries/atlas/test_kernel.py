"""Compiled loops against sorting all pairs: ties go to the lower number, a cell is never its own neighbour."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ffmem.queries.atlas.kernel import take_nearest, take_sharing


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 6), both=st.booleans())
def test_the_nearest_of_a_block_with_many_ties(seed: int, k: int, both: bool) -> None:
    rng = np.random.default_rng(seed)
    cosines = (rng.integers(-3, 4, (5, 9)) / 4).astype(np.float32)
    own = rng.integers(-1, 9, 5)
    ids, best = np.full((5, k), -1), np.full((5, k), -2, dtype=np.float32)
    take_nearest(cosines, own, both, ids, best)
    for row in range(5):
        like = [(-(abs(one) if both else one), i) for i, one in enumerate(cosines[row].tolist()) if i != own[row]]
        assert list(zip((-best[row]).tolist(), ids[row].tolist(), strict=True)) == sorted(like)[:k]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_what_cells_share_is_min_over_max(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = np.where(rng.random((7, 5)) < 0.4, rng.integers(1, 5, (7, 5)) / 4, 0).astype(np.float32)
    starts = np.concatenate([[0], np.cumsum((table > 0).sum(1))])
    mine = starts, np.nonzero(table)[1], table[table > 0], table.sum(1)
    turned = table.T
    first = np.concatenate([[0], np.cumsum((turned > 0).sum(1))])
    lists = first, np.nonzero(turned)[1], turned[turned > 0], table.sum(1)
    ids, best = np.full((7, 3), -1), np.zeros((7, 3), dtype=np.float32)
    take_sharing(np.arange(7), mine, lists, np.arange(7), ids, best)
    for cell in range(7):
        expected = sorted(
            (
                np.minimum(table[cell], table[other]).sum() / np.maximum(table[cell], table[other]).sum()
                for other in range(7)
                if other != cell and np.minimum(table[cell], table[other]).any()
            ),
            reverse=True,
        )[:3]
        np.testing.assert_allclose(best[cell][best[cell] > 0], expected, rtol=1e-5)
        assert cell not in ids[cell]
