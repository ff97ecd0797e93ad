"""Collections in the page: all of them, one with its cells, one that came in an address."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

from ffmem.errors import FfmemError, InputError
from ffmem.ids import CellId
from ffmem.json_values import JsonObject, Record, fields_to_json
from ffmem.names.collection_lines import Line, lines_of
from ffmem.names.collection_queries import as_typed
from ffmem.server.explorer import Explorer
from ffmem.store.collection_files import Collections, Kept, check_model, other_text
from ffmem.store.collections import (
    MAX_DESCRIPTION,
    Collection,
    Item,
    Note,
    Origin,
    check_collection_name,
    check_text,
)
from ffmem.store.paths import StorePaths

MAX_LINKED = 150
"""Cells that a link may hold: browsers and servers take some 8,000 characters of an address."""


@dataclass(frozen=True)
class CollectionRow(Record):
    """A collection in the list of all."""

    name: str
    n_items: int
    description: str
    asked: str
    """The question that it is the answer to; empty if it is none."""
    note: str
    """What is to be said of where it comes from."""
    problem: str
    """Why it cannot be read; empty if it can."""


@dataclass(frozen=True)
class CollectionsView(Record):
    """All collections of an index."""

    rows: tuple[CollectionRow, ...]


@dataclass(frozen=True)
class CollectionView:
    """A collection, and what the index knows of its cells."""

    collection: Collection
    revision: str
    """Of what is kept; empty for one that came in an address."""
    lines: tuple[Line, ...]
    limit: int
    note: str
    asked: str
    link: str
    """The query of an address that holds all cells; empty if they are too many."""

    def to_json(self) -> JsonObject:
        """As the file has it, with the revision, what the index knows, and the link."""
        return self.collection.to_json() | fields_to_json(self, "collection", "asked")


@dataclass(frozen=True)
class Membership(Record):
    """A collection that a cell is in."""

    name: str
    items: tuple[Item, ...]
    """The cell with one sign or both."""


def collections_view(explorer: Explorer) -> CollectionsView:
    """See `CollectionsView`."""
    origin, rows = Origin.of(explorer.index), []
    for name in collection_names(explorer):
        try:
            found = kept_collection(explorer, name).collection
        except FfmemError as error:
            rows.append(CollectionRow(name, 0, "", "", "", str(error)))
        else:
            rows.append(
                CollectionRow(
                    name, len(found.items), found.description, as_typed(found.query), other_text(found, origin), ""
                )
            )
    return CollectionsView(tuple(rows))


def collection_view(explorer: Explorer, kept: Kept, limit: int) -> CollectionView:
    """See `CollectionView`."""
    found, index = kept.collection, explorer.index
    return CollectionView(
        collection=found,
        revision=kept.revision,
        lines=tuple(lines_of(index, found.items[:limit])),
        limit=limit,
        note=other_text(found, Origin.of(index)),
        asked=as_typed(found.query),
        link=link_of(found),
    )


def collection_names(explorer: Explorer) -> list[str]:
    """The names of those there are."""
    folder = StorePaths(explorer.index.folder).collections
    return Collections(explorer.index).names() if folder.is_dir() else []


def kept_collection(explorer: Explorer, name: str) -> Kept:
    """A collection, read once for as long as its file stays the same.

    Raises:
        InputError: there is none, or it is of another model.
        StoreError: its file is damaged.
    """
    known: dict[str, tuple[tuple[int, int, int], Kept]] = explorer.kept("collections", dict)
    path: Path = StorePaths(explorer.index.folder).collections / f"{name}.json"
    check_collection_name(name)
    if not path.is_file():
        return Collections(explorer.index).load(name)  # which says what there is
    status = path.stat()
    stamp = status.st_ino, status.st_mtime_ns, status.st_size
    if name not in known or known[name][0] != stamp:
        known[name] = stamp, Collections(explorer.index).load(name)
    return known[name][1]


def memberships(explorer: Explorer, cell: CellId) -> tuple[Membership, ...]:
    """The collections that a cell is in; those that cannot be read are told on their own page."""
    found = []
    for name in collection_names(explorer):
        try:
            kept = kept_collection(explorer, name)
        except FfmemError:
            continue
        by_cell = explorer.kept(f"cells of {name} {kept.revision}", partial(_by_cell, kept.collection))
        if cell in by_cell:
            found.append(Membership(name, by_cell[cell]))
    return tuple(found)


def _by_cell(collection: Collection) -> dict[CellId, tuple[Item, ...]]:
    found: dict[CellId, tuple[Item, ...]] = {}
    for one in collection.items:
        found[one.cell] = (*found.get(one.cell, ()), one)
    return found


def link_of(collection: Collection) -> str:
    """The query of an address that holds the cells, without notes; empty if they are more than `MAX_LINKED`."""
    if not 0 < len(collection.items) <= MAX_LINKED:
        return ""
    cells = ",".join(f"{'-' if one.sign < 0 else ''}{one.cell}" for one in collection.items)
    query = {"cells": cells, "name": collection.name, "weights": collection.origin.weights[:16]}
    return urlencode(query | ({"about": collection.description[:300]} if collection.description else {}), safe=",")


def linked_view(explorer: Explorer, cells: str, name: str, about: str, weights: str) -> CollectionView:
    """The collection that an address holds.

    Raises:
        InputError: it is of another model, or is none.
    """
    origin = Origin.of(explorer.index)
    check_collection_name(name)
    if weights and not origin.weights.startswith(weights):
        other = Collection(name, Origin("", "another", weights, "", ""))
        check_model(other, origin.weights, explorer.name)
    items = units_in(explorer, cells)
    description = check_text(about, MAX_DESCRIPTION, "its description")
    found = Collection(name, origin, tuple(Item(*one) for one in dict.fromkeys(items)), description)
    return collection_view(explorer, Kept(found, ""), MAX_LINKED)


def units_in(explorer: Explorer, cells: str, most: int = MAX_LINKED) -> list[tuple[CellId, int]]:
    """The cells that stand in an address or a form: `L0.3`, and `-L0.3` for its negative coefficients.

    Raises:
        InputError: one of them is none, or they are too many.
    """
    parts = [one for one in cells.replace(",", " ").split() if one]
    if not 0 < len(parts) <= most:
        raise InputError(
            f"{len(parts):,} cells are named",
            f"Expected 1 to {most:,}",
            "Add more with ffmem collect add, or share the file",
        )
    return [(explorer.index.cell_id(one.removeprefix("-")), -1 if one.startswith("-") else 1) for one in parts]


def items_from(explorer: Explorer, values: object) -> tuple[Item, ...]:
    """Items as a page or a program sends them.

    Raises:
        InputError: they are none.
    """
    try:
        found = []
        for one in values:  # type: ignore[attr-defined] # what it is not is refused
            notes = tuple(_note(note) for note in one.get("notes", ()))
            tags = one.get("tags", ())
            if not isinstance(tags, list | tuple) or not all(isinstance(tag, str) for tag in tags):
                raise TypeError("tags that are no list of texts")
            sign = one.get("sign", 1)
            if type(sign) is not int or sign not in (1, -1):
                raise TypeError("a sign that is neither 1 nor -1")
            found.append(Item(explorer.index.cell_id(one["cell"]), sign, notes, tuple(tags)))
    except (TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"the items are not understood: {str(error)[:200]}",
            "Expected a list of objects with cell, sign, notes (author, text), tags",
            "Send them as /collections/NAME.json gives them",
        ) from error
    if len({one.unit for one in found}) != len(found):
        raise InputError("an item is sent twice", "Expected each cell and sign once", "Join them")
    return tuple(found)


def _note(values: JsonObject) -> Note:
    author, text = values.get("author", ""), values["text"]
    if not isinstance(author, str) or not isinstance(text, str):
        raise TypeError("a note that is no text")
    return Note(author, text)


def notes_of_form(fields: JsonObject) -> Iterable[Note]:
    """The notes that a form has, those that were emptied left out."""
    for i in range(200):
        text = str(fields.get(f"note-{i}", "")).replace("\r\n", "\n").strip()
        if text:
            yield Note(str(fields.get(f"author-{i}", "")).strip(), text)
