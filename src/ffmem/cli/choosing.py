"""What a user writes for some cells of an index, and where the cells of an answer are kept: one way for all verbs."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ffmem.errors import InputError
from ffmem.ids import CellId
from ffmem.names import collection_queries
from ffmem.names.collections import adding
from ffmem.queries.matches import Masks
from ffmem.selection import split_selection
from ffmem.store.collection_cells import changes_of, selected
from ffmem.store.collection_files import Collections, other_text
from ffmem.store.collections import Item
from ffmem.store.paths import StorePaths
from ffmem.store.reader import Index

if TYPE_CHECKING:
    from ffmem.models.transformer import Transformer


def among(index: Index, cells: str | None, seed: int = 0) -> Masks | None:
    """For each layer, by its place, which of its cells `--cells` names; None where it is left out.

    Of a collection that was made with another text, that is said.
    """
    if cells is None:
        return None
    collections = Collections(index)
    for part in split_selection(cells):
        note = other_text(collections.find(part[1:]), collections.origin) if part.startswith("@") else ""
        if note:
            print(f"ffmem: {note}", file=sys.stderr)
    return selected(index, cells, seed)


def keep(
    index: Index, save: str | None, verb: str, arguments: Mapping[str, Any], answer: collection_queries.Answer
) -> None:
    """What `--save` does: the question with its answer becomes a collection, if a name is given."""
    if save is not None:
        kept = collection_queries.save(index, save, verb, arguments, answer)
        print(f"ffmem: saved as the collection {save}: {len(kept.collection.items):,} cells", file=sys.stderr)


def check_save(save: str | None, index: str) -> None:
    """Refuse `--save` without an index, before a model is loaded.

    Args:
        save: a collection's name; None: nothing is kept.
        index: what would be the index: `--index`, or what is given in place of a model.

    Raises:
        InputError: there is no index beside which cells could be kept.
    """
    if save is not None and not StorePaths(Path(index)).manifest.is_file():
        raise InputError(
            f"--save {save} is given without an index", "Expected one beside which cells are kept", "Add --index DIR"
        )


def keep_cells(index: Index | None, save: str | None, found: Iterable[tuple[CellId, float]]) -> None:
    """What `--save` does where the question cannot be asked of the index alone: its cells join a collection.

    Args:
        index: beside which it is.
        save: its name; None: nothing is kept.
        found: cells, with coefficients; of a gated cell, one below 0 means its negative side.
    """
    if save is None or index is None:
        return
    units = [(cell, -1 if coefficient < 0 and index.n_signs == 2 else 1) for cell, coefficient in found]
    items = [Item(*one) for one in dict.fromkeys(units)]
    collections = Collections(index)
    kept = collections.change(save, adding(save, collections.origin, items))
    assert kept is not None
    n = len(kept.collection.items)
    print(f"ffmem: {len(items):,} cells are in the collection {save}, which has {n:,}", file=sys.stderr)


def expand_changes(changes: Iterable[str], model: "Transformer", beside: Index | None) -> list[str]:
    """Changes of `ffmem intervene`, one for each cell of a collection."""
    found: list[str] = []
    for change in changes:
        if change.lstrip().startswith("@"):
            found += changes_of(change, model.weights_hash(), model.facts.name, beside)
        else:
            found.append(change)
    return found
