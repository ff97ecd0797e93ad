"""Limits below which contributions are put to 0: their energy, and what they cost a model, computed by the model itself."""

from collections.abc import Callable
from math import exp, log

import numpy as np
import pytest
import torch

from ffmem import Index, load_model
from ffmem.analyses.sparsity.limits import MORE_LOSS, SHARE, cuts_to_zero, perplexity_limits
from ffmem.analyses.sparsity.stretch import Stretch, stretch_of
from ffmem.models.transformer import Transformer


@pytest.mark.parametrize(("family", "cuts"), [("opt", True), ("wikilm", True), ("gpt2", False), ("llama", False)])
def test_only_a_relu_cuts_to_zero(family: str, cuts: bool, index_of: Callable[[str], Index]) -> None:
    assert cuts_to_zero(load_model(index_of(family).manifest.identity.model.source)) == cuts


def made(family: str, index_of: Callable[[str], Index]) -> tuple[Transformer, Stretch]:
    index = index_of(family)
    text = stretch_of(index.text, (0, index.text.n_sentences), 200)
    return load_model(index.manifest.identity.model.source), text


def plain_loss(model: Transformer, text: Stretch, limits: tuple[float, ...] | None) -> float:
    """By the modules of transformers themselves, a sentence at a time."""
    losses: list[float] = []
    layers = model.module.model.layers
    handles = []
    for place, limit in enumerate(limits or ()):
        down = layers[place].mlp.down_proj

        def cut(_: object, given: tuple[torch.Tensor], limit: float = limit, down: torch.nn.Linear = down) -> object:
            return (given[0] * (given[0].abs() * down.weight.norm(dim=0) > limit),)

        handles.append(down.register_forward_pre_hook(cut))
    before, after = model.special_tokens("auto")
    with torch.inference_mode():
        for own in text.tokens:
            log_p = model.module(torch.tensor([[*before, *own.tolist(), *after]])).logits[0].log_softmax(-1)
            losses += [-float(log_p[len(before) + at, token]) for at, token in enumerate(own.tolist()[1:])]
    for handle in handles:
        handle.remove()
    return float(np.mean(losses))


def test_a_gated_model_loses_what_it_is_said_to_lose_and_hardly_more_is_too_much(
    index_of: Callable[[str], Index],
) -> None:
    model, text = made("llama", index_of)
    found = perplexity_limits(model, text, "auto")
    assert found.loss == pytest.approx(plain_loss(model, text, None), abs=1e-4)
    assert found.loss_without == pytest.approx(plain_loss(model, text, found.limits), abs=1e-4)
    assert found.loss_without <= found.loss + MORE_LOSS and found.more_perplexity <= 0.01 + 1e-6
    assert 1e-5 < found.dropped < 0.9 and all(limit > 0 for limit in found.limits)
    assert exp(log(0.9 / 1e-5) / 2**9) < 1.03  # as near as the search goes


def test_a_model_without_a_perplexity_drops_a_share_of_each_layers_energy(index_of: Callable[[str], Index]) -> None:
    model, text = made("bert", index_of)
    found = perplexity_limits(model, text, "auto")
    assert found.dropped == SHARE and np.isnan(found.loss)
    before, after = model.special_tokens("auto")
    few = text.some(256)
    for place, limit in enumerate(found.limits):
        sizes: list[np.ndarray] = []
        for own in few.tokens:

            def keep(_: int, m: torch.Tensor, n: int = len(own)) -> None:
                own_m = m[0, len(before) : len(before) + n]
                sizes.append((own_m.abs() * model.values(place).norm(dim=1)).numpy().reshape(-1))  # noqa: B023

            with torch.inference_mode(), model.watch_coefficients(keep, layers={place}):
                model.forward(torch.tensor([[*before, *own.tolist(), *after]]))
        every = np.concatenate(sizes).astype(np.float64)
        assert (every[every <= limit * (1 + 1e-5)] ** 2).sum() / (every**2).sum() == pytest.approx(SHARE, rel=0.02)
