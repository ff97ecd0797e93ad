"""Where a cell fires, from its strongest positions down to silence: some of each part, not the strongest alone."""

from dataclasses import dataclass

import numpy as np

from ffmem.cell import Cell, Trigger
from ffmem.json_values import Record
from ffmem.store.reader import Index
from ffmem.store.strata import N_ACTIVE

PARTS = ((0.0, 0.01), (0.01, 0.1), (0.1, 0.5), (0.5, 1.0))
"""Of the positions where it fires, by how large a share of them is stronger."""
_NAMES = ("the strongest 1 %", "90th to 99th percentile", "50th to 90th percentile", "the weaker half")


@dataclass(frozen=True)
class Band(Record):
    """Positions of a cell that are about equally strong, and some of those that were drawn from them."""

    name: str
    sign: int
    """1 or -1; 0 where it is silent."""
    n_positions: float
    """How many there are: of a part of the firing ones, as the drawn ones stand for them; where it is silent, counted."""
    share: float
    """Of all positions of the cell."""
    n_drawn: int
    """How many of them the index has."""
    low: float
    """The weakest of the drawn ones."""
    high: float
    """The strongest of them."""
    examples: tuple[Trigger, ...]
    """Some of these, from the strongest down, evenly spread; where it is silent, or of all firing ones, in the order of a
    draw."""


def bands(index: Index, cell: Cell, sign: int, n_examples: int = 4) -> tuple[Band, ...]:
    """Parts of the positions where a cell fires, by quantile; a draw from all of these; and, with the sign 1, silence.

    Args:
        index: an opened index with a sample.
        cell: one of its cells.
        sign: of the coefficients.
        n_examples: at most so many of each.

    Returns:
        those that have positions; none without a sample.
    """
    if not index.manifest.options.sample:
        return ()
    sample = index.sample(cell.cell, sign)
    order = np.lexsort((sample.tokens, -sample.coefficients))
    order = order[sample.strata[order] < N_ACTIVE]
    tokens, weights = sample.tokens[order].tolist(), sample.weights[order]
    coefficients = sample.coefficients[order] * sign
    total, n_all = float(weights.sum()), max(cell.statistics.n_tokens, 1)
    stronger = (np.cumsum(weights) - weights / 2) / max(total, 1)

    def some(numbers: list[int]) -> tuple[Trigger, ...]:
        return tuple(
            index.trigger(sign, rank, float(coefficients[number]), tokens[number])
            for rank, number in enumerate(numbers)
        )

    found = []
    for name, (first, end) in zip(_NAMES, PARTS, strict=True):
        here = np.flatnonzero((stronger >= first) & (stronger < end))
        if len(here):
            n = float(weights[here].sum())
            chosen = here[np.unique(np.linspace(0, len(here) - 1, min(n_examples, len(here))).round().astype(int))]
            ends = float(coefficients[here[-1]]), float(coefficients[here[0]])
            found.append(Band(name, sign, n, n / n_all, len(here), *ends, some(chosen.tolist())))
    if len(order):
        dice = np.random.default_rng(tokens[0])
        draw = dice.choice(len(order), min(n_examples, len(order)), replace=False, p=weights / total)
        ends = float(coefficients[-1]), float(coefficients[0])
        found.append(
            Band("any firing position, at random", sign, total, total / n_all, len(order), *ends, some(draw.tolist()))
        )
    silent = [one for one in cell.strata if one.sign == 0] if sign > 0 else []
    return (
        *found,
        *(
            Band("silent", 0, one.n_positions, one.share, one.n_drawn, 0.0, 0.0, one.examples[:n_examples])
            for one in silent
        ),
    )
