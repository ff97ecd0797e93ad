"""State files: what a worker has found, and which shards it covers. Knows no model.

Merging states is associative and commutative, bit for bit.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load, save

from ffmem.errors import StoreError
from ffmem.index.files import atomic_write
from ffmem.index.layers import FIELDS
from ffmem.index.topk import merge


@dataclass(frozen=True)
class Account:
    """What a saved state says of itself."""

    covered: frozenset[int]
    """The shards that it has seen whole."""
    machines: frozenset[str]
    """What computed them: see machine.machine."""


def save_state(
    path: Path, layers: Iterable[Mapping[str, np.ndarray]], job: str, covered: set[int], machines: Iterable[str] = ()
) -> None:
    """Write the arrays of all layers (see layers.FIELDS) as a state that covers some shards of a job, atomically."""
    atomic_write(path, dump_state(layers, job, covered, machines))


def dump_state(
    layers: Iterable[Mapping[str, np.ndarray]], job: str, covered: Iterable[int], machines: Iterable[str]
) -> bytes:
    """The bytes of a state file: see `save_state`."""
    arrays = {f"L{i}.{name}": array for i, layer in enumerate(layers) for name, array in layer.items()}
    told = {"covered": json.dumps(sorted(covered)), "machines": json.dumps(sorted(machines))}
    return save(arrays, metadata={"job": job} | told)


def load_state(state: bytes) -> tuple[Account, dict[str, np.ndarray]]:
    """What the bytes of a state file say of themselves, and its arrays: "L3.keys" has the keys of the layer at place 3."""
    n_header = int.from_bytes(state[:8], "little")
    metadata = json.loads(state[8 : 8 + n_header])["__metadata__"]
    account = Account(frozenset(json.loads(metadata["covered"])), frozenset(json.loads(metadata["machines"])))
    return account, load(state)


def read_account(path: Path, job: str) -> Account | None:
    """What a saved state says of itself, or None if it is damaged or the state of another job."""
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            if metadata.get("job") != job:
                return None
            return Account(
                frozenset(json.loads(metadata["covered"])), frozenset(json.loads(metadata.get("machines", "[]")))
            )
    except (SafetensorError, OSError, KeyError, ValueError):
        return None


def merge_layers(paths: Sequence[Path], layer: int) -> dict[str, np.ndarray]:
    """One layer of several saved states, merged. They must cover different shards.

    Cost: the memory of one layer, twice.
    """
    merged: dict[str, np.ndarray] = {}
    for path in paths:
        try:
            with safe_open(path, framework="np") as file:
                state = {name: file.get_tensor(f"L{layer}.{name}") for name in FIELDS}
        except (SafetensorError, OSError) as error:
            raise StoreError(
                f"the state file {path} cannot be read: {error}",
                "Expected a checkpoint of this build",
                f"Delete {path} and run the same `ffmem index` command again: its shards are read anew",
            ) from error
        merged = {name: _JOIN[name](merged[name], state[name]) for name in FIELDS} if merged else state
    return merged


def _merge_keys(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    pairs = zip(torch.from_numpy(first), torch.from_numpy(second), strict=True)
    return torch.stack([merge(a, b) for a, b in pairs]).numpy()


_JOIN: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "keys": _merge_keys,
    "sum": np.add,
    "square_sum": np.add,
    "n_active": np.add,
    "minimum": np.minimum,
    "maximum": np.maximum,
    "histogram": np.add,
    "counts": np.add,
}
