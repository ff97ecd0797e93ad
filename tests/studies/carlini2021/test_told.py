"""Means of few numbers, against Student's t by hand."""

import numpy as np
import pytest

from ffmem.analyses.intervals import Estimate
from ffmem.studies.carlini2021.told import mean_over, told


def test_a_mean_is_as_uncertain_as_its_things_differ() -> None:
    found = mean_over(np.array([0.2, 0.9, np.nan, 0.4]))
    assert found.value == pytest.approx(0.5) and (found.n, found.n_groups) == (3, 3)
    error = np.std([0.2, 0.9, 0.4], ddof=1) / np.sqrt(3)
    assert found.interval() == pytest.approx((0.5 - 4.302653 * error, 0.5 + 4.302653 * error))
    assert mean_over(np.array([0.2, 0.9, 0.4]), (0.0, 1.0)).interval()[0] == 0
    assert np.isnan(mean_over(np.array([0.3])).interval()[0]) and mean_over(np.array([0.3])).p_above() == 1


def test_a_number_without_an_interval_is_told_alone() -> None:
    assert told(Estimate(0.5, 0.25, 0.75, 9)) == "0.500 (0.250 to 0.750)"
    assert told(Estimate(0.5, np.nan, np.nan, 1)) == "0.500"
    assert told(Estimate(np.nan, np.nan, np.nan, 0)) == "-"
