"""What an index is, and one of its cells: what it takes least to answer."""

from ffmem.cell import Cell
from ffmem.json_values import JsonObject
from ffmem.store.reader import Index


def info(index: Index) -> JsonObject:
    """What an index is: its manifest without the list of files, and its size on disk."""
    manifest = {name: value for name, value in index.manifest.to_json().items() if name != "files"}
    sizes = {
        "n_layers": index.n_own_layers,
        "cells": index.cells.describe(),
        "n_cells": index.n_cells,
        "n_model_cells": index.cells.whole.n_cells,
        "n_signs": index.n_signs,
        "n_bytes": index.manifest.n_bytes,
    }
    return sizes | manifest


def cell(index: Index, cell_id: str) -> Cell:
    """Everything about one cell."""
    return index.cell(cell_id)
