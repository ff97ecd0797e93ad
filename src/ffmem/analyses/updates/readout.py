"""How a model reads its last state: vectors over the vocabulary after a norm, which is recomputed, or kept as it was."""

from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ffmem.models.transformer import Transformer

_ROWS = 8192
"""Rows of a matrix over the vocabulary that are read in double precision at a time."""


class Readout:
    """The norm and the head after the last layer.

    Scores of a state z are ``scale(z) * (U' z) + constants``, soft-capped where the model does: U' holds the norm's gain and
    centring, so that whatever adds up to z adds up before the scale. Under an adaptive softmax U' has the slopes of
    log-probabilities at a state of zeros (see `Unembedding.directions`), and log-probabilities of states are the head's own.

    Args:
        model: a causal language model.
    """

    def __init__(self, model: Transformer) -> None:
        self._model, self._head = model, model.unembedding
        last, layout = model.layer(model.facts.n_layers - 1), model.layout(model.facts.n_layers - 1)
        after = last.at(layout.ff_norm) if layout.placement == "post" and layout.ff_norm else None
        self.norm: nn.Module | None = self._head.final_norm if after is None else after
        """Before the head; of a model whose layers end with a norm, that of the last layer; None if there is none."""
        self.centres = self.norm is not None and layout.norm == "layernorm"
        """Whether it takes the mean of a state away."""

    @cached_property
    def matrix(self) -> Float[Tensor, "d_vocab d_model"]:
        """U', float32."""
        found = self._head.directions()
        if self.norm is not None:
            found = found * self._head.gain(self.norm)
        return (found - found.mean(1, keepdim=True) if self.centres else found).contiguous()

    @cached_property
    def mean_row(self) -> Float[Tensor, "d_model"]:
        """The mean of U' over the vocabulary, float64: what raises all tokens alike."""
        return self.matrix.mean(0, dtype=torch.float64)

    @cached_property
    def covariance(self) -> Float[Tensor, "d_model d_model"]:
        """Of the rows of U', float64: v' times it times v is the variance of the scores of v over the vocabulary."""
        return covariance_of(self.matrix)

    def spreads(self, rows: Float[Tensor, "rows d_model"]) -> Float[Tensor, "rows"]:
        """The standard deviation over the vocabulary of the scores of vectors, float64."""
        exact = rows.double()
        return ((exact @ self.covariance) * exact).sum(1).clamp(min=0).sqrt()

    def centred_rows(self, tokens: Int[Tensor, "*tokens"]) -> Float[Tensor, "*tokens d_model"]:
        """The rows of U' of some tokens, less their mean over the vocabulary."""
        return self.matrix[tokens] - self.mean_row.float()

    def scale(self, states: Float[Tensor, "n d_model"]) -> Float[Tensor, "n"]:
        """1 / the length that the norm divides states by; 1 without a norm."""
        if self.norm is None:
            return states.new_ones(len(states), dtype=torch.float32)
        return self._head.freeze(self.norm, states).scale.float()

    def products(self, vectors: Float[Tensor, "n d_model"]) -> Float[Tensor, "n d_vocab"]:
        """U' times vectors."""
        return vectors.float() @ self.matrix.T

    def scores(
        self,
        states: Float[Tensor, "n d_model"],
        scale: Float[Tensor, "n"],
        products: Float[Tensor, "n d_vocab"] | None = None,
    ) -> Float[Tensor, "n d_vocab"]:
        """The model's own scores of states, normed with a scale that may be that of others.

        Args:
            states: before the norm.
            scale: see `scale`.
            products: U' times the states, where it is known already; written over.
        """
        if not self._head.is_linear:
            return self._head.of_normed(self._normed(states, scale)).float()
        found = self.products(states) if products is None else products
        found.mul_(scale[:, None])
        if self._constants is not None:
            found.add_(self._constants)
        cap = self._head.softcap
        return found if cap is None else found.div_(cap).tanh_().mul_(cap)

    @property
    def is_linear(self) -> bool:
        """Whether `scores` uses products: else it computes the head anew."""
        return self._head.is_linear

    @cached_property
    def _constants(self) -> Float[Tensor, "d_vocab"] | None:
        bias: Tensor | None = getattr(self.norm, "bias", None)
        return self._head.constants(bias)

    def _normed(self, states: Float[Tensor, "n d_model"], scale: Float[Tensor, "n"]) -> Float[Tensor, "n d_model"]:
        if self.norm is None:
            return states
        shaped = self._head.gain(self.norm) * (states - states.mean(-1, keepdim=True) if self.centres else states)
        normed, bias = shaped * scale[:, None], getattr(self.norm, "bias", None)
        return normed if bias is None else normed + bias


def covariance_of(rows: Float[Tensor, "rows d_model"]) -> Float[Tensor, "d_model d_model"]:
    """The covariance of the columns of a long matrix, float64."""
    mean = rows.mean(0, dtype=torch.float64)
    products = torch.zeros(len(mean), len(mean), dtype=torch.float64, device=rows.device)
    for few in torch.split(rows, _ROWS):
        exact = few.double() - mean
        products += exact.T @ exact
    return products / len(rows)


def stream_values(model: Transformer, layer: int) -> Float[Tensor, "cells d_model"]:
    """The values of a layer as they reach the next state, float32, but for the scale of a norm on their way.

    In "sandwich" layers the gain of the norm after the layer is in them, in "post" ones gain and centring of the norm after
    the sum: what is left out is positive, and the same for all cells at a position.
    """
    rows, layout = model.value_rows(layer), model.layout(layer)
    return rows if layout.placement != "post" else _through_norm(model, layer, rows)


def stream_bias(model: Transformer, layer: int) -> Float[Tensor, "d_model"]:
    """The bias of a layer's output on the same way."""
    bias, layout = model.value_bias(layer).float(), model.layout(layer)
    if layout.post_ff_norm:
        bias = bias * model.unembedding.gain(model.layer(layer).at(layout.post_ff_norm))
    return bias if layout.placement != "post" else _through_norm(model, layer, bias[None])[0]


def _through_norm(model: Transformer, layer: int, rows: Float[Tensor, "n d_model"]) -> Float[Tensor, "n d_model"]:
    layout = model.layout(layer)
    centred = rows - rows.mean(1, keepdim=True) if layout.norm == "layernorm" else rows
    return centred * model.unembedding.gain(model.layer(layer).at(layout.ff_norm))
