"""Where units fire: the sampled positions with the largest coefficients, each with what it stands for."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ffmem.names.rules.text import Text

FIRING_SHARE = 0.01
"""A unit fires at the positions with the largest coefficients, this share of all, if these are above 0."""


@dataclass(frozen=True)
class Sampled:
    """The samples of a block of units, a row each; coefficients times the unit's sign."""

    token: np.ndarray
    """(units, slots) token indices; anything where the weight is 0."""
    coefficient: np.ndarray
    """(units, slots)"""
    weight: np.ndarray
    """(units, slots) positions that each one stands for; 0: an empty slot, or a position that does not count."""

    @property
    def n_units(self) -> int:
        """Rows."""
        return len(self.token)


@dataclass(frozen=True)
class Firing:
    """Sampled positions at which units fire, all of one half of the documents; unit by unit, by token index."""

    n_units: int
    unit: np.ndarray
    token: np.ndarray
    coefficient: np.ndarray
    weight: np.ndarray
    n_text: float
    """Positions of this half that compete."""

    def __len__(self) -> int:
        return len(self.unit)

    @cached_property
    def bounds(self) -> np.ndarray:
        """(units + 1,) where each unit's positions begin."""
        return np.searchsorted(self.unit, np.arange(self.n_units + 1))

    @cached_property
    def total(self) -> np.ndarray:
        """(units,) positions at which each fires, as estimated."""
        return np.bincount(self.unit, self.weight, minlength=self.n_units)

    @cached_property
    def mass(self) -> np.ndarray:
        """(units,) sum of the coefficients there."""
        return np.bincount(self.unit, self.weight * self.coefficient, minlength=self.n_units)

    def some(self, units: np.ndarray) -> "Firing":
        """The positions of those units that are marked; their numbers stay."""
        kept = units[self.unit]
        return Firing(
            self.n_units, self.unit[kept], self.token[kept], self.coefficient[kept], self.weight[kept], self.n_text
        )

    def evened(self, own: float) -> "Firing":
        """With weights in part their own, and in part the mean of their unit."""
        mean = self.total / np.maximum(np.diff(self.bounds), 1)
        return replace(self, weight=own * self.weight + (1 - own) * mean[self.unit])

    def summed(self, values: np.ndarray) -> np.ndarray:
        """(units,) the sum of a value of each position."""
        return np.bincount(self.unit, values, minlength=self.n_units)


def thresholds(text: Text, sampled: Sampled, half: int) -> np.ndarray:
    """(units,) the smallest coefficient at which each fires, by the weights of the positions in a half; inf if it never does.

    Cost: one sort of each unit's sample.
    """
    weight = np.where(_in_half(text, sampled, half), sampled.weight, 0.0)
    value = np.where((weight > 0) & (sampled.coefficient > 0), sampled.coefficient, -np.inf)
    order = np.argsort(-value, axis=1, kind="stable")
    ordered = np.take_along_axis(value, order, axis=1)
    total = np.cumsum(np.take_along_axis(weight, order, axis=1), axis=1)
    n_text = float(_n_text(text, half))
    inside = (total <= FIRING_SHARE * n_text) & np.isfinite(ordered)
    last = np.maximum(inside.sum(1), 1) - 1  # a single position may stand for more than the share
    found = ordered[np.arange(len(ordered)), last]
    return np.where(np.isfinite(found), found, np.inf)


def firing(text: Text, sampled: Sampled, threshold: np.ndarray, half: int) -> Firing:
    """Where units fire in a half of the documents (0, or 1 if there are two)."""
    fires = _in_half(text, sampled, half) & (sampled.weight > 0) & (sampled.coefficient >= threshold[:, None])
    unit, slot = np.nonzero(fires)
    token = sampled.token[unit, slot].astype(np.int64)
    order = np.lexsort((token, unit))
    unit, slot, token = unit[order], slot[order], token[order]
    return Firing(
        n_units=sampled.n_units,
        unit=unit,
        token=token,
        coefficient=sampled.coefficient[unit, slot].astype(np.float64),
        weight=sampled.weight[unit, slot],
        n_text=float(_n_text(text, half)),
    )


def together(one: Firing, two: Firing) -> Firing:
    """Firing positions of both halves."""
    unit, token = np.concatenate((one.unit, two.unit)), np.concatenate((one.token, two.token))
    order = np.lexsort((token, unit))
    coefficient, weight = np.concatenate((one.coefficient, two.coefficient)), np.concatenate((one.weight, two.weight))
    return Firing(one.n_units, unit[order], token[order], coefficient[order], weight[order], one.n_text + two.n_text)


def explained(text: Text, sampled: Sampled, fires: Firing) -> np.ndarray:
    """(units,) share of the variance of a unit's coefficient, 0 where it is below, that lies between firing and not firing.

    Args:
        text: the text.
        sampled: what was sampled of coefficients above 0.
        fires: firing positions of both halves.
    """
    n_text = max(float(text.n_competing.sum()), 1.0)
    value = np.where(sampled.coefficient > 0, sampled.coefficient, 0.0).astype(np.float64)
    mean, square = (sampled.weight * value).sum(1) / n_text, (sampled.weight * value**2).sum(1) / n_text
    variance = np.maximum(square - mean**2, 0)
    share = np.clip(fires.total / n_text, 0, 0.5)
    firing_mean = np.divide(fires.mass, fires.total, out=np.zeros(len(mean)), where=fires.total > 0)
    between = share / (1 - share) * (firing_mean - mean) ** 2
    found: np.ndarray = np.minimum(np.divide(between, variance, out=np.zeros(len(mean)), where=variance > 0), 1.0)
    return found


def _in_half(text: Text, sampled: Sampled, half: int) -> np.ndarray:
    quarter = text.quarter_of[np.where(sampled.weight > 0, sampled.token, 0)]
    inside: np.ndarray = (quarter >> 1) == half
    return inside


def _n_text(text: Text, half: int) -> int:
    return int(text.n_competing[2 * half : 2 * half + 2].sum())
