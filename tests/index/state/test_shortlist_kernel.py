"""The compiled loops of shortlists against plain numpy."""

import numpy as np
import pytest

from ffmem.index.state.shortlist_kernel import BLOCK, block_extremes, exact, quantise


def test_rounded_vectors_and_what_is_left() -> None:
    vectors = np.random.default_rng(0).standard_normal((5, 19)).astype(np.float32)
    vectors[2] = 0
    vectors[3] *= 1e-42
    codes = np.full((5, 19), 99, np.int8)
    unit, residual, length = np.empty(5), np.empty(5), np.empty(5)
    quantise(vectors, codes, unit, residual, length)
    near = codes.astype(np.float64) * unit[:, None]
    assert (np.abs(codes).max(1) == [127, 127, 0, 127, 127]).all()
    assert (np.abs(vectors - near) <= unit[:, None] * 0.5000001).all()
    np.testing.assert_allclose(residual, np.linalg.norm(vectors - near, axis=1), rtol=1e-12)
    np.testing.assert_allclose(length, np.linalg.norm(near, axis=1), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_extremes_of_blocks(dtype: type) -> None:
    random = np.random.default_rng(1)
    products = random.integers(-1000, 1000, (3, BLOCK + 5)).astype(dtype)
    unit = random.random(3 * BLOCK + 5, dtype=np.float32)
    found = np.zeros((2, 3, 4), np.int32)
    block_extremes(products, unit, 2 * BLOCK, found)
    scores = products.astype(np.float32) * unit[2 * BLOCK :]
    highest = np.where(found < 0, found ^ 0x7FFFFFFF, found).astype(np.int32).view(np.float32)
    for block, some in ((2, scores[:, :BLOCK]), (3, scores[:, BLOCK:])):
        assert (highest[0, :, block] == some.max(1)).all()
        assert (highest[1, :, block] == (-some).max(1)).all()


@pytest.mark.parametrize("d_model", [1, 31, 32, 33, 96])
def test_exact_products_are_summed_lane_by_lane(d_model: int) -> None:
    random = np.random.default_rng(d_model)
    row, vector = random.standard_normal(d_model), random.standard_normal(d_model).astype(np.float32)
    lanes = [0.0] * 32
    for at in range(d_model):
        lanes[at % 32] += float(row[at]) * float(vector[at])
    expected = 0.0
    for lane in lanes:
        expected += lane
    assert exact(row, vector, np.empty(32)) == expected
