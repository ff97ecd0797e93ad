"""How memories reach the stream: the one sum that gives a layer's output."""

from collections.abc import Callable
from types import MethodType
from typing import Any

import pytest
import torch
from torch import Tensor

from ffmem.models.structure.dense import Tried
from ffmem.models.structure.recording import record
from ffmem.models.structure.stacks import find_stacks
from ffmem.models.structure.stream import LayerStream, Update
from tests.models.structure.toy_model import IDS, Layer, Model


def explained(forward: Callable[[Any, Tensor], Tensor], missed: Tried) -> Update | None:
    """The first layer of a model whose layers compute that."""
    model = Model()
    for layer in model.body.layers:
        layer.forward = MethodType(forward, layer)
    recording = record(model, {"input_ids": IDS})
    run = find_stacks(model, recording, [IDS])[0].layers[0]
    inner = recording.within(run.call)
    keys, values = (next(one for one in inner if one.path.endswith(name)) for name in ("keys", "values"))
    return LayerStream(recording, run, inner, keys.input, values.output, 1e-5).explain(missed)


def y(self: Any, x: Tensor) -> Any:
    return self.values(torch.relu(self.keys(x)))


def post(self: Any, h: Tensor) -> Any:
    return self.before(h + y(self, h))


def shared(self: Any, h: Tensor) -> Any:
    return (x := self.before(h)) + y(self, x)


def plain(self: Any, h: Tensor) -> Any:
    return h + 0.25 * y(self, h)


@pytest.mark.parametrize(
    ("forward", "placement", "norm", "post_norm", "scales"),
    [
        (Layer.forward, "sandwich", "before", "after", (0.9, 0.5)),
        (post, "post", "before", None, (1.0, 1.0)),
        (shared, "shared", "before", None, (1.0, 1.0)),
        (plain, "pre", None, None, (1.0, 0.25)),
    ],
)
def test_placements(
    forward: Any, placement: str, norm: str | None, post_norm: str | None, scales: tuple[float, float]
) -> None:
    found = explained(forward, Tried())
    assert found is not None
    names = [None if one is None else one.path.rpartition(".")[2] for one in (found.ff_norm, found.post_norm)]
    assert (found.placement, *names) == (placement, norm, post_norm)
    assert (found.residual_scale, found.update_scale) == pytest.approx(scales, rel=1e-4)
    assert found.beside is None and found.error < 1e-5


def test_what_is_added_beside_is_named() -> None:
    """As attention is that reads what the memories read: here a second norm stands for it."""
    found = explained(lambda self, h: h + y(self, self.before(h)) + 2 * self.after(h), Tried())
    assert found is not None and found.beside is not None
    assert found.beside.path == "body.layers.0.after" and found.parallel
    assert found.beside_scale == pytest.approx(2.0)


def test_a_squashed_sum_is_none() -> None:
    missed = Tried()
    assert explained(lambda self, h: torch.tanh(h + y(self, self.before(h))), missed) is None
    assert "the stream behind body.layers.0 as" in missed.nearest
