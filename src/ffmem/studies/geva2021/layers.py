"""What the chapters share: numbers over layers, rows of charts, and how numbers are written."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isnan
from typing import Any, Protocol, TypeVar

import numpy as np

from ffmem.analyses.intervals import Estimate, Sums, Uncertain, mean_ratio
from ffmem.analyses.student import student_quantile
from ffmem.studies.exhibit import percent
from ffmem.studies.results import plain


class OfLayer(Protocol):
    """A result of one layer."""

    @property
    def layer(self) -> str:
        """Its name."""
        ...


Layer = TypeVar("Layer", bound=OfLayer)
Rows = list[dict[str, Any]]
_BOX = ("q5", "q25", "q50", "q75", "q95")


def thirds(layers: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
    """The lowest third of the layers, and the highest."""
    n = max(1, len(layers) // 3)
    return layers[:n], layers[-n:]


def upper_less_lower(sums: Sums) -> Uncertain:
    """The mean of the highest third of the layers less that of the lowest, by the same draws of documents.

    Args:
        sums: a column for each layer.
    """
    low, high = thirds(range(sums.above.shape[1]))
    return mean_ratio(sums[list(high)], sums[list(low)])


def means_of_thirds(sums: Sums) -> tuple[Uncertain, Uncertain]:
    """The mean of the lowest third of the layers, and of the highest."""
    low, high = (mean_ratio(sums[list(part)]) for part in thirds(range(sums.above.shape[1])))
    return low, high


def told_as(estimate: Estimate) -> Uncertain:
    """An estimate over documents whose draws were not kept, as uncertain as its wider side says."""
    error = max(estimate.high - estimate.value, estimate.value - estimate.low) / student_quantile(0.975, estimate.n - 1)
    return Uncertain(estimate.value, error, estimate.n, estimate.n)


def average(values: Iterable[float]) -> float:
    """Mean of the values that are not NaN."""
    some = [one for one in values if not isnan(one)]
    return float(np.mean(some)) if some else float("nan")


def share(value: float) -> str:
    """A share, as a reader would write it."""
    if isnan(value):
        return "an unknown share"
    return f"{percent(value)} %"


def interval(estimate: Estimate) -> str:
    """A share with its interval."""
    if isnan(estimate.low):
        return share(estimate.value)
    return f"{percent(estimate.value)} % ({percent(estimate.low)} to {percent(estimate.high)})"


def points(found: Uncertain) -> str:
    """A difference of shares with its interval, in points."""
    low, high = found.interval()
    if isnan(low):
        return "unknown" if isnan(found.value) else f"{100 * found.value:+.1f} points"
    return f"{100 * found.value:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})"


def line_rows(layers: Sequence[Layer], series: Mapping[str, Callable[[Layer], Estimate | float]]) -> Rows:
    """Rows of a chart of lines, or of shares: what each series has to say of each layer."""
    return [
        {"layer": number, "name": layer.layer, "series": title} | _ends(value_of(layer))
        for number, layer in enumerate(layers)
        for title, value_of in series.items()
    ]


def _ends(value: Estimate | float) -> dict[str, Any]:
    ends: dict[str, Any] = plain(
        value if isinstance(value, Estimate) else {"value": value, "low": value, "high": value}
    )
    return ends


def box_rows(layers: Sequence[Layer], quantiles_of: Callable[[Layer], Sequence[float]]) -> Rows:
    """Rows of a chart of boxes; layers without quantiles are left out."""
    return [
        {"layer": number, "name": layer.layer} | dict(zip(_BOX, quantiles_of(layer), strict=True))
        for number, layer in enumerate(layers)
        if not any(map(isnan, quantiles_of(layer)))
    ]
