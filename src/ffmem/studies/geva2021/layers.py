"""What the chapters share: numbers over layers, rows of charts, and how numbers are written."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isnan
from typing import Any, Protocol, TypeVar

import numpy as np

from ffmem.analyses.intervals import Estimate, proportion
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


def thirds(layers: Sequence[Layer]) -> tuple[Sequence[Layer], Sequence[Layer]]:
    """The lowest third of the layers, and the highest."""
    n = max(1, len(layers) // 3)
    return layers[:n], layers[-n:]


def pooled(estimates: Iterable[Estimate]) -> Estimate:
    """One proportion of several groups together."""
    some = [one for one in estimates if one.n]
    return proportion(round(sum(one.value * one.n for one in some)), sum(one.n for one in some))


def averaged(estimates: Iterable[Estimate]) -> Estimate:
    """Mean of estimates of several layers; its interval is the mean of theirs, which is wider than it need be."""
    some = [one for one in estimates if not isnan(one.value)]
    return Estimate(
        value=average(one.value for one in some),
        low=average(one.low for one in some),
        high=average(one.high for one in some),
        n=sum(one.n for one in some),
    )


def average(values: Iterable[float]) -> float:
    """Mean of the values that are not NaN."""
    some = [one for one in values if not isnan(one)]
    return float(np.mean(some)) if some else float("nan")


def share(value: float) -> str:
    """A share, as a reader would write it."""
    return f"{percent(value)} %"


def interval(estimate: Estimate) -> str:
    """A share with its interval."""
    return f"{percent(estimate.value)} % ({percent(estimate.low)} to {percent(estimate.high)})"


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
