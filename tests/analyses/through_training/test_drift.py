"""How far weights move: nothing by scaling, everything by swapping, and against plain numbers."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ffmem import load_model
from ffmem.analyses.through_training.drift import Memories, drift, growth, memories_of, way


def test_scaling_turns_nothing() -> None:
    rows = torch.randn(30, 8, generator=torch.Generator().manual_seed(0))
    assert drift(rows, rows * 2) == pytest.approx(0, abs=1e-12) and growth(rows, rows * 2) == pytest.approx(np.log(2))
    assert growth(rows, rows / 2) == pytest.approx(-np.log(2))
    assert drift(rows, -rows) == pytest.approx(2)


def test_it_is_one_less_the_cosine() -> None:
    before, after = (torch.randn(9, 5, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    cosine = torch.nn.functional.cosine_similarity(before, after, dim=1).numpy()
    assert drift(before, after) == pytest.approx(1 - cosine, abs=1e-6)
    before[2] = 0
    assert np.isnan(drift(before, after)[2]) and np.isnan(growth(before, after)[2])
    assert np.isfinite(np.delete(drift(before, after), 2)).all()


def test_two_cells_swapped_are_the_two_that_moved() -> None:
    rows = torch.randn(12, 6, generator=torch.Generator().manual_seed(3))
    swapped = rows[[0, 1, 7, 3, 4, 5, 6, 2, 8, 9, 10, 11]]
    assert np.flatnonzero(drift(rows, swapped) > 1e-6).tolist() == [2, 7]


def test_the_way_is_what_the_weights_moved_in_all() -> None:
    before = Memories(torch.tensor([[1.0, -1.0]]), torch.tensor([[2.0, 0.0]]))
    after = Memories(torch.tensor([[1.5, -1.0]]), torch.tensor([[2.0, -0.5]]))
    assert way(before, after) == pytest.approx(1 / 4) and way(before, before) == 0


def test_memories_are_the_weights_of_the_module(tiny_folder: Callable[[str], Path]) -> None:
    plain, gated = (load_model(tiny_folder(family)) for family in ("wikilm", "llama"))
    layer = plain.module.model.layers[1]
    found = memories_of(plain, 1)
    assert found.keys.equal(layer.fc1.weight.detach()) and found.values.equal(layer.fc2.weight.detach().T)
    mlp = gated.module.model.layers[2].mlp
    both = torch.cat((mlp.gate_proj.weight, mlp.up_proj.weight), dim=1).detach()
    assert memories_of(gated, 2).keys.equal(both)
