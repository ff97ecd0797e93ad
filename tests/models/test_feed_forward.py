"""Mixtures of experts: what is reported expert by expert, and as a whole."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ffmem import ModelError, load_model
from ffmem.models.feed_forward import DenseLayer
from ffmem.models.mixture import MixtureLayer
from ffmem.models.transformer import Transformer

TOKEN_IDS = torch.arange(5, 45).view(4, 10)


@pytest.fixture(params=["mixtral", "qwen3_moe"])
def model(request: pytest.FixtureRequest, tiny_folder: Callable[[str], Path]) -> Transformer:
    return load_model(tiny_folder(request.param))


def test_experts_one_by_one_are_the_whole(model: Transformer) -> None:
    whole: dict[int, torch.Tensor] = {}
    with torch.no_grad(), model.watch_coefficients(lambda layer, m: whole.update({layer: m.clone()})):
        model.forward(TOKEN_IDS)
    pieces = {layer: torch.zeros_like(m) for layer, m in whole.items()}
    dense: list[int] = []
    seen: list[tuple[int, int]] = []

    def on_expert(layer: int, expert: int, positions: torch.Tensor, found: torch.Tensor) -> None:
        assert (positions.diff() > 0).all() and len(found) == len(positions) > 0
        d_ff = model.facts.layers[layer].d_ff
        pieces[layer].view(40, -1)[positions, expert * d_ff : (expert + 1) * d_ff] = found
        seen.append((layer, len(positions)))

    with torch.no_grad(), model.watch_coefficients(lambda layer, m: dense.append(layer), on_expert):
        model.forward(TOKEN_IDS)
    for layer, cells in enumerate(model.facts.layers):
        if cells.n_experts:
            assert isinstance(model.layer(layer), MixtureLayer) and layer not in dense
            assert torch.equal(pieces[layer], whole[layer])
            assert sum(n for where, n in seen if where == layer) == 2 * 40  # each position goes to two experts
        else:
            assert isinstance(model.layer(layer), DenseLayer) and layer in dense


def test_layers_that_are_not_asked_for_are_not_reported(model: Transformer) -> None:
    seen: list[int] = []
    watch = model.watch_coefficients(
        lambda layer, m: seen.append(layer), lambda layer, *_: seen.append(layer), layers={1, 2}
    )
    with torch.no_grad(), watch:
        model.forward(TOKEN_IDS)
    assert {*seen} == {1, 2}


def test_expert_matrices_are_those_of_the_checkpoint(model: Transformer) -> None:
    """Cell e * d_ff + i has row i of expert e's gate and up matrices, and column i of its down matrix."""
    layer = model.layer(0)
    cells, experts = layer.cells, layer.at("mlp.experts")
    for expert in range(cells.n_experts):
        gate_up, down = experts.gate_up_proj[expert], experts.down_proj[expert]
        rows = slice(expert * cells.d_ff, (expert + 1) * cells.d_ff)
        assert torch.equal(model.gate_keys(0)[rows], gate_up[: cells.d_ff])
        assert torch.equal(model.up_keys(0)[rows], gate_up[cells.d_ff :])
        assert torch.equal(model.values(0)[rows], down.T)
    with pytest.raises(ModelError, match="gated"):
        layer.keys()


def test_the_experts_are_as_before_afterwards(model: Transformer) -> None:
    experts = model.layer(0).at("mlp.experts")
    with model.watch_coefficients(lambda _layer, _m: None):
        assert "forward" in vars(experts)
    assert "forward" not in vars(experts)
