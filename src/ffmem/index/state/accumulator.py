"""Everything one pass over a corpus learns about every cell: trigger examples and statistics. Knows no model.

An accumulator is cumulative over the shards it has seen; it is saved between shards, with the list of those it covers:
see states.py.
"""

from abc import ABC, abstractmethod

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ffmem.index.state.layers import Shape, make_layer
from ffmem.index.state.places import Places
from ffmem.index.state.states import dump_state, load_state


class Accumulator(ABC):
    """Trigger lists and statistics of every cell, over the shards seen so far.

    Args:
        shape: which cells, and what is kept of them.
    """

    can_roll_back = False
    """Whether an open shard can be forgotten."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.covered: set[int] = set()
        """Shards this accumulator has seen whole."""
        self.machines: set[str] = set()
        """What computed what it has seen: see machine.machine."""

    @abstractmethod
    def observe(
        self,
        layer: int,
        coefficients: Float[Tensor, "batch positions cells"],
        places: Places,
        group: int = 0,
        open_gates: Bool[Tensor, "batch positions cells"] | None = None,
    ) -> None:
        """Count the coefficients of one layer, or expert, for one batch, and let them compete; padding is left out.

        Args:
            layer: its place in the index.
            coefficients: of its cells, or of an expert's.
            places: which positions compete.
            group: the expert.
            open_gates: where the gate is above 0; asked for by quadrants.QuadrantAccumulator alone.
        """

    @abstractmethod
    def first_not_finite(self) -> tuple[int, int] | None:
        """(layer, row) of a cell for whose sums of the open shard there is no room, or None.

        It met NaN or infinity, or its totals would be beyond `statistics.LIMIT`. A shard is closed only if there is none.
        """

    @abstractmethod
    def layer(self, layer: int) -> dict[str, np.ndarray]:
        """The state of one layer as plain arrays: see store/fields.py; of experts, one after the other."""

    @abstractmethod
    def _load_layer(self, layer: int, state: dict[str, np.ndarray]) -> None: ...

    @abstractmethod
    def _close_shard(self) -> None: ...

    @abstractmethod
    def begin_shard(self) -> None:
        """What is observed from now on belongs to one shard."""

    def roll_back(self) -> None:
        """Forget what was observed since `begin_shard`; only if `can_roll_back`."""
        raise NotImplementedError

    def close_shard(self, shard_id: int, machine: str) -> None:
        """Mark a shard as seen whole, and tell what computed it."""
        self._close_shard()
        self.covered.add(shard_id)
        self.machines.add(machine)

    def dump(self, job: str) -> bytes:
        """The state as the bytes of a state file. ``job`` says what it is a state of: see `read_account`."""
        self.begin_dump()
        try:
            layers = (self.layer(layer) for layer in range(len(self.shape.layers)))
            return dump_state(self.shape, layers, job, self.covered, self.machines)
        finally:
            self.end_dump()

    def begin_dump(self) -> None:  # noqa: B027 (most have nothing to do)
        """Make ready for `layer` of all layers."""

    def end_dump(self) -> None:  # noqa: B027
        """Let go of what `begin_dump` brought."""

    def load(self, state: bytes) -> None:
        """Go on from a state that `dump` gave."""
        account, arrays = load_state(state)
        self.covered, self.machines = set(account.covered), set(account.machines)
        kept = self.shape.fields()
        for layer in range(len(self.shape.layers)):
            self._load_layer(layer, {field.name: arrays[f"L{layer}.{field.name}"] for field in kept})


class LayerAccumulator(Accumulator):
    """Keeps each layer, or expert, by itself: compiled for a CPU, as tensors elsewhere.

    Cost: about n_cells x n_signs x (8 x top + 268) bytes.
    """

    def __init__(self, shape: Shape, device: torch.device | str = "cpu") -> None:
        super().__init__(shape)
        self._groups = [
            [make_layer(cells.group_size, shape, device) for _ in range(cells.n_groups)] for cells in shape.layers
        ]

    def observe(
        self,
        layer: int,
        coefficients: Float[Tensor, "batch positions cells"],
        places: Places,
        group: int = 0,
        open_gates: Bool[Tensor, "batch positions cells"] | None = None,
    ) -> None:
        """See Accumulator.observe."""
        self._groups[layer][group].observe(coefficients.float(), places)

    def begin_shard(self) -> None:
        """See Accumulator.begin_shard."""

    def first_not_finite(self) -> tuple[int, int] | None:
        """See Accumulator.first_not_finite."""
        for layer, groups in enumerate(self._groups):
            for number, group in enumerate(groups):
                index = group.first_not_finite()
                if index is not None:
                    return layer, number * self.shape.layers[layer].group_size + index
        return None

    def layer(self, layer: int) -> dict[str, np.ndarray]:
        """See Accumulator.layer."""
        states = [group.state() for group in self._groups[layer]]
        return {
            field.name: np.concatenate([state[field.name] for state in states], field.group_axis)
            for field in self.shape.fields()
        }

    def _close_shard(self) -> None:
        for groups in self._groups:
            for group in groups:
                group.close_shard()

    def _load_layer(self, layer: int, state: dict[str, np.ndarray]) -> None:
        groups = self._groups[layer]
        parts = {
            field.name: np.split(state[field.name], len(groups), field.group_axis) for field in self.shape.fields()
        }
        for number, group in enumerate(groups):
            group.load({name: split[number] for name, split in parts.items()})
