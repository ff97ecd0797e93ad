"""All that is measured of one cloud of points, and of halves of it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from ffmem.analyses.geometry.dimension import gride, two_nn, two_nn_ml
from ffmem.analyses.geometry.neighbours import Neighbours, label_share, neighbours_of, overlap

MOST_NEIGHBOURS = 30
"""k of both overlaps, as in the paper."""
_LARGEST_ORDER = 32
_FEWEST, _PARTS = 100, 4
"""Points of the smallest part of a cloud, and how many parts of one size are looked at, at most."""


@dataclass(frozen=True)
class Scales:
    """What is asked of clouds of so many points."""

    orders: tuple[int, ...]
    """n of GRIDE's r_2n / r_n: the larger, the coarser."""
    divisors: tuple[int, ...]
    """2^j of the parts N / 2^j that TwoNN is asked of."""
    k: int

    @classmethod
    def of(cls, n: int) -> "Scales":
        """Those that so many points have neighbours for, in halves of them, too."""
        orders = [1]
        while orders[-1] < _LARGEST_ORDER and 4 * orders[-1] <= n // 16:
            orders.append(2 * orders[-1])
        divisors = [1]
        while divisors[-1] < 16 and n // (2 * divisors[-1]) >= _FEWEST:
            divisors.append(2 * divisors[-1])
        return cls(tuple(orders), tuple(divisors), max(2, min(MOST_NEIGHBOURS, n // 10)))


@dataclass(frozen=True)
class CloudMeasure:
    """One cloud."""

    gride: Float64[np.ndarray, " orders"]
    gride_halves: Float64[np.ndarray, "halves orders"]
    """Of each half, at the same order."""
    two_nn: float
    two_nn_ml: float
    decimated: tuple[float, ...]
    """TwoNN of N / 2^j points, mean of parts."""
    label: float
    """The share of neighbours with the label; NaN without labels."""
    label_halves: Float64[np.ndarray, " halves"]
    neighbours: Neighbours
    """Fewer than were looked at: those that an overlap needs."""


def measure_cloud(
    points: np.ndarray,
    scales: Scales,
    halves: Bool[np.ndarray, "halves n"],
    label: Int64[np.ndarray, " n"] | None = None,
    document: Int64[np.ndarray, " n"] | None = None,
) -> CloudMeasure:
    """Dimension at all scales, and how many neighbours share a label.

    Points that are the same as another have no ratio of distances: of dimensions they are left out.

    Args:
        points: a row each.
        scales: what is asked.
        halves: see `halves.halves_of`.
        label: of each point.
        document: of each point; neighbours of its own do not count for labels.

    Cost: see `neighbours_of`; then n x `neighbours.MOST` numbers are looked at some ten times for each half.
    """
    near, n = neighbours_of(points), len(points)
    whole = near.among(near.distinct)
    ratios = whole.log_ratio(1, 2)
    of_halves, label_halves = np.full((len(halves), len(scales.orders)), np.nan), np.full(len(halves), np.nan)
    for number, half in enumerate(halves):
        within = near.among(half & near.distinct)
        for place, order in enumerate(scales.orders):
            of_halves[number, place] = gride(within.log_ratio(order, 2 * order), order)
        if label is not None and document is not None:
            every = within if near.distinct.all() else near.among(half)
            label_halves[number] = _mean(label_share(every, label, document, half_k(scales.k)))
    everything = near.among(np.ones(n, dtype=bool))
    kept = min(near.index.shape[1], max(4 * scales.k, 64))
    return CloudMeasure(
        gride=np.array([gride(whole.log_ratio(order, 2 * order), order) for order in scales.orders]),
        gride_halves=of_halves,
        two_nn=two_nn(ratios),
        two_nn_ml=two_nn_ml(ratios),
        decimated=tuple(_decimated(near, divisor) for divisor in scales.divisors),
        label=float("nan") if label is None or document is None else _mean(label_share(everything, label, document, scales.k)),
        label_halves=label_halves,
        neighbours=Neighbours(near.index[:, :kept].copy(), near.log_distance[:, :kept].copy(), near.distinct),
    )  # fmt: skip


def half_k(k: int) -> int:
    """The neighbours of a half that lie as far as the first k of all."""
    return max(k // 2, 1)


def overlaps(
    left: Neighbours, right: Neighbours, k: int, halves: Bool[np.ndarray, "halves n"]
) -> tuple[float, Float64[np.ndarray, " halves"]]:
    """chi_k of two clouds of the same points, and of each half of them with `half_k`."""
    every = np.ones(len(left), dtype=bool)
    of_halves = [overlap(left.among(half), right.among(half), half_k(k)) for half in halves]
    return overlap(left.among(every), right.among(every), k), np.array(of_halves)


def _decimated(near: Neighbours, divisor: int) -> float:
    """TwoNN of parts of N / divisor points each, which have none in common; mean of them."""
    order = np.random.default_rng([divisor, 54]).permutation(len(near))
    found = []
    for part in np.array_split(order, divisor)[:_PARTS]:
        kept = np.zeros(len(near), dtype=bool)
        kept[part] = True
        found.append(two_nn(near.among(kept & near.distinct).log_ratio(1, 2)))
    return float(np.mean(found))


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def without_largest(points: np.ndarray, n: int = 3) -> np.ndarray:
    """Points without the dimensions whose mean square is largest: massive activations, which can decide every distance."""
    largest = np.argsort(-np.square(points, dtype=np.float64).mean(0), kind="stable")[:n]
    return np.delete(points, largest, axis=1)


def plateau(profiles: Float64[np.ndarray, "layers orders"]) -> tuple[int, float]:
    """The scale at which dimensions change least with the scale: one for all layers, so that a profile has one meaning.

    Returns:
        the place of the finer of the two scales between which the median of layers of |ln(d' / d)| is least, and that.
    """
    there = profiles[np.isfinite(profiles).all(1)]
    if profiles.shape[1] < 2 or not len(there):
        return 0, float("nan")
    changes = np.median(np.abs(np.diff(np.log(there), axis=1)), axis=0)
    place = int(changes.argmin())
    return place, float(changes[place])
