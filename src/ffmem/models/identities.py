"""The identities that everything rests on, measured on a model: sums of memories, residuals, hooks, logits.

They are about one forward pass, so several sentences may share it; each is held to its own largest numbers, at its own
positions. A layer is measured as soon as it has run: its weights are there, and its states are let go.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ffmem.models.model_facts import is_gated
from ffmem.models.present import present
from ffmem.models.softmax_layer import SoftmaxLayer
from ffmem.models.tracing import LayerTrace, watch_layers
from ffmem.models.transformer import Transformer

_N_LOGITS = 4
"""Positions of a sentence whose logits are compared, the first and the last among them."""


@dataclass(frozen=True)
class Identities:
    """Errors of the identities, the largest of all sentences; relative ones are max|a - b| / max|b| over one sentence."""

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
    logits, at a few positions of each sentence; None without a head."""


def measure_identities(
    model: Transformer,
    token_ids: Int[Tensor, "batch positions"],
    attention_mask: Int[Tensor, "batch positions"] | None = None,
) -> Identities:
    """Measure them on one batch.

    Cost: two passes with logits, one of them watched; the products of all memories in float64, and with all keys.
    """
    mask = torch.ones(token_ids.shape) if attention_mask is None else attention_mask.cpu()
    rows, positions = mask.nonzero(as_tuple=True)
    found = _Measured(model, torch.bincount(rows).tolist())
    with torch.no_grad():
        with watch_layers(model, (len(token_ids), token_ids.shape[1]), found.add, (rows, positions)):
            watched = _output(model, token_ids, attention_mask)
        plain = _output(model, token_ids, attention_mask)
        numbers = range(model.facts.n_layers)
        return Identities(
            ff_sum_errors=tuple(found.ff_sum[layer] for layer in numbers),
            key_errors=tuple(found.keys[layer] for layer in numbers),
            norm_errors=tuple(found.norms[layer] for layer in numbers),
            residual_errors=tuple(found.residual[layer] for layer in numbers),
            hook_error=_difference(plain, watched),
            logit_error=_logit_error(model, found, watched, (rows, positions)) if model.has_head else None,
        )


@dataclass
class _Measured:
    """What is known of each layer that has run."""

    model: Transformer
    lengths: list[int]
    """Positions of each sentence; states have those of all, one behind the other."""
    ff_sum: dict[int, float] = field(default_factory=dict)
    keys: dict[int, float | None] = field(default_factory=dict)
    norms: dict[int, float | None] = field(default_factory=dict)
    residual: dict[int, float] = field(default_factory=dict)
    last: Tensor | None = None
    """The output of the last layer."""

    def add(self, layer: int, state: LayerTrace) -> None:
        """Measure a layer."""
        self.ff_sum[layer] = _ff_sum_error(self, layer, state)
        self.keys[layer] = _key_error(self, layer, state)
        self.norms[layer] = _norm_error(self, layer, state)
        self.residual[layer] = _residual_error(self, layer, state)
        if layer == self.model.facts.n_layers - 1:
            self.last = state.layer_output

    def error(self, found: Tensor, expected: Tensor) -> float:
        """The largest `relative_error` of a sentence."""
        return _largest_error(found, expected, self.lengths)


def _largest_error(found: Tensor, expected: Tensor, lengths: list[int]) -> float:
    """The largest `relative_error` of sentences that stand one behind the other."""
    n = sum(lengths)
    found, expected = found.reshape(n, -1).double(), expected.reshape(n, -1).to(found.device).double()
    of_each = zip(torch.split(found, lengths), torch.split(expected, lengths), strict=True)
    return largest(relative_error(*one) for one in of_each)


def _output(
    model: Transformer, token_ids: Int[Tensor, "batch positions"], attention_mask: Int[Tensor, "batch positions"] | None
) -> Float[Tensor, "batch positions d_output"]:
    """The model's logits, or its final state if it has no head."""
    logits = model.logits(token_ids, attention_mask)
    return model.forward(token_ids, attention_mask) if logits is None else logits


def _difference(plain: Tensor, watched: Tensor) -> float:
    if torch.equal(plain, watched):
        return 0.0
    same = (plain == watched) | (plain.isnan() & watched.isnan())  # of scores that overflow, too
    return float(torch.where(same, 0, (plain - watched).abs()).max())


def _ff_sum_error(of: _Measured, layer: int, state: LayerTrace) -> float:
    # in float64: in the model's own type it would be the model's own product, and agree with itself
    summed = state.coefficients.double() @ of.model.values(layer).double() + state.bias.double()
    return of.error(summed, state.ff_output)


def _key_error(of: _Measured, layer: int, state: LayerTrace) -> float | None:
    with present(of.model.layer(layer).module):
        return _key_error_here(of, layer, state)


def _key_error_here(of: _Measured, layer: int, state: LayerTrace) -> float | None:
    model = of.model
    activation, found = model.activation_of(layer), model.layer(layer)
    if isinstance(
        found, SoftmaxLayer
    ):  # a softmax leaves what it shares out among memories as it would be without a context
        shares, expected = found.shares_of(state.coefficients.double()), found.shares(state.ff_input.double())
        return of.error(torch.where(shares.isnan(), expected, shares), expected)
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
        return of.error(m, expected)
    # the weight of each position in each expert is what the coefficients themselves say
    m, expected = (one.reshape(-1, cells.n_experts, cells.d_ff).double() for one in (m, expected))
    weight = (m * expected).sum(-1, keepdim=True) / (expected * expected).sum(-1, keepdim=True).clamp_min(1e-30)
    return of.error(weight * expected, m)


def _norm_error(of: _Measured, layer: int, state: LayerTrace) -> float | None:
    layout, found = of.model.layout(layer), of.model.layer(layer)
    errors = []
    if layout.ff_norm and layout.placement in ("pre", "sandwich") and layout.residual_scale == 1.0:
        read = state.layer_input if layout.parallel else state.residual
        if layout.parallel or not layout.beside:
            errors.append(_frozen_error(of, found.at(layout.ff_norm), read, state.ff_input))
    if layout.post_ff_norm and layout.update_scale == 1.0:
        errors.append(_frozen_error(of, found.at(layout.post_ff_norm), state.ff_output, state.ff_update))
    if layout.placement == "post":
        norm = found.at(layout.ff_norm)
        errors.append(_frozen_error(of, norm, state.residual + state.ff_update, state.layer_output))
    return largest(errors) if errors else None


def _frozen_error(of: _Measured, norm: Any, states: Tensor, expected: Tensor) -> float:
    frozen = of.model.unembedding.freeze(norm, states)
    found = frozen(states.double())
    return of.error(found if frozen.bias is None else found + frozen.bias, expected)


def _residual_error(of: _Measured, layer: int, state: LayerTrace) -> float:
    output = state.residual.double() + state.ff_update.double()
    layout = of.model.layout(layer)
    if layout.placement == "post":
        output = of.model.layer(layer).at(layout.ff_norm)(output.to(state.residual.dtype))
    return of.error(output, state.layer_output)


def _logit_error(
    model: Transformer,
    measured: _Measured,
    own: Float[Tensor, "batch positions d_vocab"],
    places: tuple[Int[Tensor, "places"], Int[Tensor, "places"]],
) -> float:
    assert measured.last is not None
    chosen = [_spread(n) for n in measured.lengths]
    of_all = [first + one for first, some in zip(_starts(measured.lengths), chosen, strict=True) for one in some]
    found = model.project(measured.last[0, of_all], model.unembedding.own_projection)
    rows, positions = (one[of_all].to(own.device) for one in places)
    own = own[rows, positions].to(found.device)
    able = own.isfinite().all(0)  # a token whose row is huge has no score to compare with
    return _largest_error(found[:, able], own[:, able], list(map(len, chosen)))


def _spread(n: int) -> list[int]:
    """A few of so many positions, the first and the last among them."""
    return sorted({round(i * (n - 1) / (_N_LOGITS - 1)) for i in range(_N_LOGITS)})


def _starts(lengths: list[int]) -> list[int]:
    """Where each of so many stretches begins, one behind the other."""
    return [0, *accumulate(lengths)][:-1]


def relative_error(found: Tensor, expected: Tensor) -> float:
    """max|found - expected| / max|expected|; 0 where both are 0 everywhere, and infinite where only what is expected is."""
    expected = expected.double().to(found.device)
    error, size = float((found.double() - expected).abs().max()), float(expected.abs().max())
    return error / size if size else (0.0 if error == 0 else math.inf)


def largest(errors: Iterable[float]) -> float:
    """The largest; NaN if one is, which no comparison would show."""
    found = list(errors)
    return math.nan if any(map(math.isnan, found)) else max(found)
