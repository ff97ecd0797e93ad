"""Gated cells as what they are: a gate times an up branch, hence four quadrants of signs. Knows no model.

Of each quadrant is kept what an accumulator keeps of cells with one sign, of the magnitudes of the coefficients there: so a
quadrant of a layer is shown to a second accumulator as if it were a layer of its own, where 0 stands for what is not in it.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ffmem.index.state.accumulator import Accumulator, LayerAccumulator
from ffmem.index.state.layers import Shape
from ffmem.index.state.places import Places
from ffmem.store import fields
from ffmem.store.fields import QUADRANT_FIELDS, QUADRANTS, Field


def magnitudes(
    coefficients: Float[Tensor, "*positions cells"], open_gates: Bool[Tensor, "*positions cells"]
) -> Iterator[Float[Tensor, "*positions cells"]]:
    """For each of `fields.QUADRANTS` the magnitudes of the coefficients in it, 0 elsewhere; one at a time.

    Args:
        coefficients: float32; the activation keeps the sign of the gate, so that theirs is that of gate times up.
        open_gates: where the gate is above 0.
    """
    opened = coefficients * open_gates
    yield opened.clamp_min(0)
    yield opened.neg().clamp_min_(0)
    closed = coefficients - opened  # exact: one of the two is 0
    del opened
    yield closed.neg().clamp_min_(0)
    yield closed.clamp_min_(0)


class QuadrantAccumulator(Accumulator):
    """Trigger lists and statistics of every cell, as they are and by quadrant, on a CPU.

    Cost: besides those of `LayerAccumulator`, n_cells x 4 x (8 x top + 60) bytes; twice the coefficients while it observes.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self._whole = LayerAccumulator(replace(shape, quadrants=False))
        as_layers = tuple(cells for cells in shape.layers for _ in QUADRANTS)
        self._parts = LayerAccumulator(Shape(as_layers, 1, shape.top, shape.per_sentence, histograms=False))

    def observe(
        self,
        layer: int,
        coefficients: Float[Tensor, "batch positions cells"],
        places: Places,
        group: int = 0,
        open_gates: Bool[Tensor, "batch positions cells"] | None = None,
    ) -> None:
        """See Accumulator.observe."""
        assert open_gates is not None
        self._whole.observe(layer, coefficients, places, group)
        first = layer * len(QUADRANTS)
        for quadrant, part in enumerate(magnitudes(coefficients.float(), open_gates), first):
            self._parts.observe(quadrant, part, places, group)

    def begin_shard(self) -> None:
        """See Accumulator.begin_shard."""
        self._whole.begin_shard()
        self._parts.begin_shard()

    def first_not_finite(self) -> tuple[int, int] | None:
        """See Accumulator.first_not_finite."""
        return self._whole.first_not_finite()  # where the squares of all have room, so have the sums of a part

    def layer(self, layer: int) -> dict[str, np.ndarray]:
        """See Accumulator.layer."""
        first = layer * len(QUADRANTS)
        parts = [self._parts.layer(first + quadrant) for quadrant in range(len(QUADRANTS))]
        return self._whole.layer(layer) | {
            field.name: np.stack([_of_part(field, part) for part in parts], _axis(field)) for field in QUADRANT_FIELDS
        }

    def _close_shard(self) -> None:
        self._whole._close_shard()
        self._parts._close_shard()

    def _load_layer(self, layer: int, state: dict[str, np.ndarray]) -> None:
        self._whole._load_layer(layer, state)
        sizes = self._parts.shape.sizes(self.shape.layers[layer])
        for quadrant in range(len(QUADRANTS)):
            part = {field.name: field.empty(sizes) for field in fields.FIELDS}
            for field in QUADRANT_FIELDS:
                name = _name_in_part(field)
                part[name] = state[field.name].take(quadrant, _axis(field)).reshape(part[name].shape)
            self._parts._load_layer(layer * len(QUADRANTS) + quadrant, part)


def _axis(field: Field) -> int:
    return field.axes.split().index("quadrants")


def _name_in_part(field: Field) -> str:
    """The field of a layer that a field of quadrants is made of."""
    return field.name.removeprefix("quadrant_")


def _of_part(field: Field, part: dict[str, np.ndarray]) -> np.ndarray:
    array = part[_name_in_part(field)]
    if field.join == "best":
        array = array[0]  # of the one sign
    if field.join == "maximum":
        array = np.maximum(array, np.float32(0))  # an expert may have seen nothing
    return array


def keeps_sign(activation: Callable[[Tensor], Tensor]) -> bool:
    """Whether an activation gives nothing above 0 for a gate below 0, nor below 0 for one above: tried on many numbers."""
    positive = torch.cat((torch.linspace(0, 60, 60_001)[1:], torch.logspace(-30, 30, 6001)))
    return bool((activation(positive) >= 0).all() and (activation(-positive) <= 0).all())
