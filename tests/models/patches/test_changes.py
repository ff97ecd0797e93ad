"""Changed values against plain torch, and the bytes that come back."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from ffmem import InputError, load_model
from ffmem.models.patches.changes import Added, Replaced, change_values, changed_values

TEXT = "The silver river of the winter village"


def logits(module: nn.Module, ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return module(ids).logits


@pytest.mark.parametrize(("family", "transposed"), [("gpt2", True), ("llama", False), ("opt", False)])
def test_added_values_are_those_of_plain_torch_and_undo_restores_the_hash(
    family: str, transposed: bool, tiny_folder: Callable[[str], Path]
) -> None:
    model, plain = load_model(tiny_folder(family)), load_model(tiny_folder(family))
    before, own = model.weights_hash(), model.values(1).clone()
    left, right = torch.randn(len(own), 2), torch.randn(2, own.shape[1])
    undo = change_values(model, {1: Added(left, right)})
    path = {
        "gpt2": "transformer.h.1.mlp.c_proj",
        "llama": "model.layers.1.mlp.down_proj",
        "opt": "model.decoder.layers.1.fc2",
    }
    weight = plain.module.get_submodule(path[family]).weight
    moved = (left.double() @ right.double()).float()
    with torch.no_grad():
        weight.add_(moved if transposed else moved.T)
    ids = torch.tensor([plain.tokenizer(TEXT).input_ids])
    torch.testing.assert_close(logits(model.module, ids), logits(plain.module, ids), rtol=1e-5, atol=1e-5)
    assert model.weights_hash() != before
    undo()
    assert model.weights_hash() == before
    assert torch.equal(model.values(1), own)
    undo()
    assert model.weights_hash() == before


def test_rank_one_after_rank_one_is_rounded_once() -> None:
    """In float32, 1e8 + 1 - 1e8 is 0 if each step is rounded."""
    values = torch.zeros(1, 1)
    change = Added(torch.tensor([[1.0, 1.0, -1.0]]), torch.tensor([[1e8], [1.0], [1e8]]))
    assert float(change.applied(values)) == 1.0


def test_replaced_values_are_those_and_no_others(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("llama"))
    own, new = model.values(0).clone(), torch.arange(2.0 * model.facts.d_model).reshape(2, -1)
    with changed_values(model, {0: Replaced(torch.tensor([1, 3]), new)}):
        assert torch.equal(model.values(0)[[1, 3]], new)
        same = [row for row in range(len(own)) if row not in (1, 3)]
        assert torch.equal(model.values(0)[same], own[same])
    assert torch.equal(model.values(0), own)


def test_values_of_one_expert_are_changed_alone(tiny_folder: Callable[[str], Path]) -> None:
    """Against the weights of the experts as transformers holds them: (experts, d_model, d_ff)."""
    model = load_model(tiny_folder("mixtral"))
    cells = model.cells.layers[0]
    row = cells.d_ff + 2
    held = model.module.model.layers[0].mlp.experts.down_proj
    before = held.detach().clone()
    new = torch.full((1, model.facts.d_model), 0.5)
    undo = change_values(model, {0: Replaced(torch.tensor([row]), new)})
    assert torch.equal(model.module.model.layers[0].mlp.experts.down_proj[1, :, 2], new[0])
    after = model.module.model.layers[0].mlp.experts.down_proj.detach().clone()
    after[1, :, 2] = before[1, :, 2]
    assert torch.equal(after, before)
    undo()
    assert torch.equal(model.module.model.layers[0].mlp.experts.down_proj, before)


def test_an_error_within_gives_the_values_back(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("gpt2"))
    before = model.weights_hash()
    n, d = model.values(0).shape
    with pytest.raises(KeyError), changed_values(model, {0: Added(torch.ones(n, 1), torch.ones(1, d))}):
        raise KeyError
    assert model.weights_hash() == before


def test_a_change_that_does_not_fit_is_refused_before_anything_is_changed(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("llama"))
    before = model.weights_hash()
    n, d = model.values(0).shape
    good = Added(torch.ones(n, 1), torch.ones(1, d))
    for bad in (Added(torch.ones(n - 1, 1), torch.ones(1, d)), Replaced(torch.tensor([n]), torch.ones(1, d))):
        with pytest.raises(InputError, match=f"Expected {n} cells of {d} numbers"):
            change_values(model, {0: good, 1: bad})
    assert model.weights_hash() == before


def test_layers_that_share_their_values_are_refused(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("llama"))
    n, d = model.values(0).shape
    model.module.model.layers[1].mlp.down_proj.weight = model.module.model.layers[0].mlp.down_proj.weight
    with pytest.raises(InputError, match=r"are those of other layers, too: .*layers\.1\.mlp\.down_proj"):
        change_values(model, {0: Added(torch.ones(n, 1), torch.ones(1, d))})


def test_packed_values_are_refused(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("llama"))
    n, d = model.values(0).shape
    part = model.module.model.layers[0].mlp.down_proj
    part.weight = nn.Parameter(torch.zeros(d, n, dtype=torch.uint8), requires_grad=False)
    with pytest.raises(InputError, match="packed into 8 or 4 bits"):
        change_values(model, {0: Added(torch.ones(n, 1), torch.ones(1, d))})
