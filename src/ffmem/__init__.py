"""Reads a Transformer's feed-forward layers as key-value memories: an index of every cell, and what one asks of it."""

from typing import TYPE_CHECKING

from ffmem.by_need import by_need

if TYPE_CHECKING:
    from ffmem.cell import Cell
    from ffmem.errors import FfmemError, InputError, ModelError, StoreError
    from ffmem.ids import CellId
    from ffmem.index.build import build_index
    from ffmem.json_values import to_json
    from ffmem.models.registry import load_model
    from ffmem.options import IndexOptions, RunOptions
    from ffmem.store.reader import Index, open_index
    from ffmem.version import __version__

__all__ = [
    "Cell",
    "CellId",
    "FfmemError",
    "Index",
    "IndexOptions",
    "InputError",
    "ModelError",
    "RunOptions",
    "StoreError",
    "__version__",
    "build_index",
    "load_model",
    "open_index",
    "to_json",
]

by_need(__name__)  # a model needs torch, which takes seconds to import and which reading an index does not need
