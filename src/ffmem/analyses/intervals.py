"""Estimates with their intervals: of proportions, and of what is summed over documents, whose things are not independent."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from ffmem.analyses.student import student_quantile, student_tail

N_RESAMPLES = 2_000
"""Of a bootstrap."""
MOST_GROUPS = 1_000
"""More documents than these are put together at random: groups of whole documents are as independent as documents."""
_LEAST_P = 1 / (1 + N_RESAMPLES)
"""Of what is the same in all draws."""
_Z = 1.959963984540054
"""97.5 % of a normal distribution lie below it."""
_ANY, _SHARE = (-np.inf, np.inf), (0.0, 1.0)
_TAIL = 10
"""Draws beyond which a tail is not counted but taken to fall as Student's t does."""
FEW = 10
"""Groups (or groups with a hit, or with a miss) below which there is too little to draw from."""


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    """NaN if there is nothing to estimate it from."""
    low: float
    high: float
    n: int
    """Things it was estimated from."""


NOTHING = Estimate(np.nan, np.nan, np.nan, 0)


@dataclass(frozen=True)
class Uncertain:
    """An estimate that knows by how much it would differ in other texts: intervals and p-values at any level.

    An interval ends where ``(value - end) / error`` is a quantile of the pivots, or of Student's t if that is farther out.
    """

    value: float
    """NaN if there is nothing to estimate it from."""
    error: float
    """Standard error, over groups of things that are drawn together; NaN where there is only one."""
    n_groups: int
    n: int
    pivots: np.ndarray = field(default_factory=lambda: np.empty(0))
    """(theta* - theta) / error* of each draw, in ascending order; none: Student's t alone."""
    bounds: tuple[float, float] = (-np.inf, np.inf)
    """Between which it must lie, as its interval then does: 0 and 1 for a share."""
    effective: float | None = None
    """Of a share in which too few documents differ: the number of independent things that would be as uncertain."""

    @property
    def estimate(self) -> Estimate:
        """With its 95 % interval."""
        return Estimate(self.value, *self.interval(), self.n)

    def interval(self, level: float = 0.05) -> tuple[float, float]:
        """Both ends of the interval that misses the truth with this probability; NaN where nothing is known of it."""
        if self.effective is not None:
            return wilson(self.value, self.effective, student_quantile(1 - level / 2, self._degrees))
        below, above = self._critical(1 - level / 2), self._critical(1 - level / 2, low=True)
        low, high = self.value - below * self.error, self.value + above * self.error
        least, most = self.bounds
        return (low, high) if np.isnan(low) else (max(low, least), min(high, most))

    def p_above(self, limit: float = 0.0) -> float:
        """One-sided p-value of its being above a limit: the chance of as much, or more, if it were the limit."""
        return self._p(self._pivot(limit), low=False)

    def p_below(self, limit: float = 0.0) -> float:
        """One-sided p-value of its being below a limit."""
        return self._p(-self._pivot(limit), low=True)

    def __neg__(self) -> "Uncertain":
        """The same with the other sign."""
        least, most = self.bounds
        return Uncertain(-self.value, self.error, self.n_groups, self.n, -self.pivots[::-1], (-most, -least))

    @property
    def _degrees(self) -> int:
        return self.n_groups - 1

    def _pivot(self, limit: float) -> float:
        # what is held against an end of its range is a difference that happens to lie on one side of it, and no share
        if self.effective is not None and 0 < limit < 1:
            spread = np.sqrt(limit * (1 - limit) / self.effective)
            return float((self.value - limit) / spread)
        if self.error == 0:
            return float(np.inf * np.sign(self.value - limit)) if self.value != limit else 0.0
        return float((self.value - limit) / self.error)

    def _critical(self, quantile: float, *, low: bool = False) -> float:
        """How many errors an end lies from the value."""
        normal = student_quantile(quantile, self._degrees)
        if not self._has_tail:
            return normal
        n_beyond = (1 - quantile) * len(self.pivots)
        if n_beyond < _TAIL:
            own = self._tail_scale(low) * normal
        else:
            own = float(np.quantile(-self.pivots if low else self.pivots, quantile))
        return max(normal, own)

    @property
    def _has_tail(self) -> bool:
        """Whether there are draws enough to tell how their tails fall."""
        return len(self.pivots) > 4 * _TAIL

    def _tail_scale(self, low: bool) -> float:
        """By how much the tail of the pivots is longer than Student's, where the last draws begin."""
        share = 1 - _TAIL / len(self.pivots)
        reached = float(np.quantile(-self.pivots if low else self.pivots, share))
        return max(reached / student_quantile(share, self._degrees), 0.0)

    def _p(self, pivot: float, *, low: bool) -> float:
        if np.isnan(pivot) or self._degrees < 1:
            return 1.0
        p = student_tail(pivot, self._degrees) if np.isfinite(pivot) else _LEAST_P if pivot > 0 else 1.0
        if self._has_tail and self.effective is None:
            n_beyond = int(((-self.pivots if low else self.pivots) >= pivot).sum())
            scale = self._tail_scale(low)
            beyond = student_tail(pivot / scale, self._degrees) if scale > 0 else 0.0
            counted = (1 + n_beyond) / (1 + len(self.pivots))
            p = max(p, counted if n_beyond >= _TAIL else min(beyond, counted))
        return p


@dataclass(frozen=True)
class Sums:
    """What each group (document) adds to the two sums of some ratios: one column each, of a layer, say.

    All columns share their draws, so that what groups have in common in several of them is kept.
    """

    above: np.ndarray
    """(groups, columns)"""
    below: np.ndarray
    """(groups, columns)"""
    signed: bool = False
    """Whether the upper sums may lie below 0, as those of differences may, whether or not one does here."""

    @classmethod
    def of(cls, values: np.ndarray, groups: np.ndarray, n_groups: int) -> "Sums":
        """Sums whose ratios are means over things.

        Args:
            values: of each thing, in one column or several; NaN: left out.
            groups: the group of each thing: see `numbered`.
            n_groups: how many there are.
        """
        columns = values.reshape(len(values), -1).astype(np.float64)
        there = ~np.isnan(columns)
        filled = np.where(there, columns, 0.0)
        shape = (n_groups, columns.shape[1])
        above, below = np.zeros(shape), np.zeros(shape)
        for number in range(shape[1]):
            above[:, number] = np.bincount(groups, filled[:, number], n_groups)
            below[:, number] = np.bincount(groups[there[:, number]], minlength=n_groups)
        return cls(above, below)

    def __getitem__(self, columns: slice | Sequence[int]) -> "Sums":
        """Some of the columns."""
        return Sums(self.above[:, columns], self.below[:, columns], self.signed)

    @property
    def differences(self) -> "Sums":
        """The same, known to be of differences: taken for shares, those that all happen to lie above 0 would be sure to."""
        return Sums(self.above, self.below, signed=True)

    def beside(self, other: "Sums") -> "Sums":
        """The columns of both, of the same groups."""
        together = np.hstack([self.above, other.above]), np.hstack([self.below, other.below])
        return Sums(*together, self.signed or other.signed)

    @property
    def ratios(self) -> np.ndarray:
        """Of each column; NaN where there is nothing to count."""
        with np.errstate(invalid="ignore", divide="ignore"):
            found: np.ndarray = self.above.sum(0) / self.below.sum(0)
        return found

    @property
    def is_share(self) -> bool:
        """Whether every ratio is a part of a whole: never a difference, though none here may be below 0."""
        return not self.signed and bool((self.above >= 0).all() and (self.above <= self.below).all())

    def known(self) -> "Sums":
        """The columns that have something to count."""
        return self[np.flatnonzero(self.below.sum(0)).tolist()]


def numbered(documents: np.ndarray) -> tuple[np.ndarray, int]:
    """The group of each thing by its document, as a number from 0, and how many groups there are."""
    _, numbers = np.unique(documents, return_inverse=True)
    n = int(numbers.max(initial=-1)) + 1
    if n <= MOST_GROUPS:
        return numbers.astype(np.int64), n
    shuffled = np.random.default_rng(0).permutation(n) % MOST_GROUPS
    return shuffled[numbers].astype(np.int64), MOST_GROUPS


def each_ratio(sums: Sums, *, seed: int = 0) -> list[Uncertain]:
    """The ratio of each column by itself.

    The interval is a bootstrap-t over groups (Efron & Tibshirani 1993, 12.5). Its standard errors are those of the ratio's
    linear form, a group's part divided by 1 - its share of the lower sum, since a large group pulls the ratio after it. Of a
    share in which fewer than ten groups differ, it is Wilson's with the number of independent things that would be as
    uncertain (Korn & Graubard 1998). How often it holds the truth was measured: docs/design/checks.md.

    Args:
        sums: what groups add.
        seed: of the draws.

    Cost: four products of draws x groups with groups x columns.
    """
    there, n_groups = (sums.below > 0).any(1), int((sums.below > 0).any(1).sum())
    some = Sums(sums.above[there], sums.below[there], sums.signed)
    if n_groups < 2:
        totals = some.below.sum(0)
        return [Uncertain(float(v), np.nan, n_groups, _count(t)) for v, t in zip(some.ratios, totals, strict=True)]
    drawn = drawn_ratios(some, seed)
    return [_one(some[[column]], drawn, column) for column in range(some.above.shape[1])]


@dataclass(frozen=True)
class DrawnRatios:
    """What all groups say of each column, and by how much each draw differs from it."""

    values: np.ndarray
    """(columns,)"""
    errors: np.ndarray
    """(columns,)"""
    off: np.ndarray
    """(draws, columns)"""
    drawn_errors: np.ndarray
    """(draws, columns)"""


def drawn_ratios(sums: Sums, seed: int) -> DrawnRatios:
    """The ratios of all columns in every draw."""
    values, below, total = sums.ratios, sums.below, sums.below.sum(0)
    rest, pull = _rest(sums, values)
    draws = draws_of(len(below), seed)
    with np.errstate(invalid="ignore", divide="ignore"):
        totals = draws @ below
        off = (draws @ rest) / totals
        squares = draws @ (rest / pull) ** 2 - 2 * off * (draws @ (rest * below / pull**2))
        squares += off**2 * (draws @ (below / pull) ** 2)
        errors = np.sqrt(((rest / pull) ** 2).sum(0)) / total
        return DrawnRatios(values, errors, off, np.sqrt(np.clip(squares, 0, None)) / totals)


def _rest(sums: Sums, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What each group adds beyond the ratio of all; and by how much less the ratio would be its own without it."""
    with np.errstate(invalid="ignore", divide="ignore"):
        pull = np.clip(1 - sums.below / sums.below.sum(0), 1 / len(sums.below), None)
    return sums.above - np.nan_to_num(values) * sums.below, pull


def _one(sums: Sums, drawn: DrawnRatios, column: int) -> Uncertain:
    value, error, n = float(drawn.values[column]), float(drawn.errors[column]), _count(sums.below.sum())
    n_groups, share = len(sums.above), sums.is_share
    if not n:
        return Uncertain(np.nan, np.nan, n_groups, 0)
    if share and (error == 0 or not 0 < value < 1):
        return Uncertain(value, _wilson_error(n), n_groups, n, bounds=_SHARE, effective=float(n))
    hits, misses = (sums.above > 0).sum(), (sums.above < sums.below).sum()
    if share and min(hits, misses) < FEW:
        effective = value * (1 - value) / error**2
        return Uncertain(value, error, n_groups, n, bounds=_SHARE, effective=effective)
    pivots = pivots_of(drawn.off[:, column], drawn.drawn_errors[:, column], error, n_groups)
    return Uncertain(value, error, n_groups, n, pivots, _SHARE if share else _ANY)


def pivots_of(off: np.ndarray, drawn_errors: np.ndarray, error: float, n_groups: int) -> np.ndarray:
    """The pivots of `Uncertain`, in order; none for few groups, of which a draw may take one so often that nothing differs."""
    there = (drawn_errors > 1e-6 * error) & np.isfinite(drawn_errors)
    return np.sort(off[there] / drawn_errors[there]) if n_groups >= FEW else np.empty(0)


def _wilson_error(n: float) -> float:
    """The standard error that makes an interval of Wilson's width about a share of 0 or 1."""
    return _Z / (n + _Z**2)


def _count(total: float) -> int:
    return round(float(total))


def mean_ratio(of: Sums, less: Sums | None = None, *, seed: int = 0) -> Uncertain:
    """The mean of some ratios of sums, less the mean of others of the same groups; each draw takes the same groups for all.

    So what layers have in common is kept, and no layer adds things of its own: n is that of the column with the most. The
    interval is as that of `each_ratio`.

    Args:
        of: ratios; columns with nothing to count are left out.
        less: others, of the same groups in the same order.
        seed: of the draws.

    Cost: draws x groups numbers, and draws x groups x columns sums.
    """
    first, other = of.known(), None if less is None else less.known()
    n_first, n_other = first.above.shape[1], 0 if other is None else other.above.shape[1]
    if not n_first or (other is not None and not n_other):
        return Uncertain(np.nan, np.nan, 0, 0)
    if other is None and n_first == 1:
        return each_ratio(first, seed=seed)[0]
    sums = first if other is None else first.beside(other)
    weights = np.repeat([1 / n_first, -1 / max(n_other, 1)], [n_first, n_other])
    there = (sums.below > 0).any(1)
    return _weighted(Sums(sums.above[there], sums.below[there], sums.signed), weights, other is None, seed)


def _weighted(sums: Sums, weights: np.ndarray, is_mean: bool, seed: int) -> Uncertain:
    """A weighted sum of ratios."""
    ratios, total, n_groups = sums.ratios, sums.below.sum(0), len(sums.above)
    value, n, share = float(ratios @ weights), _count(total.max()), sums.is_share
    bounds = _ANY if not share else _SHARE if is_mean else (-1.0, 1.0)
    if n_groups < 2:
        return Uncertain(value, np.nan, n_groups, n)
    rest, pull = _rest(sums, ratios)
    upper, lower = rest / pull, sums.below / pull
    error = float(np.sqrt((((upper / total) @ weights) ** 2).sum()))
    if share:  # where all are alike nothing is known of how they would differ, except from how many there are
        alike = ~rest.any(0)
        error = float(np.hypot(error, np.abs(weights[alike]) @ [_wilson_error(one) for one in total[alike]]))
    if not rest.any():
        return Uncertain(value, error, n_groups, n, bounds=bounds)
    draws = draws_of(n_groups, seed)
    with np.errstate(invalid="ignore", divide="ignore"):
        totals = draws @ sums.below
        off, slopes = (draws @ rest) / totals, weights / totals
        linear = slopes @ upper.T - (slopes * off) @ lower.T
        pivots = pivots_of(off @ weights, np.sqrt((draws * linear**2).sum(1)), error, n_groups)
    return Uncertain(value, error, n_groups, n, pivots, bounds)


def ratios(sums: Sums, *, seed: int = 0) -> list[Estimate]:
    """The ratio of each column with its 95 % interval: see `each_ratio`."""
    return [one.estimate for one in each_ratio(sums, seed=seed)]


def proportion(n_hits: int, n: int) -> Estimate:
    """A proportion of independent things with Wilson's interval (1927), which holds near 0 and 1, too.

    Args:
        n_hits: how many of ``n`` have a property.
        n: how many there are.
    """
    return Estimate(float(n_hits / n), *wilson(n_hits / n, n, _Z), n) if n else NOTHING


def wilson(share: float, n: float, z: float) -> tuple[float, float]:
    """Wilson's interval of a share of ``n`` things; ``z``: how many standard errors it is to hold."""
    z2 = z**2 / n
    middle, half = (share + z2 / 2) / (1 + z2), z / (1 + z2) * np.sqrt(share * (1 - share) / n + z2 / (4 * n))
    # at the ends it touches them exactly, but for rounding
    return (0.0 if share == 0 else float(middle - half)), (1.0 if share == 1 else float(middle + half))


def mean(values: np.ndarray, groups: np.ndarray | None = None, *, seed: int = 0, signed: bool = False) -> Estimate:
    """A mean with its bootstrap interval; with groups, whole groups are drawn: see `mean_ratio`.

    Args:
        values: (n,) numbers.
        groups: (n,) the group of each, as integers: values of one group are not independent.
        seed: of the draws.
        signed: whether values are differences: see `Sums.differences`.

    Returns:
        the mean over all values; n counts values.
    """
    if len(values) == 0:
        return NOTHING
    numbers, n_groups = numbered(np.arange(len(values)) if groups is None else groups)
    sums = Sums.of(values, numbers, n_groups)
    return mean_ratio(sums.differences if signed else sums, seed=seed).estimate


@lru_cache(maxsize=8)
def draws_of(n: int, seed: int) -> np.ndarray:
    """How often each draw takes each of n groups: n takes in all. The same for all that is estimated from them."""
    picks = np.random.default_rng(seed).integers(0, n, (N_RESAMPLES, n)) + np.arange(N_RESAMPLES)[:, None] * n
    counts = np.bincount(picks.ravel(), minlength=N_RESAMPLES * n).reshape(N_RESAMPLES, n).astype(np.float64)
    counts.setflags(write=False)
    return counts
