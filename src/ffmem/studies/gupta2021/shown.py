"""What both chapters of the study share: names of orders, and rows over k."""

from collections.abc import Mapping, Sequence

import numpy as np

from ffmem.analyses.intervals import Estimate, Uncertain
from ffmem.analyses.truncation import Order
from ffmem.studies.exhibit import Row
from ffmem.studies.results import plain

NAMES: Mapping[Order, str] = {
    "coefficient": "largest coefficient (the paper's)",
    "contribution": "largest |m| x length of v",
    "along y": "largest part along y",
    "chance": "random active cells",
}
_SIDE_BY_SIDE = 1.05
"""By how much points of one k stand beside each other, so that their intervals can be told apart."""


def rows_by_k(ks: Sequence[int], series: Mapping[str, Sequence[Estimate]]) -> list[Row]:
    """Rows of a chart of points over k; k = 0 has no place on a logarithmic axis."""
    return [
        {"middle": k * _SIDE_BY_SIDE ** (number - (len(series) - 1) / 2), "from": k, "to": k, "series": name}
        | plain(one)
        for number, (name, estimates) in enumerate(series.items())
        for k, one in zip(ks, estimates, strict=True)
        if k
    ]


def told(found: Uncertain, unit: str = "nats") -> str:
    """A number with its interval."""
    low, high = found.interval()
    ends = "" if np.isnan(low) else f" ({low:+.3g} to {high:+.3g})"
    return f"{found.value:+.3g} {unit}{ends}"
