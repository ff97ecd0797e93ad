"""How a cell's coefficients are spread, as bars with numbered axes, and where its stored triggers lie among them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ffmem.cell import Cell
from ffmem.json_values import Record
from ffmem.store.keys import NO_TOKEN
from ffmem.store.reader import Index

_NEAR = 0.08
"""A number so near to the 0 of an axis would stand in it."""


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
    share: float = 0.0
    """``n`` as a share of the largest."""


@dataclass(frozen=True)
class Tick:
    """A number on an axis."""

    at: float
    """From 0, where the axis begins, to 1, where it ends."""
    text: str


@dataclass(frozen=True)
class Density(Record):
    """How many positions, or sentences, have coefficients of each size."""

    of: Literal["positions", "sentences"]
    """Every position, which only an index with a sample has counted; or every sentence, by its largest coefficient."""
    sign: int
    bars: tuple[Bar, ...]
    n: int
    """All positions or sentences."""
    n_silent: int
    """Those without any coefficient of this sign; of sentences, that the lowest bin has, which holds them."""
    threshold: float | None
    """The size of the last stored trigger, if the list is full: weaker ones are not stored."""
    threshold_at: float | None
    """Where that lies on the axis of sizes, from 0 to 1."""
    sizes: tuple[Tick, ...]
    counts: tuple[Tick, ...]
    """On a scale of log(1 + n)."""
    linear_counts: tuple[Tick, ...]


def densities(index: Index, cell: Cell, sign: int) -> tuple[Density, ...]:
    """By positions, if the index has a sample, then by sentences; none of which nothing is there to show.

    Args:
        index: an opened index.
        cell: one of its cells.
        sign: of the coefficients.
    """
    place, row = index.cells.place(cell.cell)
    arrays, number = index.layer(place), (1 - sign) // 2
    full = int(arrays.trigger_token[row, number, -1]) != NO_TOKEN
    threshold = abs(float(arrays.trigger_coefficient[row, number, -1])) if full else None
    statistics = cell.statistics
    found = []
    strata = [one for one in reversed(cell.strata) if one.sign == sign]
    if strata:
        stored = _stored(index, cell, sign)
        edges = [one.low for one in strata]
        inside = np.bincount(np.searchsorted(edges, stored, side="right") - 1, minlength=len(strata))
        most = max(one.n_positions for one in strata)
        of_positions = tuple(
            _bar(one.low or None, one.high, one.n_positions, most, int(n))
            for one, n in zip(strata, inside, strict=True)
        )
        n_silent = statistics.n_tokens - sum(one.n_positions for one in strata)
        found.append(_density("positions", sign, of_positions, statistics.n_tokens, n_silent, threshold))
    of_sentences = bars(index, cell, sign)
    if of_sentences:
        n_silent = of_sentences[0].n if of_sentences[0].low is None else 0
        found.append(_density("sentences", sign, of_sentences, statistics.n_sentences, n_silent, threshold))
    return tuple(found)


def _density(
    of: Literal["positions", "sentences"],
    sign: int,
    shown: tuple[Bar, ...],
    n: int,
    n_silent: int,
    threshold: float | None,
) -> Density:
    most, width = max(one.n for one in shown), 1 / len(shown)
    at = None
    if threshold is not None:
        number = next((i for i, one in enumerate(shown) if one.high is None or threshold < one.high), len(shown) - 1)
        low, high = shown[number].low or 0.0, shown[number].high
        within = (threshold - low) / (high - low) if high is not None and high > low else 0.5
        at = (number + min(max(within, 0.0), 1.0)) * width
    step = -(-len(shown) // 9)
    last = shown[-1].high
    sizes = [Tick(i * width, "0" if one.low is None else f"{one.low:.3g}") for i, one in enumerate(shown)][::step]
    ends = [Tick(1.0, "∞" if last is None else f"{last:.3g}")] if (len(shown) - 1) % step or step == 1 else []
    logs = [Tick(float(np.log1p(one) / np.log1p(most)), f"{one:,}") for one in _powers(most)]
    return Density(
        of, sign, shown, n, n_silent, threshold, at, (*sizes, *ends),
        tuple(one for one in logs if not 0 < one.at < _NEAR),
        tuple(Tick(one / most, f"{one:,}") for one in _even(most)),
    )  # fmt: skip


def _powers(most: int) -> Sequence[int]:
    return [0, *(10**power for power in range(len(str(most))))]


def _even(most: int) -> Sequence[int]:
    """0 and a few round numbers up to the largest."""
    rough = max(most / 4, 1)
    unit = 10 ** (len(str(int(rough))) - 1)
    step = int(next(one * unit for one in (1, 2, 5, 10) if one * unit >= rough))
    return range(0, most + 1, step)


def _bar(low: float | None, high: float | None, n: int, most: int, n_triggers: int) -> Bar:
    height = float(np.log1p(n) / np.log1p(most)) if most else 0.0
    return Bar(low, high, n, height, n_triggers, n / most if most else 0.0)


def _stored(index: Index, cell: Cell, sign: int) -> np.ndarray:
    """Sizes of the stored triggers of a sign."""
    place, row = index.cells.place(cell.cell)
    arrays, number = index.layer(place), (1 - sign) // 2
    filled = np.asarray(arrays.trigger_token[row, number]) != NO_TOKEN
    found: np.ndarray = np.abs(np.asarray(arrays.trigger_coefficient[row, number]))[filled]
    return found


def bars(index: Index, cell: Cell, sign: int) -> tuple[Bar, ...]:
    """The bins of one sign from the first that holds a sentence to the last; none if no bin does."""
    statistics = cell.statistics
    counts = statistics.histogram[0 if sign > 0 else 1]
    edges = statistics.histogram_edges
    filled = [bin_ for bin_, n in enumerate(counts) if n]
    if not filled:
        return ()
    stored, _ = np.histogram(_stored(index, cell, sign), np.array(edges))
    most = max(counts)
    return tuple(
        _bar(
            edges[bin_] if np.isfinite(edges[bin_]) else None,
            edges[bin_ + 1] if np.isfinite(edges[bin_ + 1]) else None,
            counts[bin_],
            most,
            int(stored[bin_]),
        )
        for bin_ in range(filled[0], filled[-1] + 1)
    )
