"""One cell."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ffmem.annotations.batches import index_id
from ffmem.cell import Cell, Trigger
from ffmem.ids import CellId
from ffmem.queries.profile import SignProfile, profile
from ffmem.server.explorer import Explorer
from ffmem.store.keys import NO_TOKEN
from ffmem.store.reader import Index
from ffmem.studies.geva2021.cell_patterns import CellPattern, patterns_of
from ffmem.version import __version__


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


@dataclass(frozen=True)
class CellView:
    """A cell with everything that is known about it."""

    cell: Cell
    profiles: tuple[SignProfile, ...]
    patterns: tuple[CellPattern, ...] | None
    """None if no study has looked for them."""
    histograms: tuple[tuple[Bar, ...], ...]
    """One for each sign: the bins from the first that holds a sentence to the last."""
    previous: CellId | None
    next: CellId | None
    citation: str

    def triggers(self, sign: int, n: int) -> tuple[Trigger, ...]:
        """The first of one sign."""
        return tuple(one for one in self.cell.triggers if one.sign == sign and one.rank < n)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return self.cell.to_json() | {
            "profiles": [one.to_json() for one in self.profiles],
            "patterns": None if self.patterns is None else [one.to_json() for one in self.patterns],
            "previous": None if self.previous is None else str(self.previous),
            "next": None if self.next is None else str(self.next),
            "citation": self.citation,
        }


def cell_view(explorer: Explorer, cell: CellId, n_triggers: int, whole: bool = True) -> CellView:
    """See `CellView`.

    Args:
        explorer: of the index.
        cell: which.
        n_triggers: triggers of each sign that are given.
        whole: False: look at no others, and leave out what is counted over all of them; many times quicker.
    """
    index, results = explorer.index, explorer.patterns_folder
    found = index.cell(cell, None if whole else n_triggers)
    place, row = index.cells.place(cell)
    layer = index.cells.layers[place].name
    shown = Cell(**(found.__dict__ | {"triggers": tuple(one for one in found.triggers if one.rank < n_triggers)}))
    return CellView(
        cell=shown,
        profiles=profile(index, found) if whole else (),
        patterns=None if results is None else patterns_of(results, layer, cell),
        histograms=tuple(_bars(index, found, sign) for sign in (1, -1)[: index.n_signs]),
        previous=_neighbour(index, place, row - 1),
        next=_neighbour(index, place, row + 1),
        citation=citation(index, cell),
    )


def citation(index: Index, cell: CellId) -> str:
    """A line that names a cell for good: model and weights, text, index, version."""
    model, corpus = index.manifest.identity.model, index.manifest.identity.corpus
    return (
        f"Cell {cell} of {model.name} (weights {model.weights_sha256[:12]}) over {corpus.name}, "
        f"{index_id(index)}, ffmem {__version__}"
    )


def _neighbour(index: Index, place: int, row: int) -> CellId | None:
    """The cell at a row, which may lie in the layer before or after; None beyond the ends."""
    if row < 0:
        place -= 1
        row = index.cells.layers[place].n_cells - 1
    elif row >= index.cells.layers[place].n_cells:
        place, row = place + 1, 0
    return index.cells.cell_id(place, row) if 0 <= place < index.n_layers else None


def _bars(index: Index, cell: Cell, sign: int) -> tuple[Bar, ...]:
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
