"""What `@NAME` stands for in a selection of cells, and in a change of cells."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ffmem.errors import InputError
from ffmem.ids import CellId, CellSpace, format_runs, runs_of
from ffmem.selection import select, split_selection
from ffmem.store.collection_files import Collections, check_model, is_file, read_file

if TYPE_CHECKING:
    from ffmem.store.reader import Index


def collections_named(text: str, weights: str, where: str, beside: "Index | None") -> dict[str, tuple[CellId, ...]]:
    """The cells of every collection that a selection names, by its part.

    Args:
        text: the selection.
        weights: of the model that cells are selected of.
        where: what has this model, for messages.
        beside: the index whose collections `@NAME` means; None: only files can be named.

    Raises:
        InputError: there is no such collection, or it is of another model.
        StoreError: its file is damaged.
    """
    found = {}
    for part in split_selection(text):
        if not part.startswith("@"):
            continue
        if beside is not None:
            collection = Collections(beside).find(part[1:])
        elif is_file(part[1:]):
            collection = read_file(Path(part[1:]))
            check_model(collection, weights, where)
        else:
            raise InputError(
                f"{part[:100]} is the name of a collection, and no index is known here that has it",
                "Expected the path of its file",
                f"Write @DIR/collections/{part[1:100]}.json",
            )
        found[part] = collection.cells
    return found


def without_collections(text: str, weights: str, where: str, beside: "Index | None" = None) -> str:
    """A selection in which cells stand in the place of collections: the same whatever becomes of their files.

    Raises:
        InputError: as `collections_named`; or cells of experts, of which selections take the same in each.
    """
    cells_of = collections_named(text, weights, where, beside)
    parts = []
    for part in split_selection(text):
        if part not in cells_of:
            parts.append(part)
            continue
        by_layer: dict[str, list[int]] = {}
        for cell in cells_of[part]:
            if cell.expert is not None:
                raise InputError(
                    f"the collection {part[:100]} has {cell}, a cell of one expert",
                    "Expected cells of plain layers: an index has the same indices of every expert",
                    "Write the indices themselves: --cells L9.5",
                )
            by_layer.setdefault(cell.layer_name, []).append(cell.index)
        for layer, indices in by_layer.items():
            parts += [f"{layer}.{run}" for run in format_runs(runs_of(indices)).split(",")]
    if not parts:
        raise InputError(
            f"--cells is {text[:100]!r}, and these collections are empty",
            "Expected some cells",
            "Add some: ffmem collect add DIR NAME CELLS",
        )
    return ",".join(parts)


def selected(index: "Index", text: str, seed: int = 0) -> list[np.ndarray]:
    """Which cells of an index a selection names: for each layer, by its place, a bool for each of its cells.

    Args:
        index: an opened index.
        text: as `ffmem.selection` has it, `@NAME` for the collections beside the index.
        seed: of what is drawn.

    Raises:
        InputError: a part has none of the forms, or names what the index does not have; or there is no such collection.
    """
    weights = index.manifest.identity.model.weights_sha256
    masks = [np.zeros(layer.n_cells, dtype=bool) for layer in index.cells.layers]
    named = collections_named(text, weights, str(index.folder), index)
    for cells in named.values():
        for cell in cells:
            place, row = index.cells.place(cell)
            masks[place][row] = True
    rest = ",".join(part for part in split_selection(text) if part not in named)
    if rest or not named:
        chosen = _rows(index.cells, select(index.cells.whole, rest or text, seed))
        masks = [one | other for one, other in zip(masks, chosen, strict=True)]
    if not any(one.any() for one in masks):
        raise InputError(
            f"--cells {text[:100]} names no cell that is in this index",
            f"Expected cells among {index.cells.describe()}",
            "Write other cells, or leave --cells out",
        )
    return masks


def _rows(here: CellSpace, chosen: CellSpace) -> list[np.ndarray]:
    """For each layer that is here, which of its rows are chosen."""
    by_name = {layer.name: set(layer.indices) for layer in chosen.layers}
    return [
        np.tile([index in by_name.get(layer.name, ()) for index in layer.indices], layer.n_groups).astype(bool)
        for layer in here.layers
    ]


_ONE_CELL = re.compile(r"(@[^*=+@\s]+)(?=[*=+])")
"""A collection in the place of a cell, in a change of `ffmem intervene`."""


def changes_of(text: str, weights: str, where: str, beside: "Index | None") -> list[str]:
    """A change of a collection as a change of each of its cells; any other as it is.

    Raises:
        InputError: there is no such collection, it is empty, or it is of another model.
        StoreError: its file is damaged.
    """
    text = text.replace(" ", "")
    match = _ONE_CELL.match(text)
    if match is None:
        return [text]
    cells = collections_named(match[1], weights, where, beside)[match[1]]
    if not cells:
        raise InputError(f"the collection {match[1]} is empty", "Expected some cells", "Add some: ffmem collect add")
    return [f"{cell}{text[match.end() :]}" for cell in cells]


def cells_of(index: "Index", masks: list[np.ndarray]) -> list[CellId]:
    """The cells that `selected` has chosen, in the order of the index."""
    return [
        index.cells.cell_id(place, row) for place, mask in enumerate(masks) for row in np.flatnonzero(mask).tolist()
    ]
