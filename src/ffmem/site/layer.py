"""The pages of one layer of cells."""

import hashlib
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from ffmem.cell import Cell, Document, Trigger
from ffmem.queries.table import cells
from ffmem.server.explorer import Explorer
from ffmem.server.links import FolderLinks
from ffmem.server.pages import render
from ffmem.server.views.cell import CellView, cell_view
from ffmem.server.views.cells import CellsView
from ffmem.site.words import Postings, add, words_of
from ffmem.store.paths import StorePaths
from ffmem.store.reader import Index
from ffmem.store.text import DocumentRow, SentenceRow, TextReader

N_PROMOTED = 10
"""Promoted tokens that search knows of a cell."""


@dataclass(frozen=True)
class SiteOptions:
    """What decides the pages."""

    triggers: int = 10
    """Triggers of each cell and sign."""
    text: bool = True
    """Whether text of the corpus may be on the pages."""


@dataclass
class LayerWords:
    """What search needs to know of a layer."""

    triggers: Postings = field(default_factory=dict)
    promoted: Postings = field(default_factory=dict)
    summaries: list[list[str]] = field(default_factory=list)
    """Of each cell the token that it fires on, and three that it promotes."""
    n_bytes: int = 0


def site_index(index: Index) -> Index:
    """The index, with its sentences kept at hand: neighbouring cells share them."""
    index.text = _KeptText(StorePaths(index.folder).index)
    return index


class _KeptText(TextReader):
    """Sentences and documents are read once, as long as there is room for them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.sentence = lru_cache(maxsize=200_000)(super().sentence)  # type: ignore[method-assign]
        self.document = lru_cache(maxsize=200_000)(super().document)  # type: ignore[method-assign]

    def sentence(self, sentence_id: int) -> SentenceRow:
        """See `TextReader.sentence`."""
        raise NotImplementedError  # replaced above

    def document(self, document_id: int) -> DocumentRow:
        """See `TextReader.document`."""
        raise NotImplementedError  # replaced above


def write_layer(explorer: Explorer, place: int, out: Path, options: SiteOptions) -> LayerWords:
    """Write the pages of the cells of a layer, and the table of them.

    Args:
        explorer: whose pages they are.
        place: of the layer.
        out: folder of the site.
        options: what decides the pages.

    Returns:
        what search needs.
    """
    index, layer = explorer.index, explorer.index.cells.layers[place]
    links, found = FolderLinks(2), LayerWords()
    first = sum(one.n_cells for one in index.cells.layers[:place])
    (out / "cells" / layer.name).mkdir(parents=True, exist_ok=True)
    for row in range(layer.n_cells):
        view = _shown(cell_view(explorer, index.cells.cell_id(place, row), options.triggers, whole=False), options)
        page = render(
            "cell.html", links, explorer=explorer, here="", view=view, n_triggers=options.triggers, shades={},
            choices=(), titles={},
        ).encode("utf-8", "backslashreplace")  # fmt: skip
        (out / links.cell_file(view.cell.cell)).write_bytes(page)
        found.n_bytes += len(page)
        _note(found, first + row, view.cell)
    rows = tuple(cells(index, layer=layer.name, sort="index", limit=layer.n_cells))
    table = render(
        "cells.html", FolderLinks(1), explorer=explorer, here="", view=CellsView(layer.name, "index", len(rows), rows)
    ).encode("utf-8", "backslashreplace")
    (out / "cells" / f"{layer.name}.html").write_bytes(table)
    found.n_bytes += len(table)
    return found


def without_text(trigger: Trigger) -> Trigger:
    """A trigger that says nothing of the text but the firing token and the next one: and by a hash, which sentence it is."""
    token = trigger.tokens[trigger.position]
    digest = hashlib.sha256(trigger.text.encode()).hexdigest()[:16]
    document = Document(
        trigger.document.document_id, f"document {trigger.document.document_id}, sentence hash {digest}", {}
    )
    return replace(trigger, tokens=(token,), position=0, text=token, span=(0, len(token.encode())), document=document)


def _shown(view: CellView, options: SiteOptions) -> CellView:
    if options.text:
        return view
    triggers = tuple(without_text(one) for one in view.cell.triggers)
    return replace(view, cell=replace(view.cell, triggers=triggers), patterns=())


def _note(found: LayerWords, number: int, cell: Cell) -> None:
    words: set[str] = set()
    for one in cell.triggers:
        words |= words_of(one.text)
    add(found.triggers, words, number)
    promoted = [one.token for one in cell.promoted[:N_PROMOTED]]
    add(found.promoted, {word for token in promoted for word in words_of(token)}, number)
    firing = cell.triggers[0].tokens[cell.triggers[0].position] if cell.triggers else ""
    found.summaries.append([firing, *promoted[:3]])
