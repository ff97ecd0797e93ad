"""Strata and lots, against logarithms and against the same mixing in plain Python."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffmem.store.keys import tokens_of, upper
from ffmem.store.strata import bounds, n_strata, sample_keys, sentence_digests, strata_of

MASK = 2**64 - 1


def half_octaves(size: float) -> int:
    """Two an octave: that of 1 is 0, of 1.5 is 1, of 2 is 2."""
    exponent = math.floor(math.log2(size))
    return 2 * exponent + (size >= 1.5 * 2.0**exponent)


def stratum_of(value: float, column: list[float], n_signs: int) -> int:
    """By logarithms, from all coefficients of a cell."""
    for number, sign in enumerate((1, -1)[:n_signs]):
        if value * sign > 0:
            top = max(one * sign for one in column)
            return 9 * number + min(half_octaves(top) - half_octaves(value * sign), 8)
    return 9 * n_signs


def mixed(number: int) -> int:
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & MASK
    return number ^ (number >> 31)


def lot(tokens: list[int], position: int, seed: int) -> int:
    """31 bits that a sentence's tokens, a position and the seed decide."""
    step = 0x9E3779B97F4A7C15
    total = sum(mixed((token + (place << 32) + step) & MASK) for place, token in enumerate(tokens))
    digest = mixed((total + mixed(seed)) & MASK)
    return mixed((digest + position * step) & MASK) >> 33


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.floats(-1e6, 1e6, width=32, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-30), min_size=1
    ),
    st.integers(1, 2),
)
def test_strata_are_half_octaves_below_the_largest_of_a_sign(column: list[float], n_signs: int) -> None:
    values = np.array([column], dtype=np.float32)
    largest = np.stack((values.max(1), -values.min(1))[:n_signs])
    assert strata_of(values, largest)[0].tolist() == [stratum_of(one, column, n_signs) for one in column]


def test_strata_by_hand() -> None:
    values = np.array([[3.0, 2.9, 2.0, 1.9, 0.26, 0.2, 0.19, 1e-45, 0.0, -0.0, -5.0]], dtype=np.float32)
    assert strata_of(values, values.max(1)[None])[0].tolist() == [0, 1, 1, 2, 7, 8, 8, 8, 9, 9, 9]
    both = np.stack((values.max(1), -values.min(1)))
    assert strata_of(values, both)[0].tolist() == [0, 1, 1, 2, 7, 8, 8, 8, 18, 18, 9]
    assert n_strata(1) == 10 and n_strata(2) == 19


def test_bounds_hold_what_lies_in_a_stratum() -> None:
    assert [bounds(2.25, number) for number in (0, 1, 7, 8)] == [(2.0, 2.25), (1.5, 2.0), (0.1875, 0.25), (0.0, 0.1875)]
    assert bounds(1e-45, 0)[0] == 0 and bounds(1e-45, 8) == (0.0, 0.0)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(0, 2**32 - 1), max_size=6), min_size=1, max_size=6), st.integers(0, 2**64 - 1))
def test_a_lot_is_what_sentence_position_and_seed_decide_wherever_they_stand(
    sentences: list[list[int]], seed: int
) -> None:
    flat = np.array([token for one in sentences for token in one], dtype=np.uint32)
    ends = np.cumsum([len(one) for one in sentences])
    digests = sentence_digests(flat, ends, seed)
    of = np.repeat(np.arange(len(sentences)), [len(one) for one in sentences])
    positions = np.array([place for one in sentences for place in range(len(one))], dtype=np.int64)
    keys = sample_keys(digests[of], positions, np.arange(len(flat)) + 10)
    expected = [lot(one, place, seed) for one in sentences for place in range(len(one))]
    assert upper(keys).tolist() == expected and tokens_of(keys).tolist() == [10 + n for n in range(len(flat))]


def test_lots_depend_on_the_order_of_tokens_and_on_the_seed_and_are_spread_evenly() -> None:
    ids = np.arange(20_000) * 7
    ends = np.arange(10, 20_001, 10)
    draws = []
    for tokens, seed in ((ids, 0), (ids, 1), (ids.reshape(-1, 10)[:, ::-1].reshape(-1), 0)):
        digests = sentence_digests(tokens, ends, seed)
        draws.append(upper(sample_keys(np.repeat(digests, 10), np.arange(20_000) % 10, np.arange(20_000))))
    for number, one in enumerate(draws):
        shares = np.histogram(one, bins=10, range=(0, 2**31))[0] / len(one)
        assert shares == pytest.approx(np.full(10, 0.1), abs=0.015)
        assert len(np.unique(one)) > 19_900  # no two sentences are equal
        for other in draws[:number]:
            assert abs(np.corrcoef(one, other)[0, 1]) < 0.03
