"""One model for all texts that looks elsewhere and predicts the same: its queries and keys are tuned, and nothing else.

Wiegreffe and Pinter (2019), section 4: an adversary that is a model, held to texts that it was not tuned on.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ffmem.analyses.diagnostics.maps import LayerMaps, Maps, row_jsd, shares_of, value_norms
from ffmem.analyses.distances import tvd
from ffmem.errors import InputError
from ffmem.models.attention import AttentionLayer, AttentionStates
from ffmem.models.feed_forward import rows
from ffmem.models.transformer import Transformer

_RATE = 1e-3
_BEGIN = 0.05
"""Of the root of the mean square of each parameter: how far from the model itself tuning begins."""
_BATCH = 4
"""Texts of a step."""


@dataclass(frozen=True)
class Seen:
    """One text in a model: where it looks and what it predicts."""

    maps: Maps
    log_probabilities: Float[Tensor, "positions d_vocab"]


@dataclass(frozen=True)
class Moved:
    """One text in a tuned model, beside the same in the model itself."""

    distance: float
    """TVD of predictions, mean over positions."""
    jsd: float
    """Of weights, mean over sub-layers, heads and queries of two sources or more, in nats."""
    norm_jsd: float
    """The same of shares of ‖alpha f(x)‖."""


def seen_in(model: Transformer, ids: Int[Tensor, "positions"], *, norms: bool = True) -> Seen:
    """Maps and predictions of one pass, step by step; slopes go through weights and predictions where they are asked for."""
    maps: Maps = {}

    def keep(layer: AttentionLayer, states: AttentionStates) -> None:
        lengths = (
            value_norms(layer, layer.expand(states.values[0].detach()))
            if norms
            else states.weights.new_zeros(layer.n_heads, states.weights.shape[-1])
        )
        maps[layer.name] = LayerMaps(states.weights[0].float(), lengths)

    with model.watch_attention(keep):
        logits = model.logits(ids[None])
    assert logits is not None  # the study asks for a model that predicts
    return Seen(maps, logits[0].float().log_softmax(-1))


def moved(own: Seen, other: Seen) -> Moved:
    """How far a text's maps and predictions have gone."""
    jsd, norm_jsd = [], []
    for name, one in own.maps.items():
        counts, another = one.allowed.sum(-1) > 1, other.maps[name]
        jsd.append(row_jsd(shares_of(one.weights), shares_of(another.weights))[:, counts].flatten())
        norm_jsd.append(row_jsd(one.norm_rows, another.norm_rows)[:, counts].flatten())
    distance = tvd(own.log_probabilities, other.log_probabilities).mean()
    return Moved(*(float(one) for one in (distance, torch.cat(jsd).mean(), torch.cat(norm_jsd).mean())))


def looking_weights(model: Transformer) -> list[tuple[nn.Parameter, Tensor | None]]:
    """The parameters that decide where attention looks, and of those that hold values as well which numbers do (1, else 0).

    They are all of an attention module but W_V, W_O and their biases, and norms of the stream.

    Raises:
        InputError: they cannot be told from others, or are packed.
    """
    found: dict[int, tuple[nn.Parameter, Tensor | None]] = {}
    for layer in model.attention_layers:
        part = layer.part
        if part.value_axes == "batch keys heads outputs":
            raise _cannot(model, f"a norm stands behind W_V of {layer.name}")
        whole, value, output = (layer._at(path) for path in (part.module, part.value, part.output))
        others = {id(one) for name in (part.norm, part.after) if name for one in layer._at(name).parameters()}
        left = {id(one) for module in (value, output) for one in module.parameters()} | others
        found |= {id(one): (one, None) for one in whole.parameters() if id(one) not in left}
        if part.fused is not None:
            groups, n_values = part.fused
            of_outputs = torch.ones(rows(value).shape[1], device=model.device)
            of_outputs.view(groups, -1)[:, -n_values * layer.d_head :] = 0
            for name, one in value.named_parameters():
                in_out = name == "weight" and one.shape[-1] == len(of_outputs) and one is not None and _is_conv(value)
                mask = of_outputs if one.dim() == 1 or in_out else of_outputs[:, None]
                found[id(one)] = (one, mask.expand_as(one))
    if not found or not all(one.is_floating_point() for one, _ in found.values()):
        raise _cannot(model, "its queries and keys are packed" if found else "no queries and keys are found")
    return list(found.values())


def _is_conv(module: nn.Module) -> bool:
    """Whether its weight is (inputs, outputs), as GPT-2's."""
    return type(module).__name__ == "Conv1D"


def _cannot(model: Transformer, why: str) -> InputError:
    return InputError(
        f"queries and keys of {model.facts.name} cannot be tuned: {why}",
        "Expected a model whose W_Q and W_K are parameters of their own",
        "Write --tuning-steps 0",
    )


@contextmanager
def tuned(
    model: Transformer,
    texts: Sequence[Int[Tensor, "positions"]],
    price: float,
    *,
    steps: int,
    seed: int = 0,
    on_step: Callable[[int], None] = lambda _: None,
) -> Iterator[None]:
    """Let a model look elsewhere for a while; at the end its weights are what they were, to the byte.

    Minimises TVD(p, p') - price x KL(alpha' || alpha), both means over positions or rows, by Adam over queries and keys.

    Args:
        model: with plain weights.
        texts: what it is tuned on.
        price: what a nat of divergence is worth; with 0 nothing moves.
        steps: of Adam, a few texts each.
        seed: of the order of texts.
        on_step: called with the steps that are done.

    Raises:
        InputError: see `looking_weights`.

    Cost: a pass and one back for each of 4 texts a step.
    """
    weights = looking_weights(model)
    before = [one.data for one, _ in weights]
    try:
        for one, _ in weights:
            one.data = one.data.clone()  # it may be a file's
        with torch.inference_mode(False):
            _tune(model, [one.clone() for one in texts], price, weights, steps, seed, on_step)
        yield
    finally:
        for (one, _), old in zip(weights, before, strict=True):
            one.data, one.grad = old, None
            one.requires_grad_(False)


def _tune(
    model: Transformer,
    texts: Sequence[Tensor],
    price: float,
    weights: list[tuple[nn.Parameter, Tensor | None]],
    steps: int,
    seed: int,
    on_step: Callable[[int], None],
) -> None:
    with torch.no_grad():
        own = [seen_in(model, ids, norms=False) for ids in texts]
    rng = np.random.default_rng([seed, 52])
    if price > 0:
        _push(weights, seed)
    optimiser = torch.optim.Adam([one.requires_grad_(True) for one, _ in weights], lr=_RATE)
    for number in range(steps):
        optimiser.zero_grad()
        for chosen in rng.choice(len(texts), min(_BATCH, len(texts)), replace=False).tolist():
            with torch.enable_grad():
                now = seen_in(model, texts[chosen], norms=False)
                distance = tvd(own[chosen].log_probabilities, now.log_probabilities).mean()
                torch.autograd.backward((distance - price * _divergence(own[chosen].maps, now.maps)) / _BATCH)
        for one, mask in weights:
            if one.grad is not None and mask is not None:
                one.grad *= mask
        optimiser.step()
        on_step(number + 1)


def _push(weights: list[tuple[nn.Parameter, Tensor | None]], seed: int) -> None:
    """Begin a little beside the model itself, where the divergence has no slope."""
    generator = torch.Generator().manual_seed(seed)
    for one, mask in weights:
        noise = torch.randn(one.shape, generator=generator).to(one.device, one.dtype)
        spread = _BEGIN * one.data.float().pow(2).mean().sqrt().to(one.dtype)
        one.data += noise * spread * (1 if mask is None else mask.to(one.dtype))


def _divergence(own: Maps, now: Maps) -> Tensor:
    """KL(alpha' || alpha), mean over rows of two sources or more."""
    every = []
    for name, one in own.items():
        counts, moving = one.allowed.sum(-1) > 1, now[name].weights
        ratio = moving.clamp(min=1e-9).log() - one.weights.clamp(min=1e-9).log()
        every.append((moving * ratio).sum(-1)[:, counts].flatten())
    return torch.cat(every).mean()
