"""A layer whose memories stand in the softmax of its attention: seen as keys, values and coefficients like any other."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ffmem.errors import InputError
from ffmem.ids import LayerCells
from ffmem.models.base import Layout
from ffmem.models.feed_forward import DenseLayer, at

Permutation = Callable[[int, Tensor], Tensor]


class SoftmaxLayer(DenseLayer):
    """Memories of H heads, N each, that compete with a position's context and with each other for a weight of 1 a head.

    The cell with index h N + n is memory n of head h. Its coefficient is its weight, its value N^(1/2) nu_n W_O^h, and its key
    kappa_n (W_Q^h)^T, so that x . key + bias is its score before the softmax. A coefficient is above 0 always.

    Args:
        module: the Transformer layer.
        layout: where things lie in it: see `Layout.in_attention`.
        number: of the layer within its stack.
    """

    def __init__(self, module: nn.Module, layout: Layout, number: int) -> None:
        self.module, self._layout = module, layout
        self._vectors = at(module, layout.value)
        self.n_heads: int = self._vectors.n_heads
        self.n_memories: int = self._vectors.n_memories
        self.cells = LayerCells(number, self.n_heads * self.n_memories, stack=layout.stack)

    def _by_head(self, vectors: Float[Tensor, "cells d_head"]) -> Float[Tensor, "heads memories d_head"]:
        return vectors.view(self.n_heads, self.n_memories, -1)

    def keys(self) -> Float[Tensor, "cells d_model"]:
        """See DenseLayer. The same vector added to all keys of a head leaves what its memories share out among themselves."""
        query = self.at(self._layout.key).weight.unflatten(0, (self.n_heads, -1))
        found: Tensor = (self._by_head(self._vectors.keys) @ query).flatten(0, 1)
        return found

    def key_bias(self) -> Float[Tensor, "cells"] | None:
        """What the bias of queries adds to the score of each cell, or None."""
        bias: Tensor | None = self.at(self._layout.key).bias
        if bias is None:
            return None
        return (self._by_head(self._vectors.keys) @ bias.view(self.n_heads, -1, 1)).flatten()

    def values(self) -> Float[Tensor, "cells d_model"]:
        """See DenseLayer. Made of what the model has: not to be written to."""
        output = self.at(self._layout.attention[0].output).weight.T.unflatten(0, (self.n_heads, -1))
        found: Tensor = (self._by_head(self._vectors.values) @ output).flatten(0, 1) * self._vectors.scale
        return found

    def value_bias(self) -> None:
        """None: b_O belongs to what the context adds."""
        return

    def value_weights(self) -> list[Tensor]:
        """See DenseLayer.

        Raises:
            InputError: always, since no parameter holds the values.
        """
        raise InputError(
            f"the values of {self.cells.name} are products of persistent vectors and W_O, which the context goes through too",
            "Expected a layer with a matrix of values, to write others into it",
            "Use a model with feed-forward layers",
        )

    def values_in_place(self) -> list[Float[Tensor, "cells d_model"]]:
        """See `value_weights`."""
        return self.value_weights()

    def permute_values(self, order: Permutation) -> None:
        """Give the memories of each head each other's values.

        Args:
            order: from a head and its vectors to the rows that they come from.
        """
        old = self._by_head(self._vectors.values.data)
        self._vectors.values.data = torch.cat([head[order(number, head)] for number, head in enumerate(old)])

    def shares(self, x: Float[Tensor, "*positions d_model"]) -> Float[Tensor, "*positions cells"]:
        """From what keys are compared with to each memory's share of what its head gives memories: whatever the context is."""
        keys, bias = self.keys().to(x.dtype), self.key_bias()
        scores = x @ keys.T if bias is None else x @ keys.T + bias.to(x.dtype)
        found: Tensor = scores.reshape(*x.shape[:-1], self.n_heads, -1).softmax(-1).flatten(-2)
        return found

    def shares_of(self, coefficients: Float[Tensor, "*positions cells"]) -> Float[Tensor, "*positions cells"]:
        """The same of coefficients; NaN where the context has so much that rounding leaves a head's memories nothing."""
        by_head = coefficients.reshape(*coefficients.shape[:-1], self.n_heads, -1)
        found: Tensor = (by_head / by_head.sum(-1, keepdim=True)).flatten(-2)
        return found

    @property
    def coefficient_module(self) -> nn.Module:
        """See DenseLayer."""
        module: nn.Module = self._vectors
        return module

    @property
    def output_modules(self) -> tuple[nn.Module, ...]:
        """See DenseLayer."""
        return (self.at(self._layout.in_attention),)
