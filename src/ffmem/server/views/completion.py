"""Completes the name of a cell while it is typed."""

import re
from dataclasses import dataclass

from ffmem.errors import FfmemError
from ffmem.ids import CellId
from ffmem.store.collection_files import Collections
from ffmem.store.reader import Index

_N_FOUND = 8


@dataclass(frozen=True)
class Completion:
    """Something that a change can begin with."""

    cell: str
    """The cell, or `@` and the name of a collection."""
    called: str
    """What it is called; empty if it has no name."""


def complete(index: Index, typed: str) -> tuple[Completion, ...]:
    """Cells of an index whose id is what was typed, or whose name has it; and collections that begin with it."""
    typed = re.split("[*=+]", typed)[0].strip()
    if not typed:
        return ()
    if typed.startswith("@"):
        return _collections(index, typed[1:])
    try:
        cell = index.cells.whole.parse(typed)
    except FfmemError:
        words = [one for one in re.findall(r"\w+", typed) if len(one) > 1]
        found = index.names.find(words, limit=_N_FOUND)[0] if words else []
        return tuple(Completion(str(one), name.text) for one, _, name in found)
    return (_completion(index, cell),)


def _completion(index: Index, cell: CellId) -> Completion:
    name = index.names.shown(cell)
    return Completion(str(cell), "" if name is None else name.text)


def _collections(index: Index, typed: str) -> tuple[Completion, ...]:
    names = [one for one in Collections(index).names() if one.startswith(typed)]
    return tuple(Completion(f"@{one}", "collection") for one in names[:_N_FOUND])
