"""Everything one pass over a corpus learns about every cell: trigger examples and statistics. Knows no model.

An accumulator is cumulative over the shards it has seen; it is saved between shards, with the list of those it covers.
Merging two is associative and commutative, bit for bit.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch import Tensor

from ffmem.errors import StoreError
from ffmem.index.files import atomic_write
from ffmem.index.layers import AXES, FIELDS, Places, Shape, make_layer
from ffmem.index.topk import merge


class Accumulator:
    """Trigger lists and statistics of every cell, over the shards seen so far.

    Cost: about n_cells x n_signs x (8 x top + 260) bytes.
    """

    def __init__(self, shape: Shape, device: torch.device | str = "cpu") -> None:
        self.shape = shape
        self.covered: set[int] = set()
        """Shards this accumulator has seen whole."""
        self._groups = [
            [make_layer(cells.d_ff, shape, device) for _ in range(cells.n_groups)] for cells in shape.layers
        ]

    def observe(
        self, layer: int, coefficients: Float[Tensor, "batch positions d_ff"], places: Places, group: int = 0
    ) -> None:
        """Count the coefficients of one layer, or expert, for one batch, and let them compete; padding is left out."""
        self._groups[layer][group].observe(coefficients.float(), places)

    def first_not_finite(self) -> tuple[int, int] | None:
        """(layer, row) of a cell that met NaN or infinity in the open shard, or None."""
        for layer, groups in enumerate(self._groups):
            for number, group in enumerate(groups):
                index = group.first_not_finite()
                if index is not None:
                    return layer, number * self.shape.layers[layer].d_ff + index
        return None

    def close_shard(self, shard_id: int) -> None:
        """Mark a shard as seen whole."""
        for groups in self._groups:
            for group in groups:
                group.close_shard()
        self.covered.add(shard_id)

    def save(self, path: Path, job: str) -> None:
        """Write the state atomically. ``job`` says what it is a state of, and is asked for when it is loaded."""
        save_state(path, [self.layer(layer) for layer in range(len(self._groups))], job, self.covered)

    def layer(self, layer: int) -> dict[str, np.ndarray]:
        """The state of one layer as plain arrays: see layers.FIELDS; of experts, one after the other."""
        states = [group.state() for group in self._groups[layer]]
        return {name: np.concatenate([state[name] for state in states], axis) for name, axis in AXES.items()}

    def load(self, path: Path) -> None:
        """Go on from a saved state."""
        with safe_open(path, framework="np") as file:
            self.covered = set(json.loads(file.metadata()["covered"]))
            for i, groups in enumerate(self._groups):
                parts = {name: np.split(file.get_tensor(f"L{i}.{name}"), len(groups), AXES[name]) for name in FIELDS}
                for number, group in enumerate(groups):
                    group.load({name: parts[name][number] for name in FIELDS})


def save_state(path: Path, layers: Iterable[Mapping[str, np.ndarray]], job: str, covered: set[int]) -> None:
    """Write the arrays of all layers (see layers.FIELDS) as a state that covers some shards of a job, atomically."""
    arrays = {f"L{i}.{name}": array for i, layer in enumerate(layers) for name, array in layer.items()}
    atomic_write(path, save(arrays, metadata={"job": job, "covered": json.dumps(sorted(covered))}))


def read_covered(path: Path, job: str) -> set[int] | None:
    """The shards that a saved state covers, or None if it is damaged or the state of another job."""
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            if metadata.get("job") != job:
                return None
            return set(json.loads(metadata["covered"]))
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
