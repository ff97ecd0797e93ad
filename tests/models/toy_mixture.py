"""A layer of three experts, of which each position sees two, with gated cells beside them: a few numbers, and plain loops."""

import torch
from torch import Tensor, nn

from ffmem.models.base import Layout, SharedCells, Stacked

D_MODEL, D_FF, N_EXPERTS, SHARED = 4, 3, 3, 6


class Experts(nn.Module):
    """All experts' weights; odd outputs of the first are gates, even ones are up."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.randn(N_EXPERTS, 2 * D_FF, D_MODEL))
        self.first_bias = nn.Parameter(torch.randn(N_EXPERTS, 2 * D_FF))
        self.second = nn.Parameter(torch.randn(N_EXPERTS, D_MODEL, D_FF))

    def one(self, x: Tensor, expert: int) -> Tensor:
        """The activations of one position in one expert."""
        products = self.first[expert] @ x + self.first_bias[expert]
        return nn.functional.relu(products[1::2]) * products[::2]

    def forward(self, hidden: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
        output = torch.zeros_like(hidden)
        for position, x in enumerate(hidden):
            for expert, weight in zip(chosen[position].tolist(), weights[position], strict=True):
                output[position] += weight * (self.second[expert] @ self.one(x, expert))
        return output


class Mixture(nn.Module):
    """Half the sum of the experts, and shared cells."""

    def __init__(self) -> None:
        super().__init__()
        self.experts = Experts()
        self.gate, self.up = nn.Linear(D_MODEL, SHARED), nn.Linear(D_MODEL, SHARED, bias=False)
        self.down, self.share = nn.Linear(SHARED, D_MODEL, bias=False), nn.Linear(D_MODEL, 1, bias=False)
        self.router = nn.Linear(D_MODEL, N_EXPERTS)

    def route(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The experts of each position, and their weights."""
        weights, chosen = self.router(x).softmax(-1).topk(2)
        return chosen, weights

    def forward(self, x: Tensor) -> Tensor:
        shared = self.down(nn.functional.relu(self.gate(x)) * self.up(x))
        return 0.5 * self.experts(x, *self.route(x)) + torch.sigmoid(self.share(x)) * shared


class Layer(nn.Module):
    """Has the mixture at "mlp"."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.mlp = Mixture()
        self.requires_grad_(False)


def activate(module: Experts, products: Tensor) -> Tensor:
    """What the experts make of products."""
    return nn.functional.relu(products[..., 1::2]) * products[..., ::2]


STACKED = Stacked("first", "first_bias", "second", halves=((1, None, 2), (0, None, 2)), activate=activate, scale=0.5)
LAYOUT = Layout(
    "",
    "layers",
    "",
    experts="mlp.experts",
    stacked=STACKED,
    shared=(SharedCells("mlp.gate", "mlp.up", "mlp.down", gate="mlp.share"),),
)


def states() -> Tensor:
    """Five positions."""
    return torch.randn(5, D_MODEL, generator=torch.Generator().manual_seed(9))


def coefficients(layer: Layer, x: Tensor) -> Tensor:
    """Of all cells, position by position: those of experts, then the shared ones."""
    mlp, rows = layer.mlp, []
    for position, (chosen, weights) in zip(x, zip(*mlp.route(x), strict=True), strict=True):
        row = torch.zeros(N_EXPERTS * D_FF + SHARED)
        for expert, weight in zip(chosen.tolist(), weights, strict=True):
            row[expert * D_FF : (expert + 1) * D_FF] = 0.5 * weight * mlp.experts.one(position, expert)
        products = mlp.gate.weight @ position + mlp.gate.bias
        share = torch.sigmoid(mlp.share.weight @ position)
        row[N_EXPERTS * D_FF :] = share * products.relu() * (mlp.up.weight @ position)
        rows.append(row)
    return torch.stack(rows)
