"""The one exact sum of a prediction: embedding + attention outputs + memories + biases, through the frozen final norm.

A final norm is a linear map once the state is known: every part is read through it with the scale that the whole state had, so
that the parts add up to a token's logit; or, under an adaptive softmax, to its log-probability, but for its normalisers.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from jaxtyping import Float, Int
from torch import Tensor

from ffmem.errors import InputError, ModelError
from ffmem.models.frozen_norm import FrozenNorm
from ffmem.models.tracing import LayerTrace
from ffmem.models.transformer import Transformer
from ffmem.models.unembedding import LinearScore

SUM_TOLERANCE = {"float32": 1e-3, "float16": 5e-2, "bfloat16": 3e-1}
"""Largest error of a sum of parts before it is refused, as a share of the largest score: rounding, with a wide margin."""


def check_causal(model: Transformer) -> None:
    """Refuse a model that does not predict the next token of a text."""
    facts = model.facts
    if not facts.causal or any(layer.stack for layer in facts.layers):
        raise InputError(
            f"{facts.name} is not a causal language model",
            "Expected a model that predicts the next token of a text",
            "Use another model",
        )


def is_plain_sum(model: Transformer) -> bool:
    """Whether the stream is the sum of what was added to it: no norm stands in it, and nothing is multiplied."""
    layers = range(model.facts.n_layers)
    return model.facts.norm_placement in ("pre", "sandwich") and all(
        model.layout(place).residual_scale == 1.0 for place in layers
    )


def check_added_up(model: Transformer) -> None:
    """Refuse a model whose parts do not add up to the score of a next token."""
    check_causal(model)
    if not is_plain_sum(model):
        raise InputError(
            f"the stream of {model.facts.name} passes through a norm in every layer, which changes what was added to it",
            "Expected a model with norms before its sub-layers, or around them",
            "Use another model",
        )


def has_scores(model: Transformer) -> bool:
    """Whether the stream of a model is a plain sum up to its scores, so that its parts have shares of a logit."""
    return model.has_head and model.facts.causal and is_plain_sum(model)


def next_token_logits(model: Transformer, ids: Int[Tensor, "one positions"]) -> Float[Tensor, "one d_vocab"]:
    """The model's own scores at the last position, by its own call."""
    logits = model.logits(ids)
    assert logits is not None  # causal models have heads
    return logits[:, -1].float()


def at_position(state: LayerTrace, position: int) -> LayerTrace:
    """The states of the first row at one position alone."""
    return LayerTrace(**{name: states[0, position] for name, states in vars(state).items()})


class LayerParts:
    """What a layer added to the stream at one position, in float64.

    Args:
        model: the model.
        layer: which layer.
        state: its states at the position.
    """

    def __init__(self, model: Transformer, layer: int, state: LayerTrace) -> None:
        self._model, self._layer, self.state = model, layer, state
        self.coefficients: Float[Tensor, cells] = state.coefficients.double()
        self.feed_forward: Float[Tensor, d_model] = state.ff_update.double()
        """All of the feed-forward layer together."""

    @cached_property
    def _norm(self) -> FrozenNorm | None:
        """The norm that the output passes before it is added, as it was here; None if there is none."""
        path = self._model.layout(self._layer).post_ff_norm
        if not path:
            return None
        return self._model.unembedding.freeze(self._model.layer(self._layer).at(path), self.state.ff_output)

    @property
    def _scale(self) -> float:
        return self._model.layout(self._layer).update_scale

    @property
    def attention(self) -> Float[Tensor, "d_model"]:
        """All of attention together."""
        return self.state.residual - self.state.layer_input

    @cached_property
    def values(self) -> Float[Tensor, "cells d_model"]:
        """The values as they arrive in the stream."""
        values = self._model.values(self._layer).double() * self._scale
        return values if self._norm is None else self._norm.shaped(values) * self._norm.scale

    @cached_property
    def bias(self) -> Float[Tensor, "d_model"]:
        """The b of y = sum of m_i v_i + b, as it arrives in the stream."""
        bias = self.state.bias.double() * self._scale
        return bias if self._norm is None else self._norm(bias)

    def shares(self, score: LinearScore) -> Float[Tensor, "cells"]:
        """What each cell added to a score."""
        return self.coefficients * score.of(self.values)


@dataclass(frozen=True)
class TokenScore:
    """The score of a token in one state, or of two tokens the difference, as what parts of the state have shares of."""

    linear: LinearScore
    whole: float
    """The score: see `Unembedding.quantity`."""
    own: float
    """The model's own logit or log-probability: the score, after any soft cap."""
    cap_error: float
    """Of the score, after any soft cap, against the model's own."""
    largest: float
    """The largest of the model's own scores: what errors are measured by."""

    def error_of(self, model: Transformer, parts: Iterable[float]) -> float:
        """How far parts, with constant and normalisers, miss the score, or it the model's own: the larger.

        Raises:
            ModelError: by more than rounding.
        """
        total = sum(parts) + (self.linear.constant + self.linear.normalisers)
        error = max(abs(total - self.whole), self.cap_error)
        check_sum(model, error, self.largest)
        return error


def token_score(
    model: Transformer,
    state: Float[Tensor, "d_model"],
    logits: Float[Tensor, "d_vocab"],
    token: int,
    against: int | None = None,
) -> TokenScore:
    """How a token's score comes from a final state.

    Args:
        model: whose parts are added up: see `has_scores`.
        state: the last layer's output at the position.
        logits: the model's own scores there.
        token: whose score.
        against: a second token, whose score is taken off.
    """
    score, capped = model.unembedding.linear_score(state, token), model.unembedding.capped
    after_cap, own = capped(score.whole(state)), float(logits[token])
    if against is not None:
        second = model.unembedding.linear_score(state, against)
        after_cap, own = after_cap - capped(second.whole(state)), own - float(logits[against])
        score = score.less(second)
    return TokenScore(score, score.whole(state), own, abs(after_cap - own), float(logits.abs().max()))


def check_sum(model: Transformer, error: float, scale: float) -> None:
    """Refuse parts that are not those of the model's own score.

    Raises:
        ModelError: they miss it by more than rounding.
    """
    limit = SUM_TOLERANCE[model.facts.dtype] * max(scale, 1.0)
    if not error <= limit:
        raise ModelError(
            f"the parts of a prediction of {model.facts.name} do not add up to its own score: they differ by {error:.2g}",
            f"Expected at most {limit:.1g}, the rounding of {model.facts.dtype}",
            "Its final norm or its head differs from that of its family: see docs/how-to/add-a-family.md",
        )
