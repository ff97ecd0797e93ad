"""One cell."""

from dataclasses import dataclass, replace

from ffmem.annotations.batches import index_id
from ffmem.cell import Cell, Trigger
from ffmem.ids import CellId
from ffmem.json_values import JsonObject, fields_to_json
from ffmem.names.people import History, history
from ffmem.queries.bands import Band, bands
from ffmem.queries.bars import Bar, Density, densities
from ffmem.queries.glance import Glance, PromotedShape, glances, layer_shapes, promoted_shape
from ffmem.queries.profile import SignProfile, profile
from ffmem.server.explorer import Explorer
from ffmem.server.views.annotated import CellSaid, said_of
from ffmem.server.views.collections import Membership, collection_names, memberships
from ffmem.store.reader import Index
from ffmem.studies.geva2021.cell_patterns import CellPattern, patterns_of
from ffmem.version import __version__

N_BAND = 4
"""Positions of each strength."""


@dataclass(frozen=True)
class CellView:
    """A cell with everything that is known about it."""

    cell: Cell
    profiles: tuple[SignProfile, ...]
    patterns: tuple[CellPattern, ...] | None
    """None if no study has looked for them."""
    previous: CellId | None
    next: CellId | None
    citation: str
    said: tuple[History, ...] = ()
    """For each sign, what it is called and all that was said of it; none where text may not be shown."""
    collections: tuple[Membership, ...] = ()
    """That it is in."""
    collection_names: tuple[str, ...] = ()
    """Of all that there are."""
    glances: tuple[Glance, ...] = ()
    """For each sign, what it fires on and what that promotes."""
    promoted_shape: PromotedShape | None = None
    densities: tuple[tuple[Density, ...], ...] = ()
    """For each sign, how its coefficients are spread."""
    bands: tuple[tuple[Band, ...], ...] = ()
    """For each sign, some positions of each strength; empty without a sample."""
    annotated: tuple[CellSaid, ...] = ()
    """What annotators said of its triggers."""
    bibtex: str = ""

    @property
    def histograms(self) -> tuple[tuple[Bar, ...], ...]:
        """For each sign, sentences by their largest coefficient: the bins from the first that holds one to the last."""
        of_signs = (next((one.bars for one in found if one.of == "sentences"), ()) for found in self.densities)
        return tuple(of_signs)

    @property
    def knock_out(self) -> str | None:
        """A text on which it is strongest: a prefix that ends with the firing token; None if it never fires."""
        best = next((one for one in self.cell.triggers if one.rank == 0), None)
        return None if best is None else best.text.encode("utf-8", "replace")[: best.span[1]].decode(errors="ignore")

    @property
    def to_try(self) -> tuple[tuple[str, str], ...]:
        """Texts to begin with, each with what it is: the sentence of its first trigger, and one on which it is silent."""
        best = next((one for one in self.cell.triggers if one.rank == 0), None)
        silent = next((one.examples[0] for one in self.cell.strata if one.sign == 0 and one.examples), None)
        found = [] if best is None else [("its strongest trigger", best.text)]
        return tuple(found + ([] if silent is None else [("a sentence with a silent position", silent.text)]))

    def triggers(self, sign: int, n: int) -> tuple[Trigger, ...]:
        """The first of one sign."""
        return tuple(one for one in self.cell.triggers if one.sign == sign and one.rank < n)

    @property
    def signs(self) -> tuple[int, ...]:
        """Of the lists that it can have."""
        return (1, -1)[: len(self.histograms)]

    def to_json(self) -> JsonObject:
        """As plain JSON values."""
        return self.cell.to_json() | fields_to_json(self, "cell", "collection_names")


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
        previous=_neighbour(index, place, row - 1),
        next=_neighbour(index, place, row + 1),
        citation=citation(index, cell),
        collections=memberships(explorer, cell),
        collection_names=tuple(collection_names(explorer)),
        glances=glances(found, index.signs_of(place), found.projection),
        promoted_shape=promoted_shape(
            found, row, explorer.kept(f"promoted {place}", lambda: layer_shapes(index, place))
        ),
        densities=tuple(densities(index, found, sign) for sign in (1, -1)[: index.signs_of(place)]),
        bands=tuple(bands(index, found, sign, N_BAND if whole else 2) for sign in (1, -1)[: index.signs_of(place)]),
        annotated=said_of(explorer, cell),
        bibtex=bibtex(index, cell),
        said=tuple(history(index, cell, sign) for sign in (1, -1)[: index.n_signs]),
    )


def citation(index: Index, cell: CellId) -> str:
    """A line that names a cell for good: model and weights, text, index, version."""
    model, corpus = index.manifest.identity.model, index.manifest.identity.corpus
    return (
        f"Cell {cell} of {model.name} (weights {model.weights_sha256[:12]}) over {corpus.name}, "
        f"{index_id(index)}, ffmem {__version__}"
    )


def bibtex(index: Index, cell: CellId) -> str:
    """The same for BibTeX."""
    identity = index.manifest.identity
    key = "".join(one if one.isalnum() else "-" for one in f"ffmem-{identity.model.name}-{cell}")
    model, corpus = (_in_braces(one) for one in (identity.model.name, identity.corpus.name))
    return (
        f"@misc{{{key},\n"
        f"  title = {{Cell {cell} of {model}}},\n"
        f"  note = {{A feed-forward memory over {corpus}; weights {identity.model.weights_sha256[:12]}, "
        f"{index_id(index)}, ffmem {__version__}}}\n"
        "}"
    )


def _in_braces(text: str) -> str:
    """A name between braces, in which BibTeX takes some characters for its own."""
    return "".join("\\" + one if one in "{}%#&_$\\" else one for one in text)


def _neighbour(index: Index, place: int, row: int) -> CellId | None:
    """The cell at a row, which may lie in the layer before or after; None beyond the ends."""
    if row < 0:
        place -= 1
        row = index.cells.layers[place].n_cells - 1
    elif row >= index.cells.layers[place].n_cells:
        place, row = place + 1, 0
    return index.cells.cell_id(place, row) if 0 <= place < index.n_layers else None
