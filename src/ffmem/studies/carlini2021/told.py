"""What the chapters share: means of few things, and how a number is written."""

import numpy as np
from jaxtyping import Float64

from ffmem.analyses.intervals import Estimate, Uncertain


def mean_over(values: Float64[np.ndarray, " things"], bounds: tuple[float, float] = (-np.inf, np.inf)) -> Uncertain:
    """The mean of what things of one kind have, one number each, as uncertain as they differ: by Student's t.

    Args:
        values: NaN: left out.
        bounds: between which the mean must lie.
    """
    there = values[np.isfinite(values)]
    n = len(there)
    error = float(there.std(ddof=1) / np.sqrt(n)) if n > 1 else np.nan
    return Uncertain(float(there.mean()) if n else np.nan, error, n, n, bounds=bounds)


def told(estimate: Estimate) -> str:
    """A plain number with its interval; a dash where there is none."""
    if np.isnan(estimate.value):
        return "-"
    if np.isnan(estimate.low):
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"
