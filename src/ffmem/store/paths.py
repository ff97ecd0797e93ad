"""Where everything lies in an index folder, who may build there, and which formats this build reads."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ffmem.errors import StoreError
from ffmem.ids import LayerCells
from ffmem.json_values import JsonObject

FORMAT = 1
"""Format this build writes."""
READABLE_FORMATS = (1, 1)
"""First and last format this build reads."""


@dataclass(frozen=True)
class StorePaths:
    """Where everything lies in an index folder."""

    folder: Path

    @property
    def manifest(self) -> Path:
        """Written last: an index without it is not finished."""
        return self.folder / "manifest.json"

    @property
    def index(self) -> Path:
        """What is immutable once the index is finished."""
        return self.folder / "index"

    @property
    def work(self) -> Path:
        """What an unfinished build keeps; gone when it is finished."""
        return self.folder / "work"

    @property
    def lock(self) -> Path:
        """Locked by a build while it runs."""
        return self.folder / "lock"

    @property
    def collections(self) -> Path:
        """Named lists of cells, which people make."""
        return self.folder / "collections"

    @property
    def atlas(self) -> Path:
        """Pictures of all cells: see store/atlas.py."""
        return self.folder / "atlas"

    @property
    def run(self) -> Path:
        """What may differ between builds of the same index: times, workers, resumes."""
        return self.folder / "run.json"

    @property
    def label_cache(self) -> Path:
        """Every answer of a language model, beside the index: what was paid for once is not paid for again."""
        return self.folder / "label_cache.sqlite"

    @property
    def labels(self) -> Path:
        """What cells are called, and by whom: see store/labels.py."""
        return self.folder / "labels.sqlite"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which the operating system drops if this process dies."""
    import filelock  # which takes longer to import than a cell to read

    lock = filelock.FileLock(StorePaths(folder).lock, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise StoreError(
            f"{folder} is in use by another `ffmem index`",
            "Expected no other build in that folder",
            "Wait until it has finished, or choose another folder with --out",
        ) from error
    try:
        yield
    finally:
        lock.release()


def layer_path(index_folder: Path, cells: LayerCells) -> Path:
    """The arrays of one layer."""
    stack = f"{cells.stack}." if cells.stack else ""
    dictionary = f".{cells.dictionary}" if cells.dictionary else ""
    return index_folder / "layers" / f"{stack}L{cells.layer:03}{dictionary}.safetensors"


def read_run(folder: Path) -> JsonObject | None:
    """The record of how an index was built, or None if it is not there (it is no part of the index)."""
    try:
        return dict(json.loads(StorePaths(folder).run.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
