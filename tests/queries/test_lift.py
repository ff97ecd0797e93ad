"""What search ranks by, in hand-made numbers."""

import numpy as np
import pytest
from scipy.stats import chi2_contingency, power_divergence

from ffmem.queries.lift import PRIOR, SURE, is_more_often, lift


def test_one_of_one_does_not_beat_thirty_of_fifty() -> None:
    one, thirty, none = lift(np.array([1, 30, 0]), np.array([1, 50, 50]), 0.01)
    assert one == pytest.approx(10) and thirty == pytest.approx((30.1 / 60) / 0.01) and none < 1 < one < thirty
    assert PRIOR == 10 and lift(np.array([3]), np.array([3]), 0.0).tolist() == [0]
    assert lift(np.array([20]), np.array([40]), 0.5).tolist() == [1]  # as often as anywhere


def test_more_often_is_told_by_a_log_likelihood_ratio() -> None:
    """Against the G statistic of another library."""
    assert chi2_contingency is not None and SURE == 10.83
    for n_all, base in ((50, 0.02), (7, 0.3), (50, 0.6)):
        for n in range(n_all + 1):
            expected = [n_all * base, n_all * (1 - base)]
            statistic = power_divergence([n, n_all - n], expected, lambda_="log-likelihood").statistic
            found = bool(is_more_often(np.array([n]), np.array([n_all]), base)[0])
            assert found == (n / n_all > base and statistic > SURE), (n, n_all, base)
    assert not is_more_often(np.array([0, 3]), np.array([0, 3]), 0.0).any()
