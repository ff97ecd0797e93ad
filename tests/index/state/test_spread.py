"""Lists beside the layers that they are of: the same states as one accumulator of all."""

import numpy as np
import torch

from ffmem.ids import LayerCells
from ffmem.index.state.accumulator import Accumulator, LayerAccumulator
from ffmem.index.state.layers import Shape
from ffmem.index.state.places import Places
from ffmem.index.state.spread import SpreadAccumulator

SHAPE = Shape(tuple(LayerCells(number, 4 + number) for number in range(4)), 2, 3, "1")
DEVICES = ["one", "two", "one", "three"]


def pair() -> tuple[Accumulator, SpreadAccumulator, list[tuple[str, int]]]:
    made: list[tuple[str, int]] = []

    def make(shape: Shape, device: str) -> Accumulator:
        made.append((device, len(shape.layers)))
        return LayerAccumulator(shape)

    return LayerAccumulator(SHAPE), SpreadAccumulator(SHAPE, DEVICES, make), made


def observe(accumulator: Accumulator, seed: int, bad: tuple[int, ...] = ()) -> None:
    places = Places(0, np.array([3, 2]), np.arange(6).reshape(2, 3) + 10 * seed)
    accumulator.begin_shard()
    for layer, cells in enumerate(SHAPE.layers):
        drawn = torch.randn(2, 3, cells.n_cells, generator=torch.Generator().manual_seed(seed * 10 + layer))
        if layer in bad:
            drawn[0, 0, 2] = torch.nan
        accumulator.observe(layer, drawn, places)


def test_states_are_those_of_one_accumulator() -> None:
    whole, spread, made = pair()
    assert made == [("one", 2), ("two", 1), ("three", 1)]
    for seed in (1, 2):
        for one in (whole, spread):
            observe(one, seed)
            assert one.first_not_finite() is None
            one.close_shard(seed, "machine")
    assert spread.dump("job") == whole.dump("job")
    again = pair()[1]
    again.load(whole.dump("job"))
    for one in (whole, again):
        observe(one, 3)
        one.close_shard(3, "machine")
    assert again.dump("job") == whole.dump("job")
    assert not spread.can_roll_back


def test_the_lowest_layer_with_what_is_not_finite_is_named_wherever_it_is() -> None:
    whole, spread, _ = pair()
    for one in (whole, spread):
        observe(one, 1, bad=(1, 2, 3))
    assert spread.first_not_finite() == whole.first_not_finite() == (1, 2)
