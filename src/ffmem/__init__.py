"""Reads a Transformer's feed-forward layers as key-value memories: an index of every cell, and what one asks of it."""

from typing import TYPE_CHECKING, Any

from ffmem.cell import Cell
from ffmem.errors import FfmemError, InputError, ModelError, StoreError
from ffmem.ids import CellId
from ffmem.json_values import to_json
from ffmem.options import IndexOptions, RunOptions
from ffmem.store.reader import Index, open_index
from ffmem.version import __version__

if TYPE_CHECKING:
    from ffmem.index.build import build_index
    from ffmem.models.registry import load_model

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


def __getattr__(name: str) -> Any:
    # These two need torch, which takes seconds to import and which reading an index does not need.
    if name == "build_index":
        from ffmem.index.build import build_index

        return build_index
    if name == "load_model":
        from ffmem.models.registry import load_model

        return load_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
