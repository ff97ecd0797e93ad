"""Which token fired which cell: a coefficient as the sum of what attention of its layer had brought from each token.

Source: Kobayashi et al. 2024 (see `one_map`): token j's part of cell p is z_jp x m_p / s_p, where s_p = k_p x + b goes through
the activation, and z_jp is the part of it that came from j.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ffmem.models.frozen_norm import FrozenNorm
from ffmem.models.tracing import LayerTrace
from ffmem.models.transformer import Transformer
from ffmem.models.unembedding import LinearScore


@dataclass(frozen=True)
class Brought:
    """What attention of one layer added to the position, as it arrives in the stream."""

    parts: Float[Tensor, "tokens d_model"]
    constant: Float[Tensor, "d_model"]
    stream: Float[Tensor, "d_model"]
    """What it was added to."""
    output: Float[Tensor, "d_model"]
    after: FrozenNorm | None
    """The norm behind the sum, in "post" layers."""


@dataclass(frozen=True)
class IntoKeys:
    """x, what the keys are compared with, as a sum."""

    parts: Float[Tensor, "tokens d_model"]
    constant: Float[Tensor, "d_model"]


def into_keys(model: Transformer, place: int, state: LayerTrace, brought: Brought, at: int) -> IntoKeys:
    """The parts of x that came from each token, by attention of this layer; the position's own has its stream in it."""
    layout = model.layout(place)
    parts, constant = brought.parts.clone(), brought.constant
    if layout.parallel:  # the feed-forward layer reads the stream before attention has added to it
        parts, constant = torch.zeros_like(parts), torch.zeros_like(constant)
    parts[at] += brought.stream
    if brought.after is not None:
        norm = brought.after
    elif not layout.ff_norm:
        return IntoKeys(parts, constant)
    else:
        before = brought.stream if layout.parallel else brought.stream + brought.output
        norm = model.unembedding.freeze(model.layer(place).at(layout.ff_norm), before.to(state.ff_input.dtype))
    normed, rest = norm.shaped(parts) * norm.scale, norm(constant)
    return IntoKeys(normed, rest if norm.bias is None else rest + norm.bias)


def _slopes(model: Transformer, coefficients: Tensor, before: Tensor) -> Tensor:
    """What one unit in front of the activation, or of the up branch, is worth in the coefficient: m / s."""
    at_zero = 0.0 if model.facts.activation.startswith("relu") or model.facts.gated else 0.5  # GELU's and SiLU's
    safe = torch.where(before == 0, 1.0, before)
    return torch.where(before == 0, at_zero, coefficients / safe)


def _branch(model: Transformer, place: int) -> tuple[Tensor, Tensor | None]:
    """The keys in front of the activation, or those of the up branch of gated cells, and their bias."""
    if model.facts.gated:
        return model.up_keys(place), model.up_bias(place)
    return model.keys(place), model.key_bias(place)


def fired_by(
    model: Transformer, place: int, state: LayerTrace, chosen: Tensor, tokens: IntoKeys
) -> tuple[Float[Tensor, "chosen tokens"], Float[Tensor, "chosen"]]:
    """The parts of some cells' coefficients, by token, and by no token."""
    keys, bias = _branch(model, place)
    rows = keys[chosen].double()
    parts, constant = rows @ tokens.parts.T, rows @ tokens.constant
    if bias is not None:
        constant = constant + bias[chosen].double()
    slopes = _slopes(model, state.coefficients[chosen].double(), parts.sum(1) + constant)
    return parts * slopes[:, None], constant * slopes


def memory_logits(
    model: Transformer,
    place: int,
    state: LayerTrace,
    arriving: Float[Tensor, "cells d_model"],
    score: LinearScore,
    tokens: IntoKeys,
) -> tuple[tuple[float, ...], float]:
    """The shares of the score that all cells added because of each token, and because of none."""
    keys, bias = _branch(model, place)
    keys = keys.double()
    before = keys @ (tokens.parts.sum(0) + tokens.constant)
    if bias is not None:
        before = before + bias.double()
    worth = _slopes(model, state.coefficients.double(), before) * score.of(arriving)
    direction = worth @ keys
    constant = tokens.constant @ direction
    if bias is not None:
        constant = constant + worth @ bias.double()
    return tuple((tokens.parts @ direction).tolist()), float(constant)
