"""Weights under a budget: the model is the one held whole, to the bit, and no more of it is there than was allowed."""

import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import ffmem
from ffmem import InputError
from ffmem.models.half import in_float32
from ffmem.models.streaming import weights
from ffmem.models.streaming.units import blocks_of
from ffmem.models.streaming.weights import StreamedWeights, stream_of
from tests.models.streaming.smallest import smallest_budget

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what memory is mapped from files")
IDS = torch.tensor([[3, 5, 7, 9, 11, 13]])
CPU = torch.device("cpu")


class Brought:
    """Notes each copy of a block, and each that is given back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.copied = 0
        self.given_back = 0
        copy, give = weights.to_device, weights.give_back
        monkeypatch.setattr(weights, "to_device", lambda *args: self._count("copied", copy(*args)))
        monkeypatch.setattr(weights, "give_back", lambda one: self._count("given_back", give(one)))

    def _count(self, name: str, result: Any) -> Any:
        setattr(self, name, getattr(self, name) + 1)
        return result


@pytest.mark.parametrize(
    ("variant", "dtype"),
    [(one, "float32") for one in ("gpt2", "mixtral", "t5", "wikilm")]
    + [(one, "bfloat16") for one in ("marian", "qwen3_moe")],
)
def test_it_is_the_model_that_is_held_whole(variant: str, dtype: Any, tiny_folder: Callable[[str], Path]) -> None:
    folder = tiny_folder(variant)
    whole = ffmem.load_model(folder, dtype=dtype)
    budget = smallest_budget(folder, dtype)
    model = ffmem.load_model(folder, dtype=dtype, model_memory=budget)
    assert model.stream is not None and not (dtype == "float32" and model.stream.is_whole)
    assert model.facts == whole.facts and model.identity_errors == whole.identity_errors
    assert model.weights_hash() == whole.weights_hash() and model.config_hash() == whole.config_hash()
    for layer in range(model.facts.n_layers):
        assert torch.equal(model.value_rows(layer), whole.value_rows(layer))
    assert torch.equal(model.forward(IDS), whole.forward(IDS))
    ours, theirs = model.logits(IDS), whole.logits(IDS)
    assert ours is theirs is None or torch.equal(ours, theirs)
    assert model.stream.n_here <= budget
    assert {name: one.dtype for name, one in model.module.named_parameters()} == {
        name: one.dtype for name, one in whole.module.named_parameters()
    }


def test_a_budget_that_is_too_small_is_refused_with_what_would_do(tiny_folder: Callable[[str], Path]) -> None:
    folder = tiny_folder("llama")
    need = smallest_budget(folder)
    ffmem.load_model(folder, model_memory=need, proved=False)
    with pytest.raises(InputError) as refused:
        ffmem.load_model(folder, model_memory=need - 1, proved=False)
    told = str(refused.value)
    assert "--model-memory" in told and f"at least {need:,} bytes" in told and "whose weights take 1" in told
    assert f"Write --model-memory {-(-need // 1000)}KB" in told
    whole = ffmem.load_model(folder, proved=False).module.model
    block = sum(4 * one.numel() for one in whole.layers[0].parameters())
    embedding = 4 * whole.embed_tokens.weight.numel()
    assert need == max(block, embedding) + 4 * 32, "the largest part, and the last norm, which stays"


def test_merged_experts_are_told_as_what_stays(tiny_folder: Callable[[str], Path]) -> None:
    with pytest.raises(InputError, match="made anew while it loads, and lie in no file"):
        ffmem.load_model(tiny_folder("mixtral"), model_memory=1, proved=False)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_with_room_for_all_each_weight_is_brought_once(
    dtype: Any, tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ffmem.load_model(tiny_folder("llama"), dtype=dtype, model_memory=10**9, proved=False)
    assert model.stream is not None and model.stream.is_whole
    model.logits(IDS)
    brought = Brought(monkeypatch)
    model.logits(IDS)
    assert brought.copied == brought.given_back == 0


class Toy(nn.Module):
    """Six equal blocks, an embedding and a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(16, 8)
        self.layers = nn.ModuleList(nn.Linear(8, 8, bias=False) for _ in range(6))
        self.norm = nn.LayerNorm(8)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embedding(ids)
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


BLOCK = 2 * 8 * 8
"""Bytes in bfloat16: the embedding has two of it, the norm a quarter."""


def toy(n_blocks: int) -> tuple[Toy, StreamedWeights]:
    """One that is copied to bfloat16, with room for so many blocks; its float32 numbers lie in no file, and count."""
    torch.manual_seed(0)
    model = Toy().requires_grad_(False)
    held = 4 * sum(one.numel() for one in model.parameters())
    return model, StreamedWeights(model, CPU, held + n_blocks * BLOCK, {}, torch.bfloat16, "toy")


def test_what_follows_is_brought_ahead_where_there_is_room_for_two() -> None:
    model, stream = toy(7)
    assert not stream.is_whole
    torch.manual_seed(0)
    expected = Toy().bfloat16()
    for _ in range(3):
        assert torch.equal(model(torch.arange(5)), expected(torch.arange(5)))
        assert stream.n_here <= stream.budget
    assert stream._helper is not None
    stream.give_back()
    assert stream._coming is None and stream.n_here == stream._resident


def test_blocks_that_fit_stay_and_only_the_others_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = toy(7)
    ids = torch.arange(5)
    for _ in range(3):
        model(ids)
    brought = Brought(monkeypatch)
    for _ in range(4):
        model(ids)
    # of eight units, as large as eight blocks and a quarter, seven fit: what was used last makes room, not what comes next
    assert 0 < brought.copied <= 4 * 5


def test_a_weight_stays_valid_while_it_is_held() -> None:
    model, stream = toy(6)
    first = model.layers[0].weight
    before = first.clone()
    model(torch.arange(5))
    stream.give_back()
    gc.collect()
    assert torch.equal(first, before)
    assert torch.equal(model.layers[0].weight, before) and model.layers[0].weight is not first


def test_what_goes_through_all_parameters_brings_none(monkeypatch: pytest.MonkeyPatch) -> None:
    model, stream = toy(6)
    brought = Brought(monkeypatch)
    assert {name: (one.shape, one.dtype) for name, one in model.named_parameters()} == {
        name: (one.shape, torch.bfloat16) for name, one in Toy().named_parameters()
    }
    assert brought.copied == 0 and stream_of(model) is stream and stream_of(Toy()) is None
    assert stream.blocks == tuple(blocks_of(model).values())


def test_weights_of_one_parameter_stay_one() -> None:
    model = Toy()
    model.layers[3].weight = model.layers[1].weight
    StreamedWeights(model.requires_grad_(False), CPU, 10**9, {}, torch.bfloat16, "toy")
    assert model.layers[3].weight is model.layers[1].weight
    assert len(dict(model.named_parameters())) == 1 + 5 + 2


def test_in_float32_for_a_while(tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(tiny_folder("llama"), dtype="bfloat16", model_memory=10**9, proved=False)
    before, part = model.logits(IDS), model.module.model.layers[1].mlp.up_proj
    exact = ffmem.load_model(tiny_folder("llama"), proved=False).module.model.layers[1].mlp.up_proj.weight
    with in_float32(model.module):
        assert part.weight.dtype == torch.float32
        assert torch.equal(part.weight, exact.bfloat16().float()), "the numbers that half precision holds"
        assert next(model.module.parameters()).dtype == torch.float32
    assert part.weight.dtype == torch.bfloat16 and next(model.module.parameters()).dtype == torch.bfloat16
    after = model.logits(IDS)
    assert before is not None and after is not None and torch.equal(after, before)
