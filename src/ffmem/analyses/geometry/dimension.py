"""The intrinsic dimension of a cloud of points from ratios of distances: TwoNN (Facco et al. 2017), GRIDE (Denti et al. 2022).

Both hold where density hardly changes among the neighbours that are looked at. Where there are too few points for that, as
always in many dimensions, they tell too few: of 3,000 points of a cube of 10 dimensions 8.8, of 20 dimensions 15. No number
here is meant as more than the shape of a profile.
"""

import numpy as np
from jaxtyping import Float

DROPPED = 0.1
"""Share of the largest ratios that the fit of TwoNN leaves out: they come from where density changes most."""
_STEPS = 100
"""Of Newton's method, held between bounds; it needs about ten."""


def two_nn(log_ratio: Float[np.ndarray, " n"], dropped: float = DROPPED) -> float:
    """The slope, through 0, of -ln(1 - i / N) over the i-th smallest ln(r_2 / r_1).

    Args:
        log_ratio: ln(r_2 / r_1) of each point, r_i its distance to the i-th neighbour.
        dropped: share of the largest that are left out, above 0: of the very last the left side is infinite.

    Returns:
        NaN where there is nothing to fit.

    Source: Facco et al. 2017, equation 5.
    """
    n = len(log_ratio)
    kept = min(int(n * (1 - dropped)), n - 1)
    x = np.sort(log_ratio)[: max(kept, 0)]
    y = -np.log1p(-np.arange(1, len(x) + 1) / max(n, 1))
    squares = float(x @ x)
    return float(x @ y) / squares if squares > 0 else float("nan")


def two_nn_ml(log_ratio: Float[np.ndarray, " n"]) -> float:
    """The unbiased estimate of most likelihood, (N - 1) / sum of ln(r_2 / r_1); NaN where that is nothing."""
    total = float(log_ratio.sum())
    return (len(log_ratio) - 1) / total if total > 0 else float("nan")


def gride(log_ratio: Float[np.ndarray, " n"], order: int) -> float:
    """The d that makes mu = r_2n / r_n most likely, whose density is d (mu^d - 1)^(n - 1) / (mu^((2n - 1) d + 1) B(n, n)).

    Args:
        log_ratio: ln(r_2n / r_n) of each point.
        order: n; with 1 this is N / sum of ln mu.

    Returns:
        NaN where ratios tell of no d.

    Cost: about ten passes over the ratios. The derivative of the likelihood by d only falls, so it has one root.

    Source: Denti, Doimo, Laio & Mira 2022, section 2.
    """
    ratios = log_ratio[log_ratio > 0]
    total = float(ratios.sum())
    if not total > 0:
        return float("nan")
    n, low, high = len(ratios), 0.0, float("inf")
    d = n / total  # the root for n = 1; for others it lies above, where ratios are nearer to 1
    for _ in range(_STEPS):
        falling = np.exp(-d * ratios)
        rest = -np.expm1(-d * ratios)  # 1 - mu^-d
        slope = n / d + (order - 1) * float((ratios / rest).sum()) - (2 * order - 1) * total
        bend = -n / d**2 - (order - 1) * float((ratios**2 * falling / rest**2).sum())
        low, high = (d, high) if slope > 0 else (low, d)
        step = d - slope / bend
        step = step if low < step < high else (2 * d if high == float("inf") else (low + high) / 2)
        if abs(step - d) <= 1e-10 * d:
            return step
        d = step
    return d
