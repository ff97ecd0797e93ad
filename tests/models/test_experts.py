"""Experts and shared cells by themselves: which positions are told, and with what."""

import torch
from torch import Tensor, nn

from ffmem.models.base import Layout, SharedCells, Stacked
from ffmem.models.experts import SharedExperts, StackedExperts
from tests.models.toy_mixture import D_FF, LAYOUT, Layer, coefficients, states


def test_each_expert_is_told_with_its_positions_in_ascending_order() -> None:
    layer, x = Layer(), states()
    told: dict[int, tuple[Tensor, Tensor]] = {}
    stop = StackedExperts(layer.mlp.experts, LAYOUT).follow(
        lambda states: None, lambda e, positions, m, _: told.update({e: (positions, m)}), lambda: torch.ones(5, 4)
    )
    chosen, weights = layer.mlp.route(x)
    output = layer.mlp.experts(x, chosen, weights)
    stop()
    expected = coefficients(layer, x)
    for expert, (positions, m) in told.items():
        assert positions.tolist() == [n for n in range(5) if expert in chosen[n].tolist()]
        assert torch.allclose(m, expected[positions, expert * D_FF : (expert + 1) * D_FF], atol=1e-6)
    # what is added to the layer's output is added before the multiplier of 0.5
    assert torch.allclose(output - layer.mlp.experts(x, chosen, weights), torch.full((5, 4), 2.0), atol=1e-5)


class AllPositions(nn.Module):
    """Is given all positions for each expert, multiplied with their routing weights; weights lie (inputs, outputs)."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Parameter(torch.randn(2, 3, 4)), nn.Parameter(torch.randn(2, 4, 3))

    def forward(self, given: Tensor) -> Tensor:
        return (torch.relu(given.view(2, -1, 3) @ self.first) @ self.second).view(-1, 3)


def test_inputs_may_be_weighted_instead_of_outputs() -> None:
    torch.manual_seed(2)
    module = AllPositions().requires_grad_(False)
    held = Stacked(
        "first",
        "",
        "second",
        transposed=True,
        gated=False,
        weighted_inputs=True,
        activate=lambda _, products: products.relu(),
    )
    experts = StackedExperts(module, Layout("", "", "", experts="experts", stacked=held))
    assert torch.equal(experts.keys(1, 0), module.first[1].T) and torch.equal(experts.values(1), module.second[1])
    x, weights = torch.randn(2, 3), torch.tensor([[0.7, 0.0], [0.4, 0.6]])
    told: list[tuple[int, list[int], Tensor]] = []
    stop = experts.follow(lambda _: None, lambda e, at, m, _: told.append((e, at.tolist(), m)), lambda: None)
    module((x[None] * weights.T[..., None]).reshape(-1, 3))
    stop()
    assert [(expert, positions) for expert, positions, _ in told] == [(0, [0, 1]), (1, [1])]
    assert torch.allclose(told[1][2][0], torch.relu(0.6 * x[1] @ module.first[1]))


def test_shared_cells_of_one_matrix_are_cut_in_halves() -> None:
    module = nn.ModuleDict({"both": nn.Linear(2, 8), "down": nn.Linear(4, 2)})
    shared = SharedExperts(module, SharedCells("both", "", "down", halves=((4, 8, 1), (0, 4, 1)), scale=3.0), 2)
    assert shared.n_groups == 2
    assert torch.equal(shared.keys(0), module["both"].weight[4:])
    bias, up_bias = shared.bias(), shared.key_bias(1)
    assert bias is not None and torch.equal(bias, 3 * module["down"].bias)
    assert up_bias is not None and torch.equal(up_bias, module["both"].bias[:4])
