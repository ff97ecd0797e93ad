"""How much more often something is among a cell's triggers than anywhere: what search ranks by."""

import numpy as np

PRIOR = 10.0
"""Triggers at the rate of all that are added to those of a cell, so that 1 of 1 does not beat 30 of 50."""
SURE = 10.83
"""A log-likelihood ratio that one cell in a thousand reaches by chance (chi squared, one degree of freedom)."""


def lift(n_matching: np.ndarray, n_all: np.ndarray, base_rate: float) -> np.ndarray:
    """How many times the rate of all the triggers match, drawn towards 1 by `PRIOR` triggers; 0 if nothing matches anywhere.

    ((n_matching + PRIOR * base_rate) / (n_all + PRIOR)) / base_rate
    """
    if base_rate <= 0:
        return np.zeros(len(n_matching))
    found: np.ndarray = (n_matching + PRIOR * base_rate) / (n_all + PRIOR) / base_rate
    return found


def is_more_often(n_matching: np.ndarray, n_all: np.ndarray, base_rate: float) -> np.ndarray:
    """Whether more of the triggers match than of all positions, by more than chance: a log-likelihood ratio above `SURE`."""
    if not 0 < base_rate < 1:
        return np.zeros(len(n_matching), dtype=bool)
    n = np.maximum(n_all, 1)
    share = n_matching / n
    with np.errstate(divide="ignore", invalid="ignore"):
        hit = np.where(n_matching > 0, n_matching * np.log(share / base_rate), 0.0)
        rest = np.where(n_matching < n, (n - n_matching) * np.log((1 - share) / (1 - base_rate)), 0.0)
    found: np.ndarray = (share > base_rate) & (2 * (hit + rest) > SURE)
    return found
