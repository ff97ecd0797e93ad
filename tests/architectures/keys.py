"""Keys as a truth states them: the rows that x is multiplied with, and what becomes of the products."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Act = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Keys:
    """The keys of some cells: one row a cell, or two where cells are gated."""

    rows: tuple[Tensor, ...]
    """(cells, d_model) each; of gated cells those that go through the activation come first."""
    biases: tuple[Tensor, ...]
    """(cells,) each."""
    combine: Callable[..., Tensor]
    """From the products with the rows to activations."""
    scale: float = 1.0
    """What the first product is multiplied with inside the activation, which may be read as a part of the keys."""

    def activations(self, x: Tensor) -> Tensor:
        """(positions, cells)."""
        return self.combine(*(x @ rows.T + bias for rows, bias in zip(self.rows, self.biases, strict=True)))


def linear(module: Any, conv1d: bool = False) -> tuple[Tensor, Tensor]:
    """A row for each output of a linear map, and its biases."""
    rows = module.weight.detach().T if conv1d else module.weight.detach()
    bias = getattr(module, "bias", None)
    return rows, rows.new_zeros(len(rows)) if bias is None else bias.detach()


def ungated(module: Any, act: Act, conv1d: bool = False) -> Keys:
    """act(k x)."""
    rows, bias = linear(module, conv1d)
    return Keys((rows,), (bias,), act)


def gated(gate: Any, up: Any, act: Act, scale: float = 1.0) -> Keys:
    """act(g x) times u x."""
    rows, biases = zip(linear(gate), linear(up), strict=True)
    return Keys(rows, biases, lambda first, second: act(scale * first) * second, scale)


def halves(both: Any, act: Act) -> Keys:
    """The same, with the gate keys above the up keys in one matrix."""
    rows, bias = linear(both)
    return Keys(rows.chunk(2), bias.chunk(2), lambda first, second: act(first) * second)


def stacked(rows: Tensor, act: Act) -> Keys:
    """The same of one expert, whose matrix is (2 cells, d_model) and has no biases."""
    zeros = rows.new_zeros(len(rows) // 2)
    return Keys(rows.detach().chunk(2), (zeros, zeros), lambda first, second: act(first) * second)


def relu(x: Tensor) -> Tensor:
    """The larger of x and 0."""
    return x.clamp(min=0)


def relu2(x: Tensor) -> Tensor:
    """Its square."""
    return x.clamp(min=0) ** 2


def silu(x: Tensor) -> Tensor:
    """x / (1 + exp(-x))."""
    return x * torch.sigmoid(x)


def quick_gelu(x: Tensor) -> Tensor:
    """x / (1 + exp(-1.702 x))."""
    return x * torch.sigmoid(1.702 * x)


def gelu(x: Tensor) -> Tensor:
    """x times the share of a normal distribution below it."""
    return 0.5 * x * (1 + torch.erf(x / 2**0.5))


def gelu_tanh(x: Tensor) -> Tensor:
    """The same by an approximation with a hyperbolic tangent."""
    return 0.5 * x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3)))
