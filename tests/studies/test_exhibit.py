"""Numbers as a reader would write them."""

from math import nan

import pytest

from ffmem.analyses.intervals import Estimate
from ffmem.studies.exhibit import Number, percent


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "50.0"),
        (0.0095, "0.9"),
        (0.0012, "0.12"),
        (0.00012, "0.0120"),
        (1e-7, "below 0.0001"),
        (0, "0.0"),
        (-0.25, "-25.0"),
    ],
)
def test_small_shares_have_more_digits(value: float, text: str) -> None:
    assert percent(value) == text


def test_a_number_is_written_with_its_unit_and_its_interval() -> None:
    assert Number.of("rate", "3.5 %", Estimate(0.5, 0.25, 0.75, 8)).text() == "50.0 % (25.0 to 75.0)"
    assert Number("patterns a cell", "3.6", 6.3698, unit="").text() == "6.37"
    assert Number("rank", "-", 12345.6, 12000.0, 13000.4, unit="tokens").text() == "12,346 tokens (12,000 to 13,000)"
    assert Number.of("rate", "-", Estimate(0.5, nan, nan, 9)).text() == "50.0 %"  # of one document
    assert Number.of("rate", "-", Estimate(nan, nan, nan, 0)).text() == "nothing to estimate it from"
