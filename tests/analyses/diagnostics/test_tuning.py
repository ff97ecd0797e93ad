"""Queries and keys that are tuned, and put back."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ffmem import load_model
from ffmem.analyses.diagnostics.tuning import looking_weights, moved, seen_in, tuned

TEXTS = [torch.tensor([5, 9, 12, 7, 30, 21]), torch.tensor([8, 5, 9, 40, 3])]


@pytest.mark.parametrize("variant", ["gpt2", "llama", "gpt_neox", "wikilm"])
def test_nothing_moves_without_a_price_and_all_comes_back(variant: str, tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder(variant))
    before, own_weights = model.weights_hash(), {n: p.clone() for n, p in model.module.named_parameters()}
    with torch.no_grad():
        own = seen_in(model, TEXTS[0])
    with tuned(model, TEXTS, 0.0, steps=2):
        assert all(torch.equal(p, own_weights[n]) for n, p in model.module.named_parameters())
    with tuned(model, TEXTS, 1.0, steps=4), torch.no_grad():
        there = moved(own, seen_in(model, TEXTS[0]))
        values = [layer.value_matrix().clone() for layer in model.attention_layers]
    assert there.jsd > 1e-6 and there.distance > 0 and there.norm_jsd > 0
    for layer, then in zip(model.attention_layers, values, strict=True):  # also where they share a matrix with queries
        assert torch.equal(layer.value_matrix(), then)
    model.forget_weights_hash()
    assert model.weights_hash() == before and not any(p.requires_grad for p in model.module.parameters())
    with torch.no_grad():
        assert moved(own, seen_in(model, TEXTS[0])).jsd == 0


@pytest.mark.parametrize(
    ("variant", "names"), [("llama", ("q_proj.weight", "k_proj.weight")), ("gpt2", ("c_attn.weight", "c_attn.bias"))]
)
def test_what_looks_is_queries_and_keys(
    variant: str, names: tuple[str, ...], tiny_folder: Callable[[str], Path]
) -> None:
    model = load_model(tiny_folder(variant))
    chosen = {id(one) for one, _ in looking_weights(model)}
    found = {name for name, one in model.module.named_parameters() if id(one) in chosen}
    assert len(found) == len(names) * len(model.attention_layers) and all(one.endswith(names) for one in found)
    if variant == "gpt2":
        masks = [mask for _, mask in looking_weights(model)]
        assert all(mask is not None and float(mask.mean()) == pytest.approx(2 / 3) for mask in masks)
