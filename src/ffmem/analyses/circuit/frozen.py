"""One layer as the linear map that it is once attention weights, the scales of norms and gates are held as they are.

What is held: attention weights; of each norm its scale; of each cell act(s)/s, and an expert's routing weight. A gated cell is
then still a product of two sums, gate and up, and each is given half of what the cell is worth (the half rule of RelP, 2025).
So whatever is worth something behind a layer is worth as much in front of it, but for biases.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ffmem.analyses.decomposition import SUM_TOLERANCE
from ffmem.errors import ModelError
from ffmem.models.attention import AttentionLayer, AttentionStates
from ffmem.models.frozen_norm import FrozenNorm
from ffmem.models.mixture import MixtureLayer
from ffmem.models.tracing import LayerTrace
from ffmem.models.transformer import Transformer

_TINY = 1e-12
"""Products with keys that are smaller are taken for 0, where act(s)/s has no value."""


@dataclass(frozen=True)
class Norm:
    """A norm at some states, as a linear map from them; float32, as the states are."""

    gain: Float[Tensor, "d_model"]
    scale: Float[Tensor, "rows positions"]
    bias: Float[Tensor, "d_model"] | None
    centres: bool

    @classmethod
    def of(cls, frozen: FrozenNorm) -> "Norm":
        """In float32."""
        bias = None if frozen.bias is None else frozen.bias.float()
        return cls(frozen.gain.float(), frozen.scale.float(), bias, frozen.centres)

    def arrives(
        self, parts: Float[Tensor, "... d_model"], scale: Float[Tensor, "..."] | None = None
    ) -> Float[Tensor, "... d_model"]:
        """What parts of the states are behind the norm; ``scale``: at which of them, by default each at its own."""
        shaped = self.gain * (parts - parts.mean(-1, keepdim=True) if self.centres else parts)
        return shaped * (self.scale if scale is None else scale)[..., None]

    def back(
        self, worth: Float[Tensor, "... d_model"], scale: Float[Tensor, "..."] | None = None
    ) -> Float[Tensor, "... d_model"]:
        """What the states are worth, of what they are worth behind the norm: the transpose of `arrives`."""
        found = worth * self.gain * (self.scale if scale is None else scale)[..., None]
        return found - found.mean(-1, keepdim=True) if self.centres else found


@dataclass(frozen=True)
class HeldCells:
    """What is held of a layer's cells at each position."""

    coefficients: Float[Tensor, "rows positions cells"]
    to_gate: Float[Tensor, "rows positions cells"]
    """What a coefficient gains by one more of the product with its key; of gated cells with its gate key, halved."""
    to_up: Float[Tensor, "rows positions cells"] | None
    """The same of the up key; None for ungated cells."""


class FrozenLayer:
    """One layer at some inputs of equal length.

    Args:
        model: a model for which `check_added_up` holds.
        place: of the layer among all.
        states: around its feed-forward layer.
        attention: its attention sub-layer, and what that saw.

    Raises:
        ModelError: its cells or heads are not what they are taken for.
    """

    def __init__(
        self,
        model: Transformer,
        place: int,
        states: LayerTrace,
        attention: tuple[AttentionLayer, AttentionStates],
    ) -> None:
        self._model, self.place, self.states = model, place, states
        layout, layer = model.layout(place), model.layer(place)
        self.parallel = layout.parallel
        self.heads, seen = attention
        self.weights: Float[Tensor, "rows heads queries keys"] = seen.weights.float()
        self.head_values: Float[Tensor, "rows keys heads d_head"] = self.heads.expand(seen.values).float()
        before = self.heads.norm_before
        self._attention_norm = None if before is None else self._freeze(before, states.layer_input)
        self._attention_after = None
        if self.heads.placement == "sandwich":
            self._attention_after = self._freeze(self.heads.norm_after, seen.output)
        read = states.layer_input if self.parallel else states.residual
        self._norm = self._freeze(layer.at(layout.ff_norm), read) if layout.ff_norm else None
        post = layout.post_ff_norm
        self._after = self._freeze(layer.at(post), states.ff_output) if post else None
        self._times = layout.update_scale
        self.cells = self._held()

    def _freeze(self, norm: object, states: Tensor) -> Norm:
        return Norm.of(self._model.unembedding.freeze(norm, states))

    # Cells

    @property
    def values(self) -> Float[Tensor, "cells d_model"]:
        """The values, before any norm behind them."""
        values = self._model.values(self.place).float()
        return values if self._times == 1.0 else values * self._times

    def _keys(self) -> tuple[Tensor, Tensor | None]:
        """Keys, or gate keys and up keys."""
        if self._model.facts.gated:
            return self._model.gate_keys(self.place).float(), self._model.up_keys(self.place).float()
        return self._model.keys(self.place).float(), None

    def _held(self) -> HeldCells:
        model, place = self._model, self.place
        act = model.activation_of(place)
        if act is None:
            raise _unlike(model, place, f"its activation, {model.facts.activation!r}, is not known")
        x, m = self.states.ff_input.float(), self.states.coefficients.float()
        first, second = self._keys()
        gate = _plus(x @ first.T, model.key_bias(place))
        ratio = torch.where(gate.abs() > _TINY, act(gate) / gate, _slope_at_0(act))
        up = None if second is None else _plus(x @ second.T, model.up_bias(place))
        made = ratio * gate if up is None else ratio * gate * up
        ratio = ratio * self._routing(made, m)
        made = ratio * gate if up is None else ratio * gate * up
        missed = float((made - m).abs().max())
        if not missed <= SUM_TOLERANCE[model.facts.dtype] * max(float(m.abs().max()), 1.0):
            raise _unlike(
                model, place, f"its coefficients are not act(key · x), times up · x if gated: off by {missed:.2g}"
            )
        if up is None:
            return HeldCells(m, ratio, None)
        return HeldCells(m, ratio * up / 2, ratio * gate / 2)

    def _routing(self, made: Tensor, m: Tensor) -> Tensor | float:
        """What the cells of each expert are multiplied with at each position: 0 where none is routed to it."""
        layer = self._model.layer(self.place)
        if not isinstance(layer, MixtureLayer):
            return 1.0
        shape = (*made.shape[:-1], -1, layer.cells.d_ff)
        ours, theirs = made.view(shape), m.view(shape)
        length = (ours * ours).sum(-1, keepdim=True)
        weight = torch.where(length > 0, (ours * theirs).sum(-1, keepdim=True) / length, 0.0)
        return weight.expand(shape).reshape(made.shape)

    def cells_gain(self, worth: Float[Tensor, "*rows positions d_model"]) -> Float[Tensor, "*rows positions cells"]:
        """What one more of each coefficient is worth, of what the stream behind the layer is worth."""
        return self._before_after(worth) @ self.values.T

    def _before_after(self, worth: Tensor) -> Tensor:
        return worth if self._after is None else self._after.back(worth)

    def cells_back(
        self, gain: Float[Tensor, "rows positions cells"]
    ) -> tuple[Float[Tensor, "rows positions d_model"], Float[Tensor, "rows"]]:
        """What the stream in front is worth to the cells, and what their own biases are: of the norm, and beside keys."""
        first, second = self._keys()
        to_gate = gain * self.cells.to_gate
        inside = to_gate @ first
        own = _times_bias(to_gate, self._model.key_bias(self.place))
        if second is not None and self.cells.to_up is not None:
            to_up = gain * self.cells.to_up
            inside = inside + to_up @ second
            own = own + _times_bias(to_up, self._model.up_bias(self.place))
        if self._norm is None:
            return inside, own
        return self._norm.back(inside), own + _times_bias(inside, self._norm.bias)

    def cell_reads(
        self, row: int, position: Int[Tensor, "n"], cell: Int[Tensor, "n"], gain: Float[Tensor, "n"]
    ) -> Float[Tensor, "n d_model"]:
        """What the stream in front is worth to single cells, each at its position; as `cells_back`, one by one."""
        first, second = self._keys()
        inside = (gain * self.cells.to_gate[row, position, cell])[:, None] * first[cell]
        if second is not None and self.cells.to_up is not None:
            inside = inside + (gain * self.cells.to_up[row, position, cell])[:, None] * second[cell]
        return inside if self._norm is None else self._norm.back(inside, self._norm.scale[row, position])

    def cell_parts(self, row: int, position: Int[Tensor, "n"], cell: Int[Tensor, "n"]) -> Float[Tensor, "n d_model"]:
        """What single cells added to the stream, each at its position."""
        parts = self.cells.coefficients[row, position, cell][:, None] * self.values[cell]
        return parts if self._after is None else self._after.arrives(parts, self._after.scale[row, position])

    @property
    def cells_bias(self) -> Float[Tensor, "rows positions d_model"]:
        """What the layer added to the stream beside its cells."""
        bias = self.states.bias.float() * self._times
        if self._after is None:
            return bias
        found = self._after.arrives(bias)
        return found if self._after.bias is None else found + self._after.bias

    # Heads

    def heads_gain(
        self, worth: Float[Tensor, "*rows positions d_model"]
    ) -> Float[Tensor, "*rows heads positions d_head"]:
        """What one more of each head's mixed value is worth at each position."""
        worth = worth if self._attention_after is None else self._attention_after.back(worth)
        return torch.einsum("...qd,hed->...hqe", worth, self.heads.output_matrix().float())

    def head_shares(self, gain: Float[Tensor, "rows heads queries d_head"]) -> Float[Tensor, "rows heads queries keys"]:
        """What each head is worth because of each token that it read."""
        return self.weights * torch.einsum("rhqe,rkhe->rhqk", gain, self.head_values)

    def heads_back(
        self, gain: Float[Tensor, "*rows heads queries d_head"]
    ) -> tuple[Float[Tensor, "*rows keys d_model"], Float[Tensor, "*rows"]]:
        """What the stream in front is worth to the heads, and what their own biases are: of the norm, and of values."""
        mixed = torch.einsum("...hqk,...hqe->...khe", self.weights, gain)
        bias, norm = self.heads.value_bias(), self._attention_norm
        inside = torch.einsum("...khe,dhe->...kd", mixed, self._value_matrix)
        own = inside.new_zeros(inside.shape[:-2])
        if bias is not None:
            own = own + torch.einsum("...khe,he->...", mixed, self.heads.expand(bias).float())
        return (inside, own) if norm is None else (norm.back(inside), own + _times_bias(inside, norm.bias))

    @cached_property
    def _value_matrix(self) -> Float[Tensor, "d_model heads d_head"]:
        return self.heads.expand(self.heads.value_matrix()).float()

    def head_reads(
        self, row: int, head: int, query: int, gain: Float[Tensor, "d_head"], key: int | None = None
    ) -> Float[Tensor, "keys d_model"]:
        """What the stream in front is worth to one head at one position, at each token that it reads; or at one of them."""
        weights = self.weights[row, head, query]
        if key is not None:
            weights = torch.where(torch.arange(len(weights), device=weights.device) == key, weights, 0.0)
        inside = weights[:, None] * (self._value_matrix[:, head] @ gain)
        norm = self._attention_norm
        return inside if norm is None else norm.back(inside, norm.scale[row])

    def head_part(self, row: int, head: int, query: int, key: int | None = None) -> Float[Tensor, "d_model"]:
        """What one head added to the stream at one position; because of one token that it read, if one is named."""
        keys = slice(None) if key is None else slice(key, key + 1)
        mixed = self.weights[row, head, query, keys] @ self.head_values[row, keys, head]
        part = mixed @ self.heads.output_matrix()[head].float()
        after = self._attention_after
        return part if after is None else after.arrives(part, after.scale[row, query])

    @property
    def heads_bias(self) -> Float[Tensor, "rows positions d_model"]:
        """What attention added to the stream whatever it read."""
        bias, after = self.heads.output_bias(), self._attention_after
        found = torch.zeros_like(self.states.layer_input, dtype=torch.float32)
        if bias is not None:
            found = found + bias.float()
        if after is None:
            return found
        found = after.arrives(found)
        return found if after.bias is None else found + after.bias


def _plus(products: Tensor, bias: Tensor | None) -> Tensor:
    return products if bias is None else products + bias.float()


def _times_bias(worth: Float[Tensor, "*rows positions d"], bias: Float[Tensor, "d"] | None) -> Float[Tensor, "*rows"]:
    if bias is None:
        return worth.new_zeros(worth.shape[:-2])
    return worth.sum(-2) @ bias.float()


def _slope_at_0(act: Callable[[Tensor], Tensor]) -> float:
    """Of an activation, by the slope that autograd gives it there."""
    with torch.inference_mode(False), torch.enable_grad():
        at_0 = torch.zeros((), requires_grad=True)
        (slope,) = torch.autograd.grad(act(at_0), at_0)
    return float(slope)


def _unlike(model: Transformer, place: int, why: str) -> ModelError:
    return ModelError(
        f"layer {model.cells.layers[place].name} of {model.facts.name} cannot be held as a linear map: {why}",
        "Expected cells whose coefficient is act(gate · x) times up · x, or act(key · x)",
        "Use another model",
    )
