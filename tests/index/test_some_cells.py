"""Indexes of some cells against the index of all: the same numbers for each cell that is there."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ffmem
from ffmem import Index, IndexOptions, InputError, RunOptions
from ffmem.index.build import build_index
from ffmem.index.merge import merge_indexes
from ffmem.index.store import LAYER_ARRAYS
from ffmem.index.verify import verify_index
from tests.conftest import D_FF, IN_PROCESS, N_LAYERS, write_corpus

SOME = {
    "llama": "10%,L1.0-7,L2.47",
    "gpt2": "L2,L0.5-9,L0.11",  # no cell of layer 1: places of the index are not those of the model
    "t5": "enc.L1.3,enc.L1.40,dec.L0-L1:20%",
    "mixtral": "L1:10%,L2.0-3",
    "qwen3_moe": "L1,L2.7",  # the layer in the middle has no experts
}
PER_CELL = [name for name in LAYER_ARRAYS if name not in ("slot_by_token", "counts")]
SCORES = ("promoted_scores", "suppressed_scores")


def of_cells(index: Index, name: str) -> np.ndarray:
    """An array of all cells of an index, a row for each cell, layer after layer."""
    parts = [np.asarray(getattr(index.layer(place), name)) for place in range(index.n_layers)]
    return np.concatenate([part.T if LAYER_ARRAYS[name][1] == "2 cells" else part for part in parts])


def ids_of(index: Index) -> list[str]:
    """The cells in the order of `of_cells`."""
    space = index.cells
    return [str(space.cell_id(place, row)) for place, one in enumerate(space.layers) for row in range(one.n_cells)]


@pytest.mark.parametrize("family", SOME)
def test_each_cell_has_the_bits_that_it_has_among_all(
    family: str, index_of: Callable[[str], Index], sparse_index_of: Callable[[str, str], Index]
) -> None:
    whole, some = index_of(family), sparse_index_of(family, SOME[family])
    rows = {cell: row for row, cell in enumerate(ids_of(whole))}
    chosen = [rows[cell] for cell in ids_of(some)]
    assert 0 < len(chosen) == some.n_cells < whole.n_cells and chosen == sorted(set(chosen))
    for name in PER_CELL:
        found, expected = of_cells(some, name), of_cells(whole, name)[chosen]
        if name in SCORES:  # of a product whose block of values has another shape
            assert np.allclose(found, expected, rtol=1e-5, atol=1e-5)
        else:
            assert np.array_equal(found, expected), name
    for place, layer in enumerate(some.cells.layers):
        of_whole = whole.layer(some.cells.whole_place(place))
        assert layer.name == whole.cells.layers[some.cells.whole_place(place)].name
        assert np.array_equal(some.layer(place).counts, of_whole.counts)
    assert {**some.manifest["model"]} == {**whole.manifest["model"]}
    assert some.cells.whole.layers == whole.cells.layers and "cells_kept" not in whole.manifest
    found = verify_index(some, n_batches=12)
    assert found.problems == () and found.same_bytes and found.n_triggers > 5
