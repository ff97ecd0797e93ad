"""The on-disk format of an index: paths, the manifest, the arrays of a layer. Knows no model; needs no torch.

docs/design/store-format.md is normative.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import filelock
import numpy as np

from ffmem.errors import StoreError
from ffmem.ids import CellSpace, LayerCells
from ffmem.store.files import damaged, map_arrays, parse_json
from ffmem.store.histogram import N_BINS
from ffmem.store.manifest import problem_of

FORMAT = 1
"""Format this build writes."""
READABLE_FORMATS = (1, 1)
"""First and last format this build reads."""

NO_TOKEN = 2**32 - 1
"""Token index of an empty slot of a trigger list."""


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
    def run(self) -> Path:
        """What may differ between builds of the same index: times, workers, resumes."""
        return self.folder / "run.json"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which the operating system drops if this process dies."""
    lock = filelock.FileLock(StorePaths(folder).lock, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise StoreError(
            f"{folder} is in use by another `ffmem index`",
            "Expected no other build in this folder",
            "Wait until it has finished, or choose another folder with --out",
        ) from error
    try:
        yield
    finally:
        lock.release()


def layer_path(index_folder: Path, cells: LayerCells) -> Path:
    """The arrays of one layer."""
    stack = f"{cells.stack}." if cells.stack else ""
    return index_folder / "layers" / f"{stack}L{cells.layer:03}.safetensors"


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a finished index.

    Raises:
        StoreError: no index, an unfinished one, a damaged manifest, or a format that this build does not read.
    """
    paths = StorePaths(folder)
    if not paths.manifest.is_file():
        if paths.work.is_dir():
            raise StoreError(
                f"the index in {folder} is not finished",
                "Expected a finished one, with a manifest.json",
                "Run the `ffmem index` command that began it again: it resumes where it stopped",
            )
        raise StoreError(
            f"there is no index in {folder}",
            "Expected a folder with a manifest.json, as `ffmem index` writes it",
            "Check the path, or build one: ffmem index MODEL CORPUS --out " + str(folder),
        )
    try:
        manifest = parse_json(paths.manifest.read_bytes())
        found = manifest["format"]
        if type(found) is not int:
            raise TypeError(f"format is {found!r}")
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise _damaged_manifest(paths.manifest, str(error)) from error
    low, high = READABLE_FORMATS
    if not low <= found <= high:
        raise StoreError(
            f"store {folder} has format {found}",
            f"This build reads {low}-{high}",
            f"Upgrade ffmem, or rebuild it: ffmem index ... --out {folder}",
        )
    problem = problem_of(manifest)
    if problem is not None:
        raise _damaged_manifest(paths.manifest, problem)
    return dict(manifest)


def cells_of(manifest: dict[str, Any]) -> CellSpace:
    """The cells that an index has."""
    return CellSpace.from_json(manifest["model"]["layers"], manifest.get("cells_kept"))


def _damaged_manifest(path: Path, why: str) -> StoreError:
    return StoreError(
        f"{path} is damaged: {why}",
        "Expected the JSON that `ffmem index` wrote",
        "Copy the file again from where the index came from, or rebuild the index",
    )


_FILE_NAME = re.compile(r"index(/\w[\w.-]*)+", re.ASCII)
"""A file of an index lies in it; nothing else is ever opened."""


def check_files(folder: Path, manifest: dict[str, Any]) -> None:
    """Compare the length of every file with the manifest; milliseconds, so done at each opening.

    Raises:
        StoreError: a file is missing or has another length, or the manifest leaves one out.
    """
    index = StorePaths(folder).index
    layers = cells_of(manifest).layers
    needed = [index / "text.sqlite", index / "tokens.safetensors", *(layer_path(index, cells) for cells in layers)]
    unlisted = {path.relative_to(folder).as_posix() for path in needed} - set(manifest["files"])
    if unlisted:
        raise _damaged_manifest(StorePaths(folder).manifest, f"it does not list {min(unlisted)}")
    for name, expected in manifest["files"].items():
        if not _FILE_NAME.fullmatch(name):
            raise _damaged_manifest(StorePaths(folder).manifest, f"{name!r} is not a file of an index")
        path = folder / name
        try:
            size = path.stat().st_size if path.is_file() else None
        except OSError:
            size = None
        if size != expected["bytes"]:
            found = "is missing" if size is None else f"has {size:,} bytes"
            raise StoreError(
                f"{path} {found}",
                f"The manifest says {expected['bytes']:,} bytes",
                f"Copy the index again, or rebuild it into another folder; `ffmem verify {folder}` checks every file",
            )


@dataclass(frozen=True)
class LayerArrays:
    """The arrays of one layer, memory-mapped. ``n_signs`` is 2 for gated cells (positive, negative), else 1."""

    path: Path
    sizes: dict[str, int]
    """Length of each axis: see `layer_sizes`."""

    @cached_property
    def _arrays(self) -> dict[str, np.ndarray]:
        arrays = map_arrays(self.path)
        for name in LAYER_ARRAYS.keys() & arrays.keys():
            dtype, axes = LAYER_ARRAYS[name]
            found, shape = arrays[name], tuple(self.sizes[axis] for axis in axes.split())
            if found.dtype != np.dtype(dtype) or found.shape != shape:
                raise damaged(self.path, f"{name} is {found.dtype}{found.shape}, not {np.dtype(dtype)}{shape}")
        return arrays

    def __getattr__(self, name: str) -> np.ndarray:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self._arrays[name]
        except KeyError:
            raise StoreError(
                f"{self.path} has no array {name!r}",
                f"Expected {', '.join(sorted(LAYER_ARRAYS))}",
                "Run `ffmem verify` on the index, or rebuild it",
            ) from None


LAYER_ARRAYS: dict[str, tuple[str, str]] = {
    "trigger_coefficient": ("<f4", "cells n_signs top"),
    "trigger_token": ("<u4", "cells n_signs top"),
    "slot_by_token": ("<u4", "slots"),
    "sum": ("<i8", "2 cells"),
    "square_sum": ("<i8", "2 cells"),
    "n_active": ("<i8", "cells"),
    "minimum": ("<f4", "cells"),
    "maximum": ("<f4", "cells"),
    "histogram": ("<u4", "cells n_signs bins"),
    "counts": ("<i8", "groups 2"),
    "promoted_ids": ("<u4", "cells k"),
    "promoted_scores": ("<f4", "cells k"),
    "suppressed_ids": ("<u4", "cells k"),
    "suppressed_scores": ("<f4", "cells k"),
}
"""Name -> (dtype, axes) of every array of a layer file."""
PROMOTED_ARRAYS = ("promoted_ids", "promoted_scores", "suppressed_ids", "suppressed_scores")
"""Those of them that come from the values alone."""


def layer_sizes(manifest: dict[str, Any], cells: LayerCells) -> dict[str, int]:
    """Length of each axis of the arrays of a layer."""
    options, model = manifest["identity"]["options"], manifest["model"]
    n_signs = 2 if model["gated"] else 1
    return {
        "cells": cells.n_cells,
        "groups": cells.n_groups,
        "n_signs": n_signs,
        "top": options["top"],
        "slots": cells.n_cells * n_signs * options["top"],
        "bins": N_BINS,
        "2": 2,
        "k": min(options["promoted"], model["d_vocab"]),
    }


def total_of(parts: np.ndarray) -> np.ndarray:
    """Float64 sums from their stored parts: whole numbers, and multiples of 2**-40."""
    total: np.ndarray = parts[0].astype(np.float64) + parts[1].astype(np.float64) * 2.0**-40
    return total


def read_run(folder: Path) -> dict[str, Any] | None:
    """The record of how an index was built, or None if it is not there (it is no part of the index)."""
    try:
        return dict(json.loads(StorePaths(folder).run.read_bytes()))
    except (OSError, ValueError):
        return None
