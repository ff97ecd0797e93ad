"""Errors and multipliers, against numbers worked out by hand."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ffmem.models.structure.numbers import TOLERANCE, error, fit


@pytest.mark.parametrize(
    ("found", "expected", "missed"),
    [
        ([1.0, 2.0], [1.0, 4.0], 0.5),
        ([-8.0, 1.0], [-8.0, 1.0], 0.0),
        ([0.0, 0.0], [0.0, 0.0], 0.0),
        ([1.0, 0.0], [0.0, 0.0], float("inf")),
        ([float("nan"), 0.0], [1.0, 0.0], float("inf")),
        ([1.0], [1.0, 1.0], float("inf")),
    ],
)
def test_an_error_is_a_share_of_the_largest_number(found: list[float], expected: list[float], missed: float) -> None:
    assert error(torch.tensor(found), torch.tensor(expected)) == missed


@settings(max_examples=30)
@given(st.floats(-3, 3).filter(lambda one: abs(one) > 0.01), st.floats(0.01, 3))
def test_multipliers_are_found_again(first: float, second: float) -> None:
    one, other = torch.tensor([[1.0, 2.0, -1.0], [0.5, 0.0, 3.0]]), torch.tensor([[2.0, -1.0, 0.0], [1.0, 4.0, 1.0]])
    scales, missed = fit(first * one + second * other, [one, other])
    assert scales == pytest.approx((first, second), abs=1e-4)
    assert missed <= TOLERANCE


def test_a_multiplier_of_few_digits_is_given_as_that_number() -> None:
    part = torch.tensor([3.0, -7.0, 1.1])
    assert fit(part * 0.3, [part])[0] == (0.3,)
    assert fit(part, [part])[0] == (1.0,)


def test_a_small_part_is_not_lost_beside_a_large_one() -> None:
    """Missing all of y is 100 % of it, though it is a millionth of the sum."""
    large, y = torch.tensor([1000.0, 0.0, 0.0]), torch.tensor([0.0, 0.001, 0.0])
    summed = large + torch.tensor([0.0, 0.0, 0.001])
    assert fit(summed, [large, y])[1] < TOLERANCE
    missed = fit(summed, [large, y], measure=y)[1]
    assert missed == pytest.approx((0.001 - 3e-7 * 1000) / 0.001, rel=1e-3)
