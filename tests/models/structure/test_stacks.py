"""Lists of layers that hand a stream on, told from other lists."""

import torch
from torch import Tensor

from ffmem.models.structure.recording import record
from ffmem.models.structure.stacks import find_stacks
from tests.models.structure.toy_model import IDS, Model


def test_the_list_of_layers_with_its_streams() -> None:
    model = Model()
    (stack,) = find_stacks(model, record(model, {"input_ids": IDS}), [IDS])
    assert (stack.path, stack.backbone, stack.inner_path) == ("body.layers", "body", "layers")
    h = model.body.table(IDS[0])
    for run, layer in zip(stack.layers, model.body.layers, strict=True):
        assert torch.equal(run.before, h)
        h = layer(h)
        assert torch.equal(run.after, h) and (run.run, run.runs) == (0, 1)


def test_shared_layers_are_counted_as_runs() -> None:
    model = Model()

    def twice(input_ids: Tensor) -> Tensor:
        h = model.body.table(input_ids)
        for layer in (*model.body.layers, *model.body.layers):
            h = layer(h)
        return model.body.norm(h)  # type: ignore[no-any-return]

    model.body.forward = twice  # type: ignore[method-assign]
    (stack,) = find_stacks(model, record(model, {"input_ids": IDS}), [IDS])
    assert [(one.call.path[-1], one.run, one.runs) for one in stack.layers] == [
        ("0", 0, 2), ("1", 0, 2), ("0", 1, 2), ("1", 1, 2)
    ]  # fmt: skip


def test_a_broken_stream_is_none() -> None:
    """Something between two layers changes the stream; or they stand beside each other."""
    model, between = Model(), Model()
    for changed, forward in (
        (model, lambda ids: sum(layer(model.body.table(ids)) for layer in model.body.layers)),
        (between, lambda ids: between.body.layers[1](2 * between.body.layers[0](between.body.table(ids)))),
    ):
        changed.body.forward = forward  # type: ignore[assignment, method-assign]
        assert find_stacks(changed, record(changed, {"input_ids": IDS}), [IDS]) == []
