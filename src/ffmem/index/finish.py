"""States -> the files of a finished index: layer by layer, then the manifest."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save

from ffmem.index.scan.worker import promoted_path
from ffmem.index.state.layers import Shape
from ffmem.index.state.states import merged_layers
from ffmem.store.arrays import NO_TOKEN, StorePaths, layer_path
from ffmem.store.files import atomic_write, disk_errors, sha256_of, sync_folder, write_json

_EMPTY_LOWER_HALF = 2**32 - 1


def write_index(paths: StorePaths, states: Sequence[Path], shape: Shape) -> None:
    """Write ``index/`` from the states, the promoted tokens and the text in the work folder; replace a half-made one.

    Cost: the memory of one layer's lists, a few times.
    """
    building = paths.work / "index"
    with disk_errors(paths.index):
        for leftover in (building, paths.index):
            shutil.rmtree(leftover, ignore_errors=True)
        (building / "layers").mkdir(parents=True)
        merged = merged_layers(states, shape, layer_arrays)
        for layer, (cells, arrays) in enumerate(zip(shape.layers, merged, strict=True)):
            promoted = load_file(promoted_path(paths.work, layer))
            atomic_write(layer_path(building, cells), save(arrays | promoted))
        for name in ("text.sqlite", "tokenizer.json", "tokens.safetensors"):
            _link_or_copy(paths.work / "text" / name, building / name)
        sync_folder(building)
        os.replace(building, paths.index)
        sync_folder(paths.folder)


def layer_arrays(state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The stored arrays of a layer, from its merged state."""
    keys = np.ascontiguousarray(state["keys"].transpose(1, 0, 2))  # (cells, n_signs, top)
    coefficients = (keys >> 32).astype(np.int32).view(np.float32)
    coefficients[:, 1:] *= -1  # the second list holds magnitudes of negative coefficients
    coefficients[keys == 0] = 0
    tokens = (_EMPTY_LOWER_HALF - (keys & _EMPTY_LOWER_HALF)).astype(np.uint32)
    assert NO_TOKEN == _EMPTY_LOWER_HALF  # an empty key, 0, becomes NO_TOKEN
    histogram = state["histogram"].transpose(2, 0, 1)  # (cells, n_signs, bins)
    return {
        "trigger_coefficient": coefficients,
        "trigger_token": tokens,
        "slot_by_token": _slots_in_order(tokens.reshape(-1)),
        "histogram": np.ascontiguousarray(histogram).astype(np.uint32),
        **{name: state[name] for name in ("sum", "square_sum", "n_active", "minimum", "maximum", "counts")},
    }


def _slots_in_order(tokens: np.ndarray) -> np.ndarray:
    """Slots by token, those of one token in their own order (uint32); sorted as one number, which is faster than by index."""
    both = (tokens.astype(np.uint64) << np.uint64(32)) | np.arange(len(tokens), dtype=np.uint64)
    both.sort()
    return both.astype(np.uint32)


def _link_or_copy(source: Path, target: Path) -> None:
    """A second name for the same file, so that a finish that is interrupted can be done again; else a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
        with target.open("rb") as file:
            os.fsync(file.fileno())


def write_manifest(paths: StorePaths, manifest: dict[str, Any]) -> None:
    """Add length and hash of every file below ``index/``, and write the manifest: the index is finished with it."""
    files = {}
    for path in sorted(p for p in paths.index.rglob("*") if p.is_file()):
        name = path.relative_to(paths.folder).as_posix()
        files[name] = {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
    write_json(paths.manifest, manifest | {"files": files})
