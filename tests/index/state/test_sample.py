"""The sample that loops keep, in whatever order and parts, against all coefficients sorted at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ffmem.ids import LayerCells
from ffmem.index.state.layers import CpuLayer, Shape
from ffmem.index.state.places import Places
from ffmem.index.state.sample import merge_samples
from tests.store.test_strata import stratum_of

SAMPLE = ("sample_keys", "sample_coefficient", "sample_count")
Batch = tuple[torch.Tensor, Places]
State = dict[str, np.ndarray]


@dataclass(frozen=True)
class Seen:
    """All that competed."""

    values: np.ndarray
    """(positions, cells)."""
    keys: list[int]

    def expected(self, n_signs: int, size: int) -> State:
        """The sample of every cell, by sorting."""
        n_cells = self.values.shape[1]
        keys = np.zeros((n_cells, 9 * n_signs + 1, size), dtype=np.int64)
        coefficients, counts = np.zeros(keys.shape, dtype=np.float32), np.zeros(keys.shape[:2], dtype=np.int64)
        for cell in range(n_cells):
            column = self.values[:, cell].tolist()
            extremes = [max(column, default=0), min(column, default=0)]
            lists: dict[int, list[tuple[int, float]]] = {}
            for key, value in zip(self.keys, column, strict=True):
                lists.setdefault(stratum_of(value, extremes, n_signs), []).append((key, value))
            for stratum, found in lists.items():
                counts[cell, stratum] = len(found)
                for slot, (key, value) in enumerate(sorted(found, reverse=True)[:size]):
                    keys[cell, stratum, slot], coefficients[cell, stratum, slot] = key, value
        return dict(zip(SAMPLE, (keys, coefficients, counts), strict=True))


def batches(seed: int, n_cells: int, n: int) -> tuple[list[Batch], Seen]:
    """Padded batches of coefficients of many sizes and both signs; padding holds numbers that would be drawn."""
    rng = np.random.default_rng(seed)
    made, rows, keys, token = [], [], [], 0
    for _ in range(n):
        lengths = np.sort(rng.integers(-1, 9, rng.integers(1, 5)))[::-1].astype(np.int64)
        shape = (len(lengths), 12, n_cells)
        values = rng.normal(size=shape) * np.exp2(rng.integers(-6, 6, shape))
        values[rng.random(shape) < 0.2] = 0
        values[rng.random(shape) < 0.05] = -0.0
        tokens = token + np.arange(len(lengths) * 12).reshape(len(lengths), 12)
        token += tokens.size
        lots = rng.integers(0, 2**31, tokens.shape)
        sample_keys = (lots << 32) | (2**32 - 1 - tokens)
        for row, length in enumerate(lengths):
            rows += list(values[row, 2 : 2 + max(length, 0)].astype(np.float32))
            keys += sample_keys[row, : max(length, 0)].tolist()
        made.append((torch.from_numpy(values.astype(np.float32)), Places(2, lengths, tokens, sample_keys)))
    return made, Seen(np.array(rows, dtype=np.float32).reshape(-1, n_cells), keys)


def kept(made: Sequence[Batch], shape: Shape, n_cells: int) -> State:
    layer = CpuLayer(n_cells, shape)
    for values, places in made:
        layer.observe(values, places)
    layer.close_shard()
    return layer.state()


def joined(ours: State, theirs: State) -> State:
    """As states are joined, in copies."""
    first, second = ({name: array.copy() for name, array in one.items()} for one in (ours, theirs))
    merge_samples(first, second)
    first["maximum"] = np.maximum(ours["maximum"], theirs["maximum"])
    first["minimum"] = np.minimum(ours["minimum"], theirs["minimum"])
    return first


def same(one: State, other: State) -> bool:
    return all(np.array_equal(one[name].view(np.int32), other[name].view(np.int32)) for name in SAMPLE)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n_signs=st.integers(1, 2),
    size=st.integers(1, 6),
    order=st.permutations(range(4)),
    tree=st.booleans(),
)
def test_however_it_is_split_and_merged_a_sample_is_that_of_all_positions(
    seed: int, n_signs: int, size: int, order: list[int], tree: bool
) -> None:
    shape = Shape((LayerCells(0, 5),), n_signs, 3, "1", sample=size)
    made, seen = batches(seed, 5, 9)
    expected = seen.expected(n_signs, size)
    whole = kept(made, shape, 5)
    assert same(whole, expected)
    backwards = kept(made[::-1], shape, 5)
    assert same(backwards, expected)
    parts = [kept(made[part::4], shape, 5) for part in order]
    merged = joined(joined(*parts[:2]), joined(*parts[2:])) if tree else reduce(joined, parts)
    assert same(merged, expected)


@pytest.mark.parametrize(("n_signs", "n_cells"), [(1, 300), (2, 129)])
def test_cells_of_several_blocks_and_a_state_that_is_loaded(n_signs: int, n_cells: int) -> None:
    shape = Shape((LayerCells(0, n_cells),), n_signs, 3, "1", sample=4)
    made, seen = batches(7, n_cells, 8)
    layer = CpuLayer(n_cells, shape)
    layer.load(kept(made[:4], shape, n_cells))
    for values, places in made[4:]:
        layer.observe(values, places)
    assert same(layer.state(), seen.expected(n_signs, 4))


def test_without_a_sample_nothing_is_kept() -> None:
    made, _ = batches(1, 5, 2)
    assert not [name for name in kept(made, Shape((LayerCells(0, 5),), 1, 3, "1"), 5) if name.startswith("sample")]
