"""A layer is a mixture where it has experts, and dense where it has none."""

import torch
from torch import nn

from ffmem.models.base import Layout
from ffmem.models.feed_forward import DenseLayer
from ffmem.models.layers import read_layer
from ffmem.models.mixture import MixtureLayer
from tests.models.toy_mixture import LAYOUT, Layer


def test_layers_of_one_layout_may_differ() -> None:
    """As in a mixture of which some layers have no experts, but a dense layer in their place."""
    layout = Layout("", "layers", "mlp.down", gate_key="mlp.gate", up_key="mlp.up", experts="mlp.experts")
    dense = nn.ModuleDict({"mlp": nn.ModuleDict({"gate": nn.Linear(4, 7), "up": nn.Linear(4, 7)})})
    dense["mlp"]["down"] = nn.Linear(7, 4)  # type: ignore[index, operator]
    found = read_layer(dense, layout, 3)
    assert isinstance(found, DenseLayer) and found.cells.n_cells == 7 and found.cells.name == "L3"
    assert torch.equal(found.values(), dense["mlp"]["down"].weight.T)  # type: ignore[index, operator]
    mixture = read_layer(Layer(), LAYOUT, 1)
    assert isinstance(mixture, MixtureLayer) and mixture.cells.n_cells == 15
