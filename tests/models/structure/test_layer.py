"""One layer: its memories and how they reach the stream; or that it has none, or that something in it is not understood."""

from collections.abc import Callable
from types import MethodType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ffmem.models.structure.activations import named_activations
from ffmem.models.structure.dense import Hypotheses, Tried
from ffmem.models.structure.layer import Memories, NotExplainedError, explain_layer
from ffmem.models.structure.recording import record
from ffmem.models.structure.stacks import find_stacks
from tests.models.structure.toy_model import D_FF, D_MODEL, IDS, Layer, Model


def explained(
    forward: Callable[[Any, Tensor], Tensor] | None = None, parts: dict[str, Callable[[], nn.Module]] | None = None
) -> Memories | None:
    """The first layer of a model whose layers have these modules besides, and compute that."""
    model = Model()
    torch.manual_seed(2)
    for layer in model.body.layers:
        for name, make in (parts or {}).items():
            layer.add_module(name, make())
        if forward is not None:
            layer.forward = MethodType(forward, layer)
    recording = record(model, {"input_ids": IDS})
    run = find_stacks(model, recording, [IDS])[0].layers[0]
    tried = Hypotheses(named_activations(SimpleNamespace()), [], 1e-5)
    return explain_layer(recording, run, tried, Tried())


def memories(layer: Any, x: Tensor) -> Any:
    return layer.values(torch.relu(layer.keys(x)))


@torch.no_grad()
def test_memories_and_their_way_into_the_stream() -> None:
    one = explained()
    assert one is not None and one.dense is not None and one.experts is None
    assert (one.dense.key.path, one.dense.value.path) == ("body.layers.0.keys", "body.layers.0.values")
    assert (one.update.placement, one.update.update_scale, one.update.residual_scale) == (
        "sandwich", pytest.approx(0.5), pytest.approx(0.9),
    )  # fmt: skip
    model = Model()
    layer: Layer = model.body.layers[0]
    assert torch.allclose(one.y, memories(layer, layer.before(model.body.table(IDS[0]))), atol=1e-6)
    assert {kind.centres for kind in one.norms} == {True, False}
    assert max(one.errors) < 1e-5


def test_a_layer_that_only_mixes_positions_has_none() -> None:
    def mix(self: Any, h: Tensor) -> Tensor:
        return h + self.mixer(h)

    class Mixer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.back = nn.Linear(D_MODEL, D_FF), nn.Linear(D_FF, D_MODEL)

        def forward(self, x: Tensor) -> Tensor:
            return self.back(self.first(x).cumsum(1).tanh() * 0.1)  # type: ignore[no-any-return]

    assert explained(mix, {"mixer": Mixer}) is None


class Alone(nn.Module):
    """Treats each position by itself, in a way that no hypothesis knows."""

    def __init__(self, norm: nn.Module | None = None, experts: bool = False) -> None:
        super().__init__()
        self.first, self.back = nn.Linear(D_MODEL, D_FF), nn.Linear(D_FF, D_MODEL)
        self.norm = norm
        if experts:
            self.experts = nn.ModuleList([nn.Linear(D_MODEL, D_MODEL)])

    def forward(self, x: Tensor) -> Tensor:
        cells = torch.relu(self.first(x)) if self.norm is not None else torch.sin(3 * self.first(x))
        return self.back(cells if self.norm is None else self.norm(cells))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("make", "hint"),
    [
        (Alone, "is not explained$"),
        (lambda: Alone(nn.LayerNorm(D_FF)), r"is not explained: the norm body.layers.0.other.norm stands between"),
        (lambda: Alone(experts=True), "is not explained: its experts are modules of their own"),
    ],
)
def test_what_treats_each_position_by_itself_is_not_passed_over(make: Callable[[], nn.Module], hint: str) -> None:
    def add(self: Any, h: Tensor) -> Tensor:
        return h + self.other(h)

    with pytest.raises(NotExplainedError, match=hint):
        explained(add, {"other": make})


def test_several_feed_forward_layers_in_one_are_refused() -> None:
    def both(self: Any, h: Tensor) -> Tensor:
        return h + memories(self, h) + self.values2(torch.relu(self.keys2(h)))

    parts = {"keys2": lambda: nn.Linear(D_MODEL, D_FF), "values2": lambda: nn.Linear(D_FF, D_MODEL)}
    with pytest.raises(NotExplainedError, match=r"has several feed-forward layers: .*values, .*values2"):
        explained(both, parts)


def test_what_is_added_beside_memories_unseen_is_refused() -> None:
    with pytest.raises(NotExplainedError, match="adds to the stream is not its memories alone"):
        explained(lambda self, h: h + memories(self, self.before(h)) + 0.3 * h.sin())
