"""A patch as a file: a few arrays in safetensors, and in its header whose weights they change, how, and what came of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ffmem.errors import FfmemError, InputError, ModelError
from ffmem.json_values import JsonObject
from ffmem.models.patches.changes import Added, Change, Replaced, Undo, change_values
from ffmem.models.transformer import Transformer
from ffmem.store.files import atomic_write, parse_json, sha256_of
from ffmem.version import __version__

FORMAT = 1
_KEY = "ffmem_patch"
_FIELDS = ("format", "ffmem", "model", "dtype", "base_sha256", "patched_sha256", "method", "edits")


@dataclass(frozen=True)
class Patch:
    """What a file of a patch holds."""

    model: str
    """What the model was called that it was made of."""
    dtype: str
    """Number type of its weights."""
    base_sha256: str
    """Of the weights that it changes."""
    patched_sha256: str
    """Of the weights with it."""
    method: str
    """How it was made: rome, memit, tune, cell."""
    edits: tuple[JsonObject, ...]
    """What it is to change, as it was asked for."""
    changes: Mapping[str, Change]
    """By the name of the layer."""


def make_patch(model: Transformer, changes: Mapping[int, Change], method: str, edits: Sequence[JsonObject]) -> Patch:
    """A patch of a model's weights as they are now; the model is as before afterwards.

    Raises:
        InputError: see `change_values`.

    Cost: two hashes of all weights.
    """
    base = model.weights_hash()
    undo = change_values(model, changes)
    try:
        patched = model.weights_hash()
    finally:
        undo()
    named = {model.cells.layers[place].name: change for place, change in changes.items()}
    return Patch(model.facts.name, model.facts.dtype, base, patched, method, tuple(edits), named)


def write_patch(path: Path, patch: Patch) -> None:
    """Write a patch, whole or not at all."""
    arrays: dict[str, Tensor] = {}
    for layer, change in patch.changes.items():
        if isinstance(change, Added):
            arrays |= {f"{layer} left": change.left, f"{layer} right": change.right}
        else:
            arrays |= {f"{layer} rows": change.rows, f"{layer} values": change.values}
    header = {"format": FORMAT, "ffmem": __version__, "edits": list(patch.edits)}
    header |= {name: getattr(patch, name) for name in ("model", "dtype", "base_sha256", "patched_sha256", "method")}
    ready = {name: array.detach().cpu().contiguous() for name, array in arrays.items()}
    atomic_write(path, safetensors.torch.save(ready, {_KEY: json.dumps(header, sort_keys=True)}))


def read_patch(path: str | Path) -> Patch:
    """A patch that `write_patch` wrote.

    Raises:
        InputError: there is no such file, or it is no patch of a format that is read here.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(
            f"there is no file {path}", "Expected a patch, as `ffmem edit` writes it", "Write --patch FILE"
        )
    try:
        with safe_open(path, framework="pt") as file:
            header = parse_json((file.metadata() or {})[_KEY])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dict)
        return _parsed(header, arrays)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} cannot be read as a patch: {error}",
            f"Expected a file as `ffmem edit` writes it, format {FORMAT}",
            "Make it again with ffmem edit, or copy it again",
        ) from error


def _parsed(header: Any, arrays: dict[str, Tensor]) -> Patch:
    """What a header and arrays say; ValueError and the like where they are no patch."""
    if header["format"] != FORMAT:
        raise ValueError(f"its format is {header['format']!r}")
    missing = [name for name in _FIELDS if name not in header]
    if missing or not isinstance(header["edits"], list):
        raise ValueError(f"its header lacks {', '.join(missing) or 'a list of edits'}")
    changes: dict[str, Change] = {}
    for layer in sorted({name.rpartition(" ")[0] for name in arrays}):
        own = {name.rpartition(" ")[2]: array for name, array in arrays.items() if name.rpartition(" ")[0] == layer}
        if own.keys() == {"left", "right"} and own["left"].shape[1] == len(own["right"]):
            changes[layer] = Added(own["left"], own["right"])
        elif own.keys() == {"rows", "values"} and own["rows"].shape == own["values"].shape[:1]:
            changes[layer] = Replaced(own["rows"], own["values"])
        else:
            raise ValueError(f"its arrays of {layer} do not fit: {', '.join(sorted(own))}")
    if not all(bool(torch.isfinite(array).all()) for array in arrays.values()):
        raise ValueError("it holds NaN or infinity")
    names = ("model", "dtype", "base_sha256", "patched_sha256", "method")
    return Patch(**{name: str(header[name]) for name in names}, edits=tuple(header["edits"]), changes=changes)


def apply_patch(model: Transformer, patch: Patch, name: str = "the patch") -> Undo:
    """Give a model the values of a patch.

    Args:
        model: the model that the patch was made of, or was made of with the patches that come before it.
        patch: what to apply.
        name: of its file, for messages.

    Returns:
        what puts the values back that were there, to the byte.

    Raises:
        InputError: it was made of other weights.
        ModelError: the weights with it are not those that it was measured with.
    """
    found = model.weights_hash()
    if found != patch.base_sha256:
        raise InputError(
            f"{name} was made of {patch.model} with the weights {patch.base_sha256[:16]}... ({patch.dtype}), and "
            f"{model.facts.name} as it is loaded here has {found[:16]}... ({model.facts.dtype})",
            "Expected the model that it was made of, in the same number type, with the same patches before it and no others",
            "Name that model; or make the patch anew of this one with ffmem edit",
        )
    try:
        places = {model.cells.parse_layer(layer): change for layer, change in patch.changes.items()}
        undo = change_values(model, places)
    except InputError as error:
        raise _with_got(error, f"{name} does not fit {model.facts.name}: {error.got}") from error
    if model.weights_hash() != patch.patched_sha256:
        undo()
        raise ModelError(
            f"with {name}, {model.facts.name} has other weights than when the patch was made",
            f"Expected weights with SHA-256 {patch.patched_sha256[:16]}...",
            "Make the patch again with ffmem edit",
        )
    return undo


def _with_got(error: FfmemError, got: str) -> FfmemError:
    """The same error with another first part."""
    return type(error)(got, error.expected, error.mend)


def apply_files(model: Transformer, paths: Sequence[str | Path]) -> None:
    """Give a model patches, one after the other; its name has theirs, and its identity names each by the hash of its file.

    Raises:
        InputError: one cannot be read, or was made of other weights.
    """
    identity, name = dict(model.origin.identity), model.facts.name
    for number, path in enumerate(paths, 1):
        apply_patch(model, read_patch(path), str(path))
        identity[f"patch {number}"] = sha256_of(Path(path))
        name += f"+{Path(path).stem}"
    model.facts = replace(model.facts, name=name)
    model.origin = replace(model.origin, identity=identity)
