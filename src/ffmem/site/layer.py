"""The pages of one layer of cells."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from ffmem.cell import Cell, Document, Trigger
from ffmem.queries.documents import metadata_of
from ffmem.queries.table import cells
from ffmem.server.explorer import Explorer
from ffmem.server.links import FolderLinks
from ffmem.server.pages import render
from ffmem.server.views.cell import CellView, cell_view
from ffmem.server.views.cells import CellsView, cells_csv
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
    firing: Postings = field(default_factory=dict)
    """Tokens that triggers fire on."""
    named: Postings = field(default_factory=dict)
    """Words of names."""
    topics: Postings = field(default_factory=dict)
    """Words of topics that names claim, or that half of the triggers' documents have."""
    summaries: list[list[str]] = field(default_factory=list)
    """Of each cell the token that it fires on, and three that it promotes."""
    n_bytes: int = 0


def site_index(index: Index, *, text: bool = True) -> Index:
    """The index, with its sentences kept at hand: neighbouring cells share them; and with names that may be shown."""
    index.text = _KeptText(StorePaths(index.folder).index)
    if not text:
        index.names = index.names.without_quotes()
    return index


class _KeptText(TextReader):
    """Sentences and documents are read once, as long as there is room for them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._sentence = lru_cache(maxsize=200_000)(super().sentence)
        self._document = lru_cache(maxsize=200_000)(super().document)

    def sentence(self, sentence_id: int) -> SentenceRow:
        """See `TextReader.sentence`."""
        return self._sentence(sentence_id)

    def document(self, document_id: int) -> DocumentRow:
        """See `TextReader.document`."""
        return self._document(document_id)


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
    topic_field = metadata_of(index).topic_field
    (out / "cells" / layer.name).mkdir(parents=True, exist_ok=True)
    for row in range(layer.n_cells):
        view = _shown(cell_view(explorer, index.cells.cell_id(place, row), options.triggers, whole=False), options)
        page = render(
            "cell.html", links, explorer=explorer, here="", view=view, n_triggers=options.triggers, shades={},
            choices=(), titles={},
        ).encode("utf-8", "backslashreplace")  # fmt: skip
        (out / links.cell_file(view.cell.cell)).write_bytes(page)
        found.n_bytes += len(page)
        _note(found, first + row, view.cell, topic_field)
    rows = tuple(cells(index, layer=layer.name, sort="index", limit=layer.n_cells))
    table = render(
        "cells.html", FolderLinks(1), explorer=explorer, here="", view=CellsView(layer.name, "index", len(rows), rows)
    ).encode("utf-8", "backslashreplace")
    (out / "cells" / f"{layer.name}.html").write_bytes(table)
    whole = b"".join(cells_csv(explorer, layer=layer.name, sort="index"))
    (out / "cells" / f"{layer.name}.csv").write_bytes(whole)
    found.n_bytes += len(table) + len(whole)
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
    cell = view.cell
    shown = replace(
        cell,
        triggers=_without_text(cell.triggers),
        quadrants=tuple(replace(one, triggers=_without_text(one.triggers)) for one in cell.quadrants),
        strata=tuple(replace(one, examples=_without_text(one.examples)) for one in cell.strata),
    )
    shown_bands = tuple(
        tuple(replace(one, examples=_without_text(one.examples)) for one in of_sign) for of_sign in view.bands
    )
    return replace(view, cell=shown, patterns=(), said=(), bands=shown_bands, annotated=())


def _without_text(triggers: tuple[Trigger, ...]) -> tuple[Trigger, ...]:
    return tuple(map(without_text, triggers))


def _note(found: LayerWords, number: int, cell: Cell, topic_field: str) -> None:
    words: set[str] = set()
    for one in cell.triggers:
        words |= words_of(one.text)
    add(found.triggers, words, number)
    promoted = [one.token for one in cell.promoted[:N_PROMOTED]]
    add(found.promoted, {word for token in promoted for word in words_of(token)}, number)
    firing = cell.triggers[0].tokens[cell.triggers[0].position] if cell.triggers else ""
    found.summaries.append([firing, *promoted[:3]])
    add(found.firing, {word for one in cell.triggers for word in words_of(one.tokens[one.position])}, number)
    names = [one for one in cell.names if not one.is_guess]
    add(found.named, {word for one in names for word in words_of(one.text)}, number)
    add(found.topics, {word for one in _topics(cell, topic_field) for word in words_of(one)}, number)


def _topics(cell: Cell, field_name: str) -> set[str]:
    """What a cell is about: what its name claims, and what at least half of its triggers' documents are about."""
    topics = {one.topic for one in cell.names if one.topic and not one.is_guess}
    of_triggers = Counter(str(one.document.metadata.get(field_name, "")) for one in cell.triggers)
    return topics | {topic for topic, n in of_triggers.items() if topic and 2 * n >= len(cell.triggers)}
