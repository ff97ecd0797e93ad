"""States -> the files of a finished index: layer by layer, then the manifest."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save

from ffmem.index.scan.tasks import promoted_path
from ffmem.index.state.layers import Shape
from ffmem.index.state.states import merged_layers
from ffmem.json_values import JsonObject
from ffmem.store import fields
from ffmem.store.files import atomic_write, disk_errors, sha256_of_each, sync_folder, write_json
from ffmem.store.keys import NO_TOKEN, tokens_of, unpack
from ffmem.store.manifest import Manifest
from ffmem.store.paths import StorePaths, layer_path


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
    arrays: dict[str, np.ndarray] = {}
    for field in fields.state_fields(quadrants=True, sample=True):
        if field.name not in state:
            continue
        if field.tokens is not None:
            arrays[field.tokens] = tokens_of(state[field.name]).astype(np.uint32)
        elif field.lists is None:
            arrays[field.name] = field.to_layer(state[field.name])
        else:
            # the second list holds magnitudes of negative coefficients
            signs = (1, -1) if field.name == "keys" else fields.QUADRANT_SIGNS
            arrays |= zip(field.lists, _triggers(state[field.name], signs), strict=True)
    return arrays | {"slot_by_token": _slots_in_order(arrays["trigger_token"].reshape(-1))}


def _triggers(keys: np.ndarray, signs: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients and token indices, (cells, lists, top), of keys, (lists, cells, top)."""
    coefficients, tokens = unpack(np.ascontiguousarray(keys.transpose(1, 0, 2)))
    coefficients *= np.array(signs[: len(keys)], dtype=np.float32)[:, None]
    coefficients[tokens == NO_TOKEN] = 0  # not -0
    return coefficients, tokens


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


def write_manifest(paths: StorePaths, manifest: JsonObject) -> None:
    """Add length and hash of every file below ``index/``, and write the manifest: the index is finished with it.

    Args:
        paths: of the index.
        manifest: its JSON, but for the files.
    """
    found = sorted(p for p in paths.index.rglob("*") if p.is_file())
    files = {
        path.relative_to(paths.folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256}
        for path, sha256 in zip(found, sha256_of_each(found), strict=True)
    }
    write_json(paths.manifest, Manifest.parse(manifest | {"files": files}).to_json())
