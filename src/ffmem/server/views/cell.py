"""One cell."""

from dataclasses import dataclass, replace

from ffmem.annotations.batches import index_id
from ffmem.cell import Cell, Trigger
from ffmem.ids import CellId
from ffmem.json_values import JsonObject, fields_to_json
from ffmem.queries.bars import Bar, bars
from ffmem.queries.profile import SignProfile, profile
from ffmem.server.explorer import Explorer
from ffmem.store.reader import Index
from ffmem.studies.geva2021.cell_patterns import CellPattern, patterns_of
from ffmem.version import __version__


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

    def to_json(self) -> JsonObject:
        """As plain JSON values."""
        return self.cell.to_json() | fields_to_json(self, "cell", "histograms")


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
    quadrants = tuple(replace(one, triggers=one.triggers[:n_triggers]) for one in found.quadrants)
    triggers = tuple(one for one in found.triggers if one.rank < n_triggers)
    shown = replace(found, triggers=triggers, quadrants=quadrants)
    return CellView(
        cell=shown,
        profiles=profile(index, found) if whole else (),
        patterns=None if results is None else patterns_of(results, layer, cell),
        histograms=tuple(bars(index, found, sign) for sign in (1, -1)[: index.n_signs]),
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
