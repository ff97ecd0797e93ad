"""What is done with collections: sets of them, what two differ in, one cell list in two indexes."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Literal, get_args

import numpy as np

from ffmem.errors import InputError
from ffmem.json_values import Record
from ffmem.queries.diff import Diff, diff
from ffmem.store.collection_files import check_model, other_text
from ffmem.store.collections import Collection, Item, Origin
from ffmem.store.label_rows import Unit
from ffmem.store.reader import Index

SetOperation = Literal["union", "intersection", "difference"]


@dataclass(frozen=True)
class ItemChange(Record):
    """An item that both collections have, and say different things of."""

    before: Item
    after: Item


@dataclass(frozen=True)
class CollectionDiff(Record):
    """What the second collection has that the first has not, and the other way round."""

    first: str
    second: str
    added: tuple[Item, ...]
    removed: tuple[Item, ...]
    changed: tuple[ItemChange, ...]
    n_same: int


@dataclass(frozen=True)
class Compared(Record):
    """The cells of a collection in two indexes."""

    name: str
    diff: Diff | None
    """None if the collection is empty."""
    notes: tuple[str, ...]
    """What the two indexes differ in."""


def combine(
    name: str,
    collections: Sequence[Collection],
    origin: Origin,
    how: SetOperation = "union",
    description: str | None = None,
) -> Collection:
    """One collection of several, whose order matters to "difference" alone.

    Args:
        name: of the new one.
        collections: at least one.
        origin: the index that it will be of.
        how: "union": all items, an item of several with the notes and tags of each; "intersection": the items that all
            have, likewise; "difference": the items of the first that no other has.
        description: by default the lines that the descriptions have, each once, in order.

    Raises:
        InputError: one of them is of another model.
    """
    if how not in get_args(SetOperation):
        raise InputError(
            f"--how is {how!r}", f"Expected one of: {', '.join(get_args(SetOperation))}", "Write --how union"
        )
    for one in collections:
        check_model(one, origin.weights, origin.model)
    operation = {"union": _union, "intersection": _intersection, "difference": _difference}[how]
    items = reduce(operation, (one.items for one in collections))
    used = collections[:1] if how == "difference" else collections
    lines = sorted({line for one in used for line in one.description.splitlines() if line.strip()})
    query = collections[0].query if len({repr(one.query) for one in collections}) == 1 else None
    return Collection(name, origin, items, "\n".join(lines) if description is None else description, query)


_Items = tuple[Item, ...]


def _union(first: _Items, second: _Items) -> _Items:
    found = {one.unit: one for one in first}
    for one in second:
        found[one.unit] = found[one.unit].with_more(one) if one.unit in found else one
    return tuple(found.values())


def _intersection(first: _Items, second: _Items) -> _Items:
    other = {one.unit: one for one in second}
    return tuple(one.with_more(other[one.unit]) for one in first if one.unit in other)


def _difference(first: _Items, second: _Items) -> _Items:
    other = {one.unit for one in second}
    return tuple(one for one in first if one.unit not in other)


def notes_on(collections: Iterable[Collection], origin: Origin) -> tuple[str, ...]:
    """What is to be said of collections that were made with another text, or other options."""
    return tuple(dict.fromkeys(note for one in collections if (note := other_text(one, origin))))


def compare_collections(first: Collection, second: Collection) -> CollectionDiff:
    """What two collections differ in.

    Raises:
        InputError: they are of different models.
    """
    check_model(second, first.origin.weights, first.name)
    ours, theirs = first.by_unit, second.by_unit
    both = [unit for unit in ours if unit in theirs]
    return CollectionDiff(
        first=first.name,
        second=second.name,
        added=tuple(one for one in second.items if one.unit not in ours),
        removed=tuple(one for one in first.items if one.unit not in theirs),
        changed=tuple(ItemChange(ours[unit], theirs[unit]) for unit in both if ours[unit] != theirs[unit]),
        n_same=sum(ours[unit] == theirs[unit] for unit in both),
    )


def compare_in(collection: Collection, left: Index, right: Index) -> Compared:
    """The cells of a collection in two indexes: of one model over two texts, or of two checkpoints.

    Raises:
        InputError: the indexes have different layers, or a cell is not in them.
    """
    masks = [np.zeros(layer.n_cells, dtype=bool) for layer in left.cells.layers]
    for cell in collection.cells:
        place, row = left.cells.place(cell)
        masks[place][row] = True
    here, there = Origin.of(left), Origin.of(right)
    notes = []
    if here.weights != there.weights:
        notes.append(f"{right.folder} is of other weights ({there.model}): a cell there need not mean the same")
    if here.corpus_sha256 != there.corpus_sha256:
        notes.append(f"the texts differ: {here.corpus} and {there.corpus}")
    found = diff(left, right, among=masks, limit=len(collection.cells)) if collection.items else None
    return Compared(collection.name, found, tuple(notes))


def adding(
    name: str, origin: Origin, items: Iterable[Item], description: str | None = None
) -> Callable[[Collection | None], Collection]:
    """The change that adds items, to a new collection if there is none."""

    def change(before: Collection | None) -> Collection:
        made = before or Collection(name, origin)
        if description is not None:
            made = replace(made, description=description)
        return made.with_items(items)

    return change


def removing(name: str, units: Iterable[Unit], known: Iterable[str] = ()) -> Callable[[Collection | None], Collection]:
    """The change that takes cells out.

    Raises (the change does):
        InputError: one of them is not in it.
    """

    def change(before: Collection | None) -> Collection:
        assert before is not None, known
        gone = dict.fromkeys(units)
        lacking = [unit for unit in gone if unit not in before.by_unit]
        if lacking:
            cell, sign = lacking[0]
            raise InputError(
                f"{cell}{' with negative coefficients' if sign < 0 else ''} is not in the collection {name}",
                "Expected cells that it has",
                f"See which those are: ffmem collect show DIR {name}",
            )
        return replace(before, items=tuple(one for one in before.items if one.unit not in gone))

    return change
