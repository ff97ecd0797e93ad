"""Everything one pass over a corpus learns about every cell: trigger examples and statistics. Knows no model.

An accumulator is cumulative over the shards it has seen; it is saved between shards, with the list of those it covers:
see states.py.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ffmem.index.layers import AXES, FIELDS, Places, Shape, make_layer
from ffmem.index.states import dump_state, load_state


class Accumulator:
    """Trigger lists and statistics of every cell, over the shards seen so far.

    Cost: about n_cells x n_signs x (8 x top + 260) bytes.
    """

    def __init__(self, shape: Shape, device: torch.device | str = "cpu") -> None:
        self.shape = shape
        self.covered: set[int] = set()
        """Shards this accumulator has seen whole."""
        self.machines: set[str] = set()
        """What computed what it has seen: see machine.machine."""
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

    def close_shard(self, shard_id: int, machine: str) -> None:
        """Mark a shard as seen whole, and tell what computed it."""
        for groups in self._groups:
            for group in groups:
                group.close_shard()
        self.covered.add(shard_id)
        self.machines.add(machine)

    def dump(self, job: str) -> bytes:
        """The state as the bytes of a state file. ``job`` says what it is a state of: see `read_account`."""
        layers = (self.layer(layer) for layer in range(len(self._groups)))
        return dump_state(self.shape, layers, job, self.covered, self.machines)

    def layer(self, layer: int) -> dict[str, np.ndarray]:
        """The state of one layer as plain arrays: see layers.FIELDS; of experts, one after the other."""
        states = [group.state() for group in self._groups[layer]]
        return {name: np.concatenate([state[name] for state in states], axis) for name, axis in AXES.items()}

    def load(self, state: bytes) -> None:
        """Go on from a state that `dump` gave."""
        account, arrays = load_state(state)
        self.covered, self.machines = set(account.covered), set(account.machines)
        for i, groups in enumerate(self._groups):
            parts = {name: np.split(arrays[f"L{i}.{name}"], len(groups), AXES[name]) for name in FIELDS}
            for number, group in enumerate(groups):
                group.load({name: parts[name][number] for name in FIELDS})
