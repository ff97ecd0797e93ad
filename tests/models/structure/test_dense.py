"""Feed-forward layers of matrices, found by what they gave."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ffmem.models.structure.activations import named_activations
from ffmem.models.structure.dense import Dense, Hypotheses, Tried, find_dense
from ffmem.models.structure.matrices import matrices
from ffmem.models.structure.recording import record

TRIED = Hypotheses(named_activations(SimpleNamespace()), [0.5], 1e-5)
X = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))


class Layer(nn.Module):
    """Three matrices of 5 cells, one of twice as many outputs, and a module of its own for the activation."""

    def __init__(self, way: str) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.a, self.b, self.both, self.down = nn.Linear(4, 5), nn.Linear(4, 5), nn.Linear(4, 10), nn.Linear(5, 4)
        self.own, self.way = nn.Softplus(), way

    def forward(self, x: Tensor) -> Any:
        a, b, both = self.a(x), self.b(x), self.both(x)
        return self.down({
            "plain": lambda: torch.tanh(b),
            "gated": lambda: torch.relu(b) * a,
            "halves": lambda: torch.sigmoid(both[:, 5:]) * both[:, :5],
            "turns": lambda: nn.functional.silu(both[:, ::2]) * both[:, 1::2],
            "scaled": lambda: nn.functional.silu(0.5 * a) * b,
            "own": lambda: self.own(a),
            "clamped": lambda: torch.relu(a).clamp(max=0.2),
            "of another position": lambda: torch.relu(a).roll(1, 0),
        }[self.way]())  # fmt: skip


def found(way: str, missed: Tried) -> list[Dense]:
    """What explains the layer of that name."""
    calls = record(Layer(way).eval(), {"x": X}).calls
    return find_dense(calls, matrices(calls), 4, TRIED, missed)


@pytest.mark.parametrize(
    ("way", "key", "up", "halves", "activation", "plain"),
    [
        ("plain", "b", None, None, "tanh", True),
        ("gated", "b", "a", None, "relu", True),
        ("halves", "both", "both", ((5, 10, 1), (0, 5, 1)), "sigmoid", True),
        ("turns", "both", "both", ((0, None, 2), (1, None, 2)), "silu", True),
        ("scaled", "a", "b", None, "silu", False),
        ("own", "a", None, None, "Softplus", False),
    ],
)
def test_what_is_computed_is_found(
    way: str, key: str, up: str | None, halves: Any, activation: str, plain: bool
) -> None:
    (one,) = found(way, Tried())
    assert (one.key.path, one.up and one.up.path, one.halves, one.value.path) == (key, up, halves, "down")
    assert (one.activated.name, one.activated.plain) == (activation, plain)
    assert torch.equal(one.x, X) and one.error < 1e-5
    gates = torch.linspace(-1, 1, 5)
    own = {"scaled": nn.functional.silu(gates / 2), "own": nn.functional.softplus(gates)}
    if way in own:
        assert torch.allclose(one.activated.function(gates), own[way])


@pytest.mark.parametrize("way", ["clamped", "of another position"])
def test_what_is_no_such_sum_is_none(way: str) -> None:
    missed = Tried()
    assert found(way, missed) == []
    assert missed.nearest.startswith("down: ") and min(missed.best)[0] > 1e-3


def test_the_nearest_is_told() -> None:
    missed = Tried()
    for error, what in ((0.5, "far"), (0.012, "near"), (float("inf"), "of another shape")):
        missed.note(error, what)
    assert missed.nearest == "near misses by 0.012"
