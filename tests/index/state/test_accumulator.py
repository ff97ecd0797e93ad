"""All layers together: experts one after the other, what was seen, and a state that is taken up again."""

import numpy as np
import pytest
import torch

from ffmem.ids import LayerCells
from ffmem.index.state.accumulator import LayerAccumulator
from ffmem.index.state.layers import Shape
from ffmem.index.state.places import Places
from ffmem.store.fields import FIELDS
from ffmem.store.keys import NO_TOKEN, unpack

SHAPE = Shape((LayerCells(0, 4), LayerCells(1, 3, n_experts=2)), 1, 2, "1")
PLACES = Places(1, np.array([2]), np.array([[10, 11]]))


def coefficients(*rows: list[float]) -> torch.Tensor:
    """One sentence, after a special token with which nothing competes."""
    return torch.tensor([[[99.0] * len(rows[0]), *rows]])


def test_an_expert_counts_for_its_own_cells_alone() -> None:
    accumulator = LayerAccumulator(SHAPE)
    accumulator.observe(1, coefficients([1, 2, 3], [4, -5, 6]), PLACES, 1)
    accumulator.close_shard(0, "m")
    layer = accumulator.layer(1)
    assert layer["counts"].tolist() == [[0, 0], [2, 1]]
    assert layer["maximum"].tolist() == [-np.inf] * 3 + [4, 2, 6]
    assert layer["minimum"].tolist() == [np.inf] * 3 + [1, -5, 3]
    assert layer["n_active"].tolist() == [0, 0, 0, 2, 1, 2]
    assert layer["n_active_sentences"].tolist() == [0, 0, 0, 1, 1, 1]
    assert layer["sum"][0].tolist() == [0, 0, 0, 5, -3, 9]
    assert layer["square_sum"][0].tolist() == [0, 0, 0, 17, 29, 45]
    assert layer["histogram"].sum(axis=1).tolist() == [[0, 0, 0, 1, 1, 1]]
    values, tokens = unpack(layer["keys"][0])
    assert values.tolist() == [[0, 0]] * 3 + [[4, 0], [2, 0], [6, 0]]
    assert tokens.tolist() == [[NO_TOKEN] * 2] * 3 + [[11, NO_TOKEN], [10, NO_TOKEN], [11, NO_TOKEN]]
    assert not any(accumulator.layer(0)[name].any() for name in ("keys", "counts", "n_active", "histogram"))


def test_arrays_have_the_sizes_of_the_table() -> None:
    accumulator = LayerAccumulator(SHAPE)
    for place, cells in enumerate(SHAPE.layers):
        layer, sizes = accumulator.layer(place), SHAPE.sizes(cells)
        assert list(layer) == [field.name for field in FIELDS]
        assert {name: (array.dtype.str, array.shape) for name, array in layer.items()} == {
            field.name: (field.dtype, field.shape(sizes)) for field in FIELDS
        }


def test_half_precision_is_widened_before_it_is_squared() -> None:
    accumulator = LayerAccumulator(SHAPE)
    accumulator.observe(0, coefficients([300.0] * 4, [1.0] * 4).half(), PLACES)  # 90,000 is no float16
    accumulator.close_shard(0, "m")
    assert accumulator.layer(0)["square_sum"][0].tolist() == [90_001] * 4


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_cell_of_an_expert_is_named_by_its_row_in_the_layer(bad: float) -> None:
    accumulator = LayerAccumulator(SHAPE)
    assert accumulator.first_not_finite() is None
    accumulator.observe(1, coefficients([1, 2, 3], [4, bad, 6]), PLACES, 1)
    assert accumulator.first_not_finite() == (1, 4)
    accumulator.observe(0, coefficients([1, 2, 3, bad], [4, 5, 6, 7]), PLACES)
    assert accumulator.first_not_finite() == (0, 3)


def test_sums_beyond_the_limit_are_not_finite_enough() -> None:
    accumulator = LayerAccumulator(SHAPE)
    accumulator.observe(0, coefficients([0, 0, 3e9, 0], [0, 0, 0, 0]), PLACES)  # 9e18 is more than 2^62
    assert accumulator.first_not_finite() == (0, 2)


def test_a_state_says_which_shards_it_has_seen_whole_and_on_which_machines() -> None:
    accumulator = LayerAccumulator(SHAPE)
    for shard, machine in ((5, "a"), (2, "b"), (9, "a")):
        accumulator.begin_shard()
        accumulator.observe(0, coefficients([shard] * 4, [1] * 4), PLACES)
        accumulator.close_shard(shard, machine)
    again = LayerAccumulator(SHAPE)
    again.load(accumulator.dump("job"))
    assert again.covered == {2, 5, 9} and again.machines == {"a", "b"}
    assert again.layer(0)["counts"].tolist() == [[6, 3]]
    again.close_shard(1, "c")
    assert accumulator.covered == {2, 5, 9}, "a loaded state shares nothing with the one it came from"


def test_what_comes_after_a_loaded_state_competes_with_what_it_holds() -> None:
    accumulator, again = LayerAccumulator(SHAPE), LayerAccumulator(SHAPE)
    accumulator.observe(0, coefficients([5, 5, 5, 5], [0, 0, 0, 0]), PLACES)
    accumulator.observe(0, coefficients([0, 0, 0, 0], [3, 3, 3, 3]), PLACES)
    accumulator.close_shard(0, "m")
    again.load(accumulator.dump("job"))
    again.observe(0, coefficients([2, 4, 6, 3], [0, 0, 0, 0]), Places(1, np.array([2]), np.array([[20, 21]])))
    again.close_shard(1, "m")
    values, tokens = unpack(again.layer(0)["keys"][0])
    assert values.tolist() == [[5, 3], [5, 4], [6, 5], [5, 3]]
    assert tokens.tolist() == [[10, 11], [10, 20], [20, 10], [10, 11]]  # of two 3s the smaller token


def test_this_form_cannot_forget_an_open_shard() -> None:
    accumulator = LayerAccumulator(SHAPE)
    assert not accumulator.can_roll_back
    with pytest.raises(NotImplementedError):
        accumulator.roll_back()
