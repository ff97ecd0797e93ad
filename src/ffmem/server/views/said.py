"""What people said of cells, by the words in it: annotations, and notes and tags of collections."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from ffmem.errors import FfmemError
from ffmem.ids import CellId
from ffmem.json_values import Record
from ffmem.queries.matches import Masks
from ffmem.server.explorer import Explorer
from ffmem.server.views.annotated import stored_of
from ffmem.store.collection_files import Collections


@dataclass(frozen=True)
class Said(Record):
    """Something that somebody said of a cell."""

    text: str
    author: str
    """Empty if nobody is named."""
    where: str
    """The batch of annotations, or the collection."""
    sign: int = 1


def said_of_cells(explorer: Explorer, words: str) -> dict[CellId, tuple[Said, ...]]:
    """What was said with these words in it, in any case of their letters, by cell; ``*``: all that was said."""
    found: dict[CellId, tuple[Said, ...]] = {}
    for cell, said in _all(explorer):
        if words == "*" or words.casefold() in said.text.casefold():
            found[cell] = (*found.get(cell, ()), said)
    return found


def masks_of(explorer: Explorer, cells: dict[CellId, tuple[Said, ...]]) -> Masks:
    """For each layer, which of its cells these are."""
    index = explorer.index
    masks = [np.zeros(layer.n_cells, dtype=bool) for layer in index.cells.layers]
    for cell in cells:
        if cell in index.cells:
            place, row = index.cells.place(cell)
            masks[place][row] = True
    return masks


def _all(explorer: Explorer) -> Iterator[tuple[CellId, Said]]:
    for one in stored_of(explorer):
        for pattern in one.patterns:
            yield one.shown.cell, Said(pattern.text, one.annotator, one.batch, one.shown.sign)
    collections = Collections(explorer.index)
    for name in collections.names():
        with suppress(FfmemError):  # one that cannot be read is shown as such on the page of collections
            for item in collections.load(name).collection.items:
                for note in item.notes:
                    yield item.cell, Said(note.text, note.author, name, item.sign)
                for tag in item.tags:
                    yield item.cell, Said(tag, "", name, item.sign)
