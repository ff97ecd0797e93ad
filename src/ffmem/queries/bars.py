"""A cell's histogram of per-sentence maxima as bars, and where its stored triggers lie in it."""

from dataclasses import dataclass

import numpy as np

from ffmem.cell import Cell
from ffmem.store.keys import NO_TOKEN
from ffmem.store.reader import Index


@dataclass(frozen=True)
class Bar:
    """A bin of the histogram of per-sentence maxima."""

    low: float | None
    high: float | None
    n: int
    height: float
    """As a share of the largest, on a scale of log(1 + n)."""
    n_triggers: int
    """Stored triggers that lie in it."""


def bars(index: Index, cell: Cell, sign: int) -> tuple[Bar, ...]:
    """The bins of one sign from the first that holds a sentence to the last; none if no bin does."""
    statistics = cell.statistics
    counts = statistics.histogram[0 if sign > 0 else 1]
    edges = statistics.histogram_edges
    filled = [bin_ for bin_, n in enumerate(counts) if n]
    if not filled:
        return ()
    place, row = index.cells.place(cell.cell)
    arrays, number = index.layer(place), (1 - sign) // 2
    stored_ones = np.asarray(arrays.trigger_token[row, number]) != NO_TOKEN
    coefficients = np.abs(np.asarray(arrays.trigger_coefficient[row, number]))[stored_ones]
    stored, _ = np.histogram(coefficients, np.array(edges))
    largest = np.log1p(max(counts))
    return tuple(
        Bar(
            low=edges[bin_] if np.isfinite(edges[bin_]) else None,
            high=edges[bin_ + 1] if np.isfinite(edges[bin_ + 1]) else None,
            n=counts[bin_],
            height=float(np.log1p(counts[bin_]) / largest),
            n_triggers=int(stored[bin_]),
        )
        for bin_ in range(filled[0], filled[-1] + 1)
    )
