"""The identities that everything rests on, measured on a model: sums of memories, residuals, hooks, logits."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ffmem.models.model_facts import is_gated
from ffmem.models.present import present
from ffmem.models.softmax_layer import SoftmaxLayer
from ffmem.models.tracing import LayerTrace, trace
from ffmem.models.transformer import Transformer


@dataclass(frozen=True)
class Identities:
    """Errors of the identities; relative ones are max|a - b| / max|b|."""

    ff_sum_errors: tuple[float, ...]
    """A layer each: sum of m_i v_i + b against the feed-forward output."""
    key_errors: tuple[float | None, ...]
    """A layer each: the activation of products with keys (of experts: times a weight for each position; in a softmax with a
    context: as shares of what each head gives memories) against the coefficients; None where the activation has no name that
    is known."""
    norm_errors: tuple[float | None, ...]
    """A layer each: the norms that it names, as the linear maps that they are at their states, against theirs; None where
    there is none, or it is not told what it reads."""
    residual_errors: tuple[float, ...]
    """A layer each: r + y, as the family defines it, against the layer's output."""
    hook_error: float
    """Largest difference of the logits (of the final state, without a head) with and without hooks; 0: the same bits."""
    logit_error: float | None
    """The last layer's output projected with "final-norm" ("raw" or "adaptive" without a final norm) against the model's own
    logits; None without a head."""


def measure_identities(
    model: Transformer,
    token_ids: Int[Tensor, "batch positions"],
    attention_mask: Int[Tensor, "batch positions"] | None = None,
) -> Identities:
    """Measure them on one batch."""
    with torch.no_grad():
        states = trace(model, token_ids, attention_mask)
        plain = _output(model, token_ids, attention_mask)
        with model.watch_coefficients(lambda _layer, _coefficients: None):
            watched = _output(model, token_ids, attention_mask)
        return Identities(
            ff_sum_errors=tuple(_ff_sum_error(model, layer, state) for layer, state in enumerate(states)),
            key_errors=tuple(_key_error(model, layer, state) for layer, state in enumerate(states)),
            norm_errors=tuple(_norm_error(model, layer, state) for layer, state in enumerate(states)),
            residual_errors=tuple(_residual_error(model, layer, state) for layer, state in enumerate(states)),
            hook_error=_difference(plain, watched),
            logit_error=_logit_error(model, states[-1].layer_output, plain) if model.has_head else None,
        )


def _output(
    model: Transformer, token_ids: Int[Tensor, "batch positions"], attention_mask: Int[Tensor, "batch positions"] | None
) -> Float[Tensor, "batch positions d_output"]:
    """The model's logits, or its final state if it has no head."""
    logits = model.logits(token_ids, attention_mask)
    return model.forward(token_ids, attention_mask) if logits is None else logits


def _difference(plain: Tensor, watched: Tensor) -> float:
    same = (plain == watched) | (plain.isnan() & watched.isnan())  # of scores that overflow, too
    return float(torch.where(same, 0, (plain - watched).abs()).max())


def _ff_sum_error(model: Transformer, layer: int, state: LayerTrace) -> float:
    # in float64: in the model's own type it would be the model's own product, and agree with itself
    summed = state.coefficients.double() @ model.values(layer).double() + state.bias.double()
    return relative_error(summed, state.ff_output)


def _key_error(model: Transformer, layer: int, state: LayerTrace) -> float | None:
    with present(model.layer(layer).module):
        return _key_error_here(model, layer, state)


def _key_error_here(model: Transformer, layer: int, state: LayerTrace) -> float | None:
    activation, found = model.activation_of(layer), model.layer(layer)
    if isinstance(
        found, SoftmaxLayer
    ):  # a softmax leaves what it shares out among memories as it would be without a context
        shares, expected = found.shares_of(state.coefficients.double()), found.shares(state.ff_input.double())
        return relative_error(torch.where(shares.isnan(), expected, shares), expected)
    if activation is None or model.layout(layer).stacked.weighted_inputs:
        return None
    x = state.ff_input.float()
    gated = is_gated(model.layout(layer))
    keys, bias = (found.gate_keys() if gated else found.keys()).float(), found.key_bias()
    expected = activation(x @ keys.T if bias is None else x @ keys.T + bias)
    if gated:
        up, up_bias = x @ found.up_keys().float().T, found.up_bias()
        expected = expected * (up if up_bias is None else up + up_bias)
    m, cells = state.coefficients.float(), found.cells
    if not cells.n_experts:
        return relative_error(m, expected)
    # the weight of each position in each expert is what the coefficients themselves say
    m, expected = (one.reshape(-1, cells.n_experts, cells.d_ff).double() for one in (m, expected))
    weight = (m * expected).sum(-1, keepdim=True) / (expected * expected).sum(-1, keepdim=True).clamp_min(1e-30)
    return relative_error(weight * expected, m)


def _norm_error(model: Transformer, layer: int, state: LayerTrace) -> float | None:
    layout, found = model.layout(layer), model.layer(layer)
    errors = []
    if layout.ff_norm and layout.placement in ("pre", "sandwich") and layout.residual_scale == 1.0:
        read = state.layer_input if layout.parallel else state.residual
        if layout.parallel or not layout.beside:
            errors.append(_frozen_error(model, found.at(layout.ff_norm), read, state.ff_input))
    if layout.post_ff_norm and layout.update_scale == 1.0:
        errors.append(_frozen_error(model, found.at(layout.post_ff_norm), state.ff_output, state.ff_update))
    if layout.placement == "post":
        norm = found.at(layout.ff_norm)
        errors.append(_frozen_error(model, norm, state.residual + state.ff_update, state.layer_output))
    return max(errors, default=None)


def _frozen_error(model: Transformer, norm: Any, states: Tensor, expected: Tensor) -> float:
    frozen = model.unembedding.freeze(norm, states)
    found = frozen(states.double())
    return relative_error(found if frozen.bias is None else found + frozen.bias, expected.reshape(found.shape))


def _residual_error(model: Transformer, layer: int, state: LayerTrace) -> float:
    output = state.residual.double() + state.ff_update.double()
    layout = model.layout(layer)
    if layout.placement == "post":
        output = model.layer(layer).at(layout.ff_norm)(output.to(state.residual.dtype))
    return relative_error(output, state.layer_output)


def _logit_error(
    model: Transformer, last: Float[Tensor, "batch positions d_model"], own: Float[Tensor, "batch positions d_vocab"]
) -> float:
    found = model.project(last, model.unembedding.own_projection)
    own = own.to(found.device)
    able = own.isfinite().flatten(0, -2).all(0)  # a token whose row is huge has no score to compare with
    return relative_error(found[..., able], own[..., able])


def relative_error(found: Tensor, expected: Tensor) -> float:
    """max|found - expected| / max|expected|."""
    expected = expected.double()
    return float((found.double() - expected.to(found.device)).abs().max() / expected.abs().max())
