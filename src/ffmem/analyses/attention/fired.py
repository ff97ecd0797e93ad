"""Which token fired which cell: a coefficient as the sum of what attention of its layer had brought from each token.

Token j's part of x, what the keys are compared with, is x_j; the part that is of no token is the constant. Coefficients are
shared out by integrated gradients:

- Of an ungated cell, act(s) with s = k x + b, from s = 0 (Kobayashi et al. 2024): j's part is k x_j times m / s, and biases
  have a part like that of a token.
- Of a gated cell, act(g) u, from the constant alone to x, through both branches: see `line`. What the constant alone would fire
  is of no token. The routing weight of an expert is held as it is.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ffmem.analyses.attention.line import Activation, slopes_on_line
from ffmem.analyses.decomposition import SUM_TOLERANCE
from ffmem.errors import ModelError
from ffmem.models.frozen_norm import FrozenNorm
from ffmem.models.mixture import MixtureLayer
from ffmem.models.softmax_layer import SoftmaxLayer
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

    @property
    def whole(self) -> Float[Tensor, "d_model"]:
        """X."""
        return self.parts.sum(0) + self.constant


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


_N_AT_ONCE = 4096
"""Cells whose keys are float64 at a time."""


@dataclass(frozen=True)
class _Slopes:
    """What a unit of each branch of some cells is worth in their coefficients, for whatever token brought it."""

    branches: tuple[tuple[Float[Tensor, "cells d_model"], Float[Tensor, "cells"]], ...]
    """Keys, and the worth of one unit of their product: the only branch of ungated cells; gate and up branch of gated ones."""
    constant: Float[Tensor, "cells"]
    """The part of no token. Rounding of the model is in it: with it, parts add up to the coefficient as the model has it."""


class CellSplit:
    """The coefficients of one layer's cells at one position, as sums over tokens.

    Args:
        model: the model.
        place: the layer.
        state: its states at the position.
        tokens: x as a sum.

    Raises:
        ModelError: memories of a softmax; gated cells whose activation is not known, or not what the model computes.
    """

    def __init__(self, model: Transformer, place: int, state: LayerTrace, tokens: IntoKeys) -> None:
        self._tokens, self._facts, self._m = tokens, model.facts, state.coefficients
        if isinstance(model.layer(place), SoftmaxLayer):
            raise ModelError(
                f"the cells of {model.facts.name} are memories of a softmax: what else stands in it, the context and other "
                "cells, decides their coefficients as well as their own keys do",
                "Expected cells whose coefficients are made by their own keys, so that tokens can share them out",
                "Ask for weights and norms of attention instead (ffmem attention), or for an explanation (ffmem explain)",
            )
        self._held: Tensor | None = None
        if model.facts.gated:
            self._activation = _known_activation(model)
            gate, up = model.gate_keys(place), model.up_keys(place)
            self._keys = [(gate, model.key_bias(place)), (up, model.up_bias(place))]
            layer = model.layer(place)
            if isinstance(layer, MixtureLayer):
                self._held = _routing(state, self._activation, gate, up, layer.cells.d_ff)
        else:
            self._keys = [(model.keys(place), model.key_bias(place))]

    def fired_by(self, cells: Int[Tensor, "cells"]) -> tuple[Float[Tensor, "cells tokens"], Float[Tensor, "cells"]]:
        """The parts of some cells' coefficients, by token, and by no token."""
        slopes = self._slopes(cells)
        parts = [keys @ self._tokens.parts.T * slope[:, None] for keys, slope in slopes.branches]
        return torch.stack(parts).sum(0), slopes.constant

    def logits(
        self, arriving: Float[Tensor, "all_cells d_model"], score: LinearScore
    ) -> tuple[tuple[float, ...], float]:
        """The shares of the score that all cells added because of each token, and because of none."""
        direction, constant = torch.zeros_like(self._tokens.constant), 0.0
        shares = score.of(arriving)
        routed = torch.ones_like(self._m) if self._held is None else self._held  # others have no coefficient to share
        counted = routed.nonzero().squeeze(1)
        for start in range(0, len(counted), _N_AT_ONCE):
            cells = counted[start : start + _N_AT_ONCE]
            slopes = self._slopes(cells)
            for keys, slope in slopes.branches:
                direction = direction + (slope * shares[cells]) @ keys
            constant += float(slopes.constant @ shares[cells])
        return tuple((self._tokens.parts @ direction).tolist()), constant

    def _slopes(self, cells: Int[Tensor, "cells"]) -> _Slopes:
        coefficients = self._m[cells].double()
        branches = [(keys[cells].double(), None if bias is None else bias[cells].double()) for keys, bias in self._keys]
        ends = [keys @ self._tokens.whole + (0.0 if bias is None else bias) for keys, bias in branches]
        starts = [keys @ self._tokens.constant + (0.0 if bias is None else bias) for keys, bias in branches]
        if len(branches) == 1:
            found = [self._of_ungated(coefficients, ends[0])]
        else:
            held = torch.ones_like(coefficients) if self._held is None else self._held[cells].double()
            self._check(coefficients, held * self._activation(ends[0]) * ends[1])
            of_gate, of_up = slopes_on_line(self._activation, (starts[0], ends[0]), (starts[1], ends[1]))
            found = [of_gate * held, of_up * held]
        brought = sum(slope * (end - start) for slope, end, start in zip(found, ends, starts, strict=True))
        return _Slopes(tuple(zip((keys for keys, _ in branches), found, strict=True)), coefficients - brought)

    def _of_ungated(self, coefficients: Tensor, before: Tensor) -> Tensor:
        """What a unit of s is worth: m / s, and at s = 0 its limit."""
        at_zero = 0.0 if self._facts.activation.startswith("relu") else 0.5  # GELU's and SiLU's
        return torch.where(before == 0, at_zero, coefficients / torch.where(before == 0, 1.0, before))

    def _check(self, coefficients: Tensor, computed: Tensor) -> None:
        limit = SUM_TOLERANCE[self._facts.dtype] * max(float(self._m.abs().max()), 1.0)
        error = max((coefficients - computed).abs().tolist(), default=0.0)
        if not error <= limit:
            raise ModelError(
                f"coefficients of {self._facts.name} are not what {self._facts.activation}, its activation, makes of the "
                f"products with its keys: they differ by {error:.2g}",
                f"Expected at most {limit:.1g}, the rounding of {self._facts.dtype}",
                "Its gated cells differ from those of its family: see docs/how-to/add-a-family.md",
            )


def _known_activation(model: Transformer) -> Activation:
    if model.activation is None:
        raise ModelError(
            f"the activation of {model.facts.name} is {model.facts.activation!r}, which transformers does not know",
            "Expected an activation that transformers has: what fired a gated cell depends on all of its curve",
            "Ask for weights and norms of attention instead (ffmem attention), or for an explanation (ffmem explain)",
        )
    return model.activation


def _routing(state: LayerTrace, activation: Activation, gate: Tensor, up: Tensor, d_ff: int) -> Float[Tensor, "cells"]:
    """The routing weight of each cell's expert: what the coefficients of its cells have in common; 0 where it is not chosen."""
    held = torch.zeros_like(state.coefficients, dtype=torch.float64)
    for first in range(0, len(held), d_ff):
        own = slice(first, first + d_ff)
        found = state.coefficients[own].double()
        if found.any():
            computed = (activation(gate[own] @ state.ff_input) * (up[own] @ state.ff_input)).double()
            held[own] = (found @ computed) / (computed @ computed)
    return held
