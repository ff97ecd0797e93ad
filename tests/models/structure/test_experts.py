"""Stacked experts, explained by what they gave: orientation, halves, biases and activation."""

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from ffmem.models.structure.activations import named_activations
from ffmem.models.structure.dense import Hypotheses, Tried
from ffmem.models.structure.experts import find_experts
from ffmem.models.structure.recording import record
from tests.models.toy_mixture import Layer, states

TRIED = Hypotheses(named_activations(SimpleNamespace()), [], 1e-5)


def test_halves_bias_and_activation_are_found() -> None:
    recording = record(Layer().mlp, {"x": states()})
    (found,) = find_experts(recording.calls, 4, TRIED, Tried())
    held = found.stacked
    assert (held.first, held.first_bias, held.second, held.second_bias) == ("first", "first_bias", "second", "")
    assert not held.transposed and held.gated and held.halves == ((1, None, 2), (0, None, 2))
    assert (found.activation, found.n_experts, found.d_ff) == ("relu", 3, 3)
    assert found.error < 1e-5


@pytest.mark.parametrize("change", ["the last expert is left out", "outputs are squared"])
def test_what_is_no_sum_of_experts_is_none(change: str) -> None:
    layer, missed = Layer(), Tried()
    experts = layer.mlp.experts

    def forward(hidden: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
        if change == "outputs are squared":
            return type(experts).forward(experts, hidden, chosen, weights) ** 2
        return type(experts).forward(experts, hidden, chosen.clamp(max=1), weights)

    experts.forward = forward  # type: ignore[method-assign]
    assert find_experts(record(layer.mlp, {"x": states()}).calls, 4, TRIED, missed) == []
    assert missed.nearest.startswith("experts: ")


class Ungated(nn.Module):
    """Weights lie (inputs, outputs); both matrices have biases."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.down, self.up = nn.Parameter(torch.randn(2, 5, 4)), nn.Parameter(torch.randn(2, 4, 5))
        self.down_bias, self.up_bias = nn.Parameter(torch.randn(2, 4)), nn.Parameter(torch.randn(2, 5))

    def forward(self, x: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
        rows = []
        for position, expert, weight in zip(x, chosen[:, 0], weights[:, 0], strict=True):
            m = torch.nn.functional.silu(position @ self.up[expert] + self.up_bias[expert])
            rows.append(weight * (m @ self.down[expert] + self.down_bias[expert]))
        return torch.stack(rows)


def test_transposed_experts_without_gates() -> None:
    arguments = {"x": states(), "chosen": torch.tensor([[0], [1], [1], [0], [1]]), "weights": torch.rand(5, 1)}
    (found,) = find_experts(record(Ungated(), arguments).calls, 4, TRIED, Tried())
    held = found.stacked
    assert (held.first, held.first_bias, held.second, held.second_bias) == ("up", "up_bias", "down", "down_bias")
    assert held.transposed and not held.gated and (found.activation, found.d_ff) == ("silu", 5)
