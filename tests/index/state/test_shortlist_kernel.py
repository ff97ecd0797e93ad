"""The compiled loops of shortlists against plain numpy."""

import numpy as np
import pytest

from ffmem.index.state.shortlist_kernel import BLOCK, exact, exact_key, floor_of, largest, quantise, upper_bounds


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
def test_largest_of_blocks(dtype: type) -> None:
    random = np.random.default_rng(1)
    products = random.integers(-1000, 1000, BLOCK + 5).astype(dtype)
    unit = random.random(BLOCK + 5, dtype=np.float32)
    found = np.zeros(2, np.float32)
    largest(products, unit, found)
    scores = products.astype(np.float32) * unit
    assert found.tolist() == [np.abs(scores[:BLOCK]).max(), np.abs(scores[BLOCK:]).max()]


@pytest.mark.parametrize("sign", [1, -1])
def test_upper_bounds_of_some_tokens(sign: int) -> None:
    random = np.random.default_rng(2)
    products = random.integers(-1000, 1000, 90).astype(np.int32)
    unit, residual, length = random.random((3, 90), dtype=np.float32)
    upper = np.zeros(BLOCK, np.float32)
    ends, factors = (np.uint64(64), np.uint64(90)), (np.float32(sign), np.float32(2), np.float32(3))
    hits = upper_bounds(products, unit, residual, length, *ends, *factors, np.float32(100), upper)
    expected = (sign * products * unit + 2 * residual + 3 * length)[64:]
    np.testing.assert_allclose(upper[:26], expected, rtol=1e-5)
    assert hits == (upper[:26] >= 100).sum() > 0
    assert (upper[26:] == 0).all()


@pytest.mark.parametrize("d_model", [1, 31, 32, 33, 64, 96, 131])
def test_exact_products_are_summed_lane_by_lane(d_model: int) -> None:
    random = np.random.default_rng(d_model)
    row, vector = random.standard_normal((2, d_model)).astype(np.float32)
    lanes = [0.0] * 32
    for at in range(d_model):
        lanes[at % 32] += float(row[at]) * float(vector[at])
    expected = 0.0
    for lane in lanes:
        expected += lane
    rows, vectors = np.stack([np.zeros_like(row), row]), np.stack([vector, np.zeros_like(vector)])
    assert exact(rows, 1, vectors, 0, np.empty(32)) == expected


def test_keys_order_by_score_and_then_by_smaller_id_and_a_floor_lies_just_below_its_score() -> None:
    rows, vectors = np.ones((1, 1), np.float32), np.array([[2.5], [-0.0], [0.0], [-3], [2.5]], np.float32)
    for sign, order in ((1, [0, 4, 1, 2, 3]), (-1, [3, 1, 2, 0, 4])):
        keys = [exact_key(np.float32(sign), rows, 0, vectors, token, np.empty(32)) for token in range(5)]
        assert sorted(range(5), key=lambda token: -keys[token]) == order
        for token, key in enumerate(keys):
            score = sign * float(vectors[token, 0])
            floor = floor_of(key, np.float32(sign), 0.5, 0.0, 2.0)
            assert score - 1e-5 < 2 * floor + sign * 0.5 <= score
