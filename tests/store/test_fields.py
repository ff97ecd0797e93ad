"""The table of what a cell keeps: a further line reaches states, merging and layer files by itself."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ffmem.ids import LayerCells
from ffmem.index.finish import layer_arrays as make_layer_arrays
from ffmem.index.state.accumulator import LayerAccumulator
from ffmem.index.state.layers import CpuLayer, Shape
from ffmem.index.state.places import Places
from ffmem.index.state.states import merged_layers
from ffmem.store import fields
from ffmem.store.fields import FIELDS, Field, axis_sizes

CELLS = LayerCells(0, 6, n_experts=2)


def test_a_layer_file_gives_back_the_state() -> None:
    sizes, rng = axis_sizes(CELLS, n_signs=2, top=4), np.random.default_rng(0)
    for field in FIELDS:
        array = rng.integers(0, 100, field.shape(sizes)).astype(field.dtype)
        stored = field.to_layer(array)
        dtype, axes = field.layer_form
        assert stored.dtype == dtype and stored.shape == tuple(sizes[axis] for axis in axes.split())
        back = field.from_layer(stored)
        assert back.dtype == field.dtype and (back == array).all() and back.flags.c_contiguous
        assert array.shape[field.group_axis] in (CELLS.n_cells, CELLS.n_groups)
    histogram = rng.integers(0, 9, (2, 64, 12)).astype(np.int32)
    (field,) = (one for one in FIELDS if one.name == "histogram")
    assert field.to_layer(histogram)[5, 1, 40] == histogram[1, 40, 5]


def test_byte_counts_are_those_of_the_arrays() -> None:
    sizes = axis_sizes(CELLS, n_signs=2, top=4, n_promoted=3)
    assert fields.state_bytes(sizes) == sum(field.empty(sizes).nbytes for field in FIELDS)
    # 12 cells, 2 signs, 4 slots of 12 bytes, 64 bins of 4; sums 32, active 16, extremes 8; 3 promoted at 2 ends; 2 groups
    assert fields.layer_bytes(sizes) == 12 * (2 * 4 * 12 + 2 * 64 * 4 + 32 + 16 + 8 + 3 * 16) + 2 * 16


def test_a_further_statistic_is_one_line_here_and_one_where_it_is_computed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    negative = Field("n_negative", "<i8", "cells", "add")
    monkeypatch.setattr(fields, "FIELDS", (*FIELDS[:4], negative, *FIELDS[4:]))
    observe = CpuLayer.observe

    def counting(self: CpuLayer, coefficients: torch.Tensor, places: Places) -> None:
        observe(self, coefficients, places)
        self._state["n_negative"] += (coefficients.numpy() < 0).sum((0, 1))

    monkeypatch.setattr(CpuLayer, "observe", counting)
    shape = Shape((CELLS,), 1, 3, "1")
    values = torch.randn(2, 2, 5, 4, 6, generator=torch.Generator().manual_seed(0))  # state, expert, sentences, ...
    paths = []
    for number in range(2):
        accumulator = LayerAccumulator(shape)
        for expert in range(2):
            tokens = np.arange(20).reshape(5, 4) + 20 * number
            accumulator.observe(0, values[number, expert], Places(0, np.full(5, 4), tokens), expert)
        accumulator.close_shard(number, "here")
        paths.append(tmp_path / f"state-{number}")
        paths[-1].write_bytes(accumulator.dump("job"))
        again = LayerAccumulator(shape)
        again.load(paths[-1].read_bytes())
        assert again.dump("job") == paths[-1].read_bytes()
    (merged,) = merged_layers(paths, shape)
    expected = (values < 0).sum((0, 2, 3)).reshape(-1)
    assert merged["n_negative"].tolist() == expected.tolist()
    arrays = make_layer_arrays(merged)
    assert arrays["n_negative"].tolist() == expected.tolist() and "n_negative" in fields.layer_arrays()
    assert (negative.from_layer(arrays["n_negative"]) == merged["n_negative"]).all()
    assert fields.state_bytes(shape.sizes(CELLS)) == 12 * 8 + sum(
        field.empty(shape.sizes(CELLS)).nbytes for field in FIELDS
    )
