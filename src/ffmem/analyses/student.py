"""Student's t distribution: the tail beyond a number, and the number beyond which a tail lies."""

from functools import lru_cache
from math import atan, cos, inf, pi, sin, sqrt

LEAST_P = 1e-12
"""No tail is told to be smaller: rounding ends there."""


def student_tail(t: float, degrees: int) -> float:
    """The chance of more than ``t``, by the finite sums of Abramowitz & Stegun 26.7.3 and 26.7.4.

    Args:
        t: any number.
        degrees: of freedom, 1 or more.
    """
    if t < 0:
        return 1 - student_tail(-t, degrees)
    angle = pi / 2 if t == inf else atan(t / sqrt(degrees))
    square, odd = cos(angle) ** 2, degrees % 2
    term = total = cos(angle) if odd else 1.0
    for number in range(2 if odd else 1, degrees - 2, 2):
        term *= square * number / (number + 1)
        total += term
    inside = 2 / pi * (angle + (sin(angle) * total if degrees > 1 else 0)) if odd else sin(angle) * total
    return max((1 - inside) / 2, LEAST_P)


@lru_cache(maxsize=4096)
def student_quantile(share: float, degrees: int) -> float:
    """The number below which this share of the distribution lies; infinite where there are no degrees of freedom.

    Args:
        share: from one half to less than 1.
        degrees: of freedom.
    """
    if degrees < 1:
        return inf
    low, high = 0.0, 1.0
    while student_tail(high, degrees) > 1 - share and high < 1e12:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if student_tail(middle, degrees) > 1 - share else (low, middle)
    return (low + high) / 2
