"""Random directions: the activation that is taken for granted, rotations, and how often they are active."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from ffmem import Index
from ffmem.analyses.meaning.directions import TurnedCells, can_turn, random_rotation
from ffmem.index.indexed_model import load_indexed_model
from ffmem.models.tracing import trace


@pytest.mark.parametrize("family", ["gpt2", "opt", "llama", "gemma2", "bert", "t5", "bloom", "falcon", "wikilm"])
def test_the_activation_gives_the_models_own_coefficients(family: str, tiny_folder: Callable[[str], object]) -> None:
    from ffmem import load_model

    model = load_model(str(tiny_folder(family)))
    assert model.activation is not None and can_turn(model)
    layer = trace(model, torch.tensor([[5, 9, 30, 31]]))[-1]
    place, x = model.facts.n_layers - 1, layer.ff_input
    with torch.no_grad():
        keys = model.gate_keys(place) if model.facts.gated else model.keys(place)
        bias = model.key_bias(place)
        expected = model.activation(x @ keys.T + (0 if bias is None else bias))
        if model.facts.gated:
            expected = expected * (x @ model.up_keys(place).T)
    assert layer.coefficients == pytest.approx(expected.numpy(), rel=1e-4, abs=1e-5)


def test_experts_are_not_turned(tiny_folder: Callable[[str], object]) -> None:
    from ffmem import load_model

    assert not can_turn(load_model(str(tiny_folder("mixtral"))))


@pytest.mark.parametrize("family", ["wikilm", "llama"])
def test_as_often_active_and_no_cell_itself(family: str, index_of: Callable[[str], Index]) -> None:
    model = load_indexed_model(index_of(family))
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((400, model.facts.d_model)) * np.linspace(0.1, 3, model.facts.d_model)).astype(np.float32)
    rows = np.array([0, 3, 7])
    turned = TurnedCells(model, 1, rows, x)
    got = turned.coefficients(x)
    states = torch.from_numpy(x)
    with torch.no_grad():
        keys = (model.gate_keys(1) if model.facts.gated else model.keys(1))[rows]
        bias = model.key_bias(1)
        own = (states @ keys.T + (0 if bias is None else bias[rows])).numpy()
    if model.facts.gated:  # SiLU has the sign of what goes in; the product has that of the other key as well
        rotation = random_rotation(x.shape[1], np.random.default_rng([0, 1, 9]))
        up = x @ (model.up_keys(1)[rows].detach().numpy() @ rotation).T
        n_active = ((got * up) > 0).sum(0)
    else:
        n_active = (got > 0).sum(0)
    assert n_active.tolist() == (own > 0).sum(0).tolist()
    assert all(abs(np.corrcoef(own[:, i], got[:, i])[0, 1]) < 0.9 for i in range(3))
    # other positions are held to the same thresholds
    assert turned.coefficients(x[:5]) == pytest.approx(got[:5], rel=1e-4, abs=1e-6)


def test_rotations_keep_lengths_and_angles() -> None:
    rotation = random_rotation(12, np.random.default_rng(0))
    assert rotation @ rotation.T == pytest.approx(np.eye(12), abs=1e-5)
    many = np.stack([random_rotation(3, np.random.default_rng(i))[0] for i in range(2_000)])
    assert abs(many.mean(0)).max() < 0.06  # no direction is preferred


def test_cells_that_are_always_or_never_active() -> None:
    from ffmem.analyses.meaning.directions import _thresholds

    values = torch.tensor([[1.0, 1, 3], [2, 2, 2], [3, 3, 1]])
    found = _thresholds(values, torch.tensor([0, 3, 2]))
    assert (values > found).sum(0).tolist() == [0, 3, 2]
