"""The inner loops of the nested fits, compiled: what groups of positions say of a coefficient, each on what is left before."""

import numpy as np
from numba import njit

LEAST_SHRINKAGE, MOST_SHRINKAGE = 1e-3, 1e9


@njit(cache=True, nogil=True)
def shrinkage_of(squares: float, between: float, grand: float, n: int, n_groups: int, square_sizes: float) -> float:
    """The ratio of the variance within groups to that between their true means, by one-way analysis of variance.

    Args:
        squares: sum of the squares of all values.
        between: sum over groups of (sum of its values)^2 / (their number).
        grand: sum of all values.
        n: values.
        n_groups: groups that have some.
        square_sizes: sum of the squares of the groups' sizes.
    """
    if n_groups < 2 or n <= n_groups:
        return MOST_SHRINKAGE
    within = max((squares - between) / (n - n_groups), 0.0)
    mean_between = (between - grand * grand / n) / (n_groups - 1)
    of_groups = (mean_between - within) / ((n - square_sizes / n) / (n_groups - 1))
    if of_groups <= within / MOST_SHRINKAGE:
        return MOST_SHRINKAGE
    return max(within / of_groups, LEAST_SHRINKAGE)


@njit(cache=True, nogil=True)
def _add_squares(left: np.ndarray, first: int, end: int, document: np.ndarray, errors: np.ndarray) -> None:
    """Add the squares of some rows to the documents that they are of."""
    for i in range(first, end):
        for u in range(left.shape[1]):
            errors[document[i], u] += left[i, u] * left[i, u]


@njit(cache=True, nogil=True)
def fit_fold(
    c: np.ndarray,
    levels: np.ndarray,
    counts: np.ndarray,
    n_groups: np.ndarray,
    first: int,
    end: int,
    document: np.ndarray,
    errors: np.ndarray,
    left: np.ndarray,
) -> None:
    """Fit mean and levels on all positions but those from ``first`` up to ``end``, and add up squared errors on these.

    Of a level, the effect of a group with the sum S of n residuals is S / (n + shrinkage), with the ratio of the variances
    within and between groups as the shrinkage (see `shrinkage_of`).

    Args:
        c: (n, units) coefficients.
        levels: (levels, n) the group of each position.
        counts: (levels, groups) positions of each group that are fitted on.
        n_groups: (levels,) groups of each level.
        first: the first position left out.
        end: the one after the last.
        document: (n,) of each position.
        errors: (levels + 1, documents, units) sums of squares, which those of the mean and of each level are added to.
        left: (n, units) gets what is left after the last level.
    """
    n, n_units = c.shape
    n_fitted = n - (end - first)
    sums = np.empty((counts.shape[1], n_units))
    squares, grand, between = np.empty(n_units), np.zeros(n_units), np.empty(n_units)
    for i in range(n):
        if i < first or i >= end:
            for u in range(n_units):
                grand[u] += c[i, u]
    for i in range(n):
        for u in range(n_units):
            left[i, u] = c[i, u] - grand[u] / n_fitted
    _add_squares(left, first, end, document, errors[0])
    for level in range(len(levels)):
        group, size = levels[level], counts[level]
        sums[: n_groups[level]] = 0
        squares[:], grand[:], between[:] = 0, 0, 0
        for i in range(n):
            if i < first or i >= end:
                for u in range(n_units):
                    sums[group[i], u] += left[i, u]
                    squares[u] += left[i, u] * left[i, u]
                    grand[u] += left[i, u]
        filled, square_sizes = 0, 0.0
        for g in range(n_groups[level]):
            if size[g] > 0:
                for u in range(n_units):
                    between[u] += sums[g, u] * sums[g, u] / size[g]
                square_sizes += size[g] * size[g]
                filled += 1
        for u in range(n_units):  # from here on `between` is the shrinkage
            between[u] = shrinkage_of(squares[u], between[u], grand[u], n_fitted, filled, square_sizes)
        for g in range(n_groups[level]):
            for u in range(n_units):
                sums[g, u] /= size[g] + between[u]
        for i in range(n):
            for u in range(n_units):
                left[i, u] -= sums[group[i], u]
        _add_squares(left, first, end, document, errors[level + 1])


@njit(cache=True, nogil=True)
def shrinkages(
    squares: np.ndarray, between: np.ndarray, grand: np.ndarray, n: int, n_groups: int, square_sizes: float
) -> np.ndarray:
    """`shrinkage_of` each of several units."""
    found = np.empty(len(squares))
    for u in range(len(squares)):
        found[u] = shrinkage_of(squares[u], between[u], grand[u], n, n_groups, square_sizes)
    return found
