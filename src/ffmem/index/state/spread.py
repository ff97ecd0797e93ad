"""What a pass learns about every cell, of a model whose layers are on several devices: each layer's lists beside it."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from ffmem.index.state.accumulator import Accumulator
from ffmem.index.state.layers import Shape
from ffmem.index.state.places import Places


class SpreadAccumulator(Accumulator):
    """One accumulator on each device, of the layers that are there; its states are those of one of all layers.

    Args:
        shape: of all layers.
        devices: where each of them is.
        make: an accumulator of some layers on a device.
    """

    def __init__(self, shape: Shape, devices: Sequence[str], make: Callable[[Shape, str], Accumulator]) -> None:
        super().__init__(shape)
        self._there: list[tuple[Accumulator, int]] = []
        """Of each layer, the accumulator that has it, and its place there."""
        layers: dict[str, list[int]] = {}
        for layer, device in enumerate(devices):
            layers.setdefault(device, []).append(layer)
        self._parts = {
            device: make(replace(shape, layers=tuple(shape.layers[layer] for layer in own)), device)
            for device, own in layers.items()
        }
        for layer, device in enumerate(devices):
            self._there.append((self._parts[device], layers[device].index(layer)))
        self._layers = layers
        self.can_roll_back = all(part.can_roll_back for part in self._parts.values())

    def observe(
        self,
        layer: int,
        coefficients: Float[Tensor, "batch positions cells"],
        places: Places,
        group: int = 0,
        open_gates: Bool[Tensor, "batch positions cells"] | None = None,
    ) -> None:
        """See Accumulator.observe."""
        part, place = self._there[layer]
        part.observe(place, coefficients, places, group, open_gates)

    def begin_shard(self) -> None:
        """See Accumulator.begin_shard."""
        for part in self._parts.values():
            part.begin_shard()

    def roll_back(self) -> None:
        """See Accumulator.roll_back."""
        for part in self._parts.values():
            part.roll_back()

    def first_not_finite(self) -> tuple[int, int] | None:
        """See Accumulator.first_not_finite; of several devices that which has the lowest layer."""
        found = [
            (self._layers[device][bad[0]], bad[1])
            for device, part in self._parts.items()
            if (bad := part.first_not_finite()) is not None
        ]
        return min(found, default=None)

    def layer(self, layer: int) -> dict[str, np.ndarray]:
        """See Accumulator.layer."""
        part, place = self._there[layer]
        return part.layer(place)

    def begin_dump(self) -> None:
        """See Accumulator.begin_dump."""
        for part in self._parts.values():
            part.begin_dump()

    def end_dump(self) -> None:
        """See Accumulator.end_dump."""
        for part in self._parts.values():
            part.end_dump()

    def _load_layer(self, layer: int, state: dict[str, np.ndarray]) -> None:
        part, place = self._there[layer]
        part._load_layer(place, state)

    def _close_shard(self) -> None:
        for part in self._parts.values():
            part._close_shard()
