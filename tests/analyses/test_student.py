"""Student's t, against its printed tables and plain integration."""

import math

import numpy as np
import pytest

from ffmem.analyses.student import LEAST_P, student_quantile, student_tail


@pytest.mark.parametrize(
    ("share", "degrees", "printed"),
    [
        (0.975, 1, 12.706),
        (0.975, 2, 4.303),
        (0.975, 9, 2.262),
        (0.95, 10, 1.812),
        (0.9995, 5, 6.869),
        (0.995, 40, 2.704),
    ],
)
def test_printed_tables(share: float, degrees: int, printed: float) -> None:
    assert student_quantile(share, degrees) == pytest.approx(printed, abs=6e-4)
    assert student_tail(student_quantile(share, degrees), degrees) == pytest.approx(1 - share, rel=1e-6)


@pytest.mark.parametrize("degrees", [1, 2, 3, 7, 46, 999])
@pytest.mark.parametrize("t", [-1.5, 0.0, 0.3, 2.0, 5.0])
def test_tails_are_integrals_of_the_density(t: float, degrees: int) -> None:
    log_scale = math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2) - 0.5 * math.log(degrees * math.pi)
    # from t to the end, by x = t + u / (1 - u)
    u = (np.arange(400_000) + 0.5) / 400_000
    x = t + u / (1 - u)
    density = np.exp(log_scale - (degrees + 1) / 2 * np.log1p(x * x / degrees)) / (1 - u) ** 2
    assert student_tail(t, degrees) == pytest.approx(density.mean(), rel=2e-4, abs=1e-10)


def test_the_ends() -> None:
    assert student_tail(math.inf, 5) == LEAST_P == student_tail(1e6, 50) and student_tail(-math.inf, 5) == 1 - LEAST_P
    assert math.isinf(student_quantile(0.975, 0))
    assert student_quantile(0.975, 1000) == pytest.approx(1.9623, abs=1e-4)
