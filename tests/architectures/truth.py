"""What truths are made of: hooks on modules that are named by hand, and sums that are written out.

A place is one feed-forward layer in one pass. What it captures obeys
    output = coefficients @ values + bias + offset
    coefficients = what its keys give on x, times a position's routing weight
and ``test_zoo.py`` holds every truth to both, against what the model's own modules read and give.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from tests.architectures.keys import Act, Keys, gated, halves, linear, silu, stacked, ungated


@dataclass(frozen=True)
class Captured:
    """One feed-forward layer in the pass over one sentence."""

    coefficients: Tensor
    """(positions, cells)."""
    keys: tuple[Tensor, ...]
    """(cells, d_model), one matrix or two: see `Keys`."""
    key_biases: tuple[Tensor, ...]
    """(cells,), one vector or two."""
    key_scale: float
    """See `Keys.scale`."""
    values: Tensor
    """(cells, d_model)."""
    bias: Tensor
    """(d_model,)."""
    output: Tensor
    """(positions, d_model), of the model's own module."""
    stream: Tensor
    """(positions, d_model): the stream behind the layer."""
    offset: Tensor | None = None
    """(positions, d_model): biases of experts times their routing weights."""
    optional: tuple[Tensor, Tensor] | None = None
    """Coefficients and values of cells that may be there or not: such a bias, read as the value of one more cell."""
    recomputed: Tensor | None = None
    """(positions, cells): what the keys give on x, where the coefficients were not found in this way."""


@dataclass
class Place:
    """One feed-forward layer.

    Args:
        layer: the module whose output is the stream behind it.
        block: the module whose output is the sum of the memories.
        ordered: whether the cells' order is that of the rows of a matrix.
        gain: what a value is multiplied with on its way into the stream, entry by entry: a multiplier, or a norm's gain.
        normed: whether a norm also divides by the length of the sum.
        linear: False where the stream behind the layer is no linear map of the sum even so (a norm behind the residual sum).
        decoder: whether it is in a decoder, whose first position is that of the start token.
        call: which run of the same modules it is, where layers share their weights.
    """

    layer: Any
    block: Any
    ordered: bool = True
    gain: Tensor | float = 1.0
    normed: bool = False
    linear: bool = True
    decoder: bool = False
    call: int = 0
    outputs: list[Tensor] = field(default_factory=list)
    streams: list[Tensor] = field(default_factory=list)

    def attach(self) -> list[Any]:
        """Hooks for one pass."""
        self.outputs.clear()
        self.streams.clear()
        return [
            self.block.register_forward_hook(lambda _, __, output: self.outputs.append(_first(output))),
            self.layer.register_forward_hook(lambda _, __, output: self.streams.append(_first(output))),
        ]

    def captured(self) -> Captured:
        """What the pass has shown."""
        raise NotImplementedError

    def _output(self) -> Tensor:
        return self.outputs[self.call].flatten(0, -2)

    def _stream(self) -> Tensor:
        return self.streams[self.call].flatten(0, -2)


@dataclass
class Dense(Place):
    """A layer whose value matrix is a module: its input is the coefficients."""

    value: Any = None
    conv1d: bool = False
    """Whether that is GPT-2's Conv1D, whose weight is (inputs, outputs)."""
    reads: Any = None
    """The module whose input is x: a key matrix."""
    keys: Keys | None = None
    seen: list[Tensor] = field(default_factory=list)
    inputs: list[Tensor] = field(default_factory=list)

    def attach(self) -> list[Any]:
        return [_listen(self.value, self.seen), _listen(self.reads, self.inputs), *super().attach()]

    def captured(self) -> Captured:
        assert self.keys is not None
        rows, _ = linear(self.value, self.conv1d)
        bias = getattr(self.value, "bias", None)
        return Captured(
            coefficients=self.seen[self.call].flatten(0, -2),
            keys=self.keys.rows,
            key_biases=self.keys.biases,
            key_scale=self.keys.scale,
            values=rows.T,
            bias=rows.new_zeros(rows.shape[0]) if bias is None else bias.detach(),
            output=self._output(),
            stream=self._stream(),
            recomputed=self.keys.activations(self.inputs[self.call].flatten(0, -2)),
        )


@dataclass(frozen=True)
class Shared:
    """Cells beside experts that all positions share."""

    value: Any
    """Their value matrix."""
    keys: Keys
    weight: Callable[[Tensor], Tensor] | None = None
    """What multiplies their sum, from the block's input: a number a position."""


@dataclass
class Mixture(Place):
    """Experts, some of which each position is sent to, and cells that all positions share."""

    ordered: bool = False
    experts: Any = None
    """The module whose inputs are states, the experts that are chosen, and their weights."""
    n_experts: int = 0
    keys: Callable[[Any, int], Keys] | None = None
    """From the experts and the number of one to its keys."""
    values: Callable[[Any, int], Tensor] | None = None
    """From the experts and the number of one to its values, a row each."""
    biases: Callable[[Any, int], Tensor] | None = None
    """From the experts and the number of one to the bias of its output, which is weighed as its cells are."""
    shared: Sequence[Shared] = ()
    beside: Any = None
    """The module of the shared cells, where none holds both: its output is added to the block's."""
    scaled_inputs: bool = False
    """Whether the experts read nothing but the states of each in turn, multiplied by its weight."""
    one_hot: bool = False
    """Whether the choice of an expert is a row of zeros and a one."""
    routing: list[tuple[Tensor, ...]] = field(default_factory=list)
    block_inputs: list[Tensor] = field(default_factory=list)
    shared_seen: list[list[Tensor]] = field(default_factory=list)
    others: list[Tensor] = field(default_factory=list)

    def attach(self) -> list[Any]:
        self.routing.clear()
        self.others.clear()
        self.shared_seen = [[] for _ in self.shared]
        handles = [*super().attach(), _listen(self.block, self.block_inputs)]
        handles.append(self.experts.register_forward_pre_hook(self._routed, with_kwargs=True))
        handles += [_listen(one.value, seen) for one, seen in zip(self.shared, self.shared_seen, strict=True)]
        if self.beside is not None:
            handles.append(self.beside.register_forward_hook(lambda _, __, output: self.others.append(_first(output))))
        return handles

    def _routed(self, _: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        self.routing.append(tuple(tensor.detach().clone() for tensor in (*given, *named.values())[:3]))

    def captured(self) -> Captured:
        assert self.keys is not None and self.values is not None
        numbers = range(self.n_experts)
        all_keys = [self.keys(self.experts, expert) for expert in numbers]
        coefficients, shares = self._routed_coefficients(all_keys)
        values = [self.values(self.experts, expert).detach() for expert in numbers]
        bias, given = torch.zeros(values[0].shape[1]), self.block_inputs[self.call].flatten(0, -2)
        for one, seen in zip(self.shared, self.shared_seen, strict=True):
            flat = seen[self.call].flatten(0, -2)
            coefficients.append(flat if one.weight is None else flat * one.weight(given))
            all_keys.append(one.keys)
            values.append(one.value.weight.detach().T)
            if one.value.bias is not None:  # no gated ones have a bias
                assert one.weight is None
                bias = bias + one.value.bias.detach()
        offset = optional = None
        if self.biases is not None:
            rows = torch.stack([self.biases(self.experts, expert).detach() for expert in numbers])
            optional = (torch.cat(shares, 1), rows)
            offset = optional[0] @ rows
        return Captured(
            coefficients=torch.cat(coefficients, 1),
            keys=tuple(map(torch.cat, zip(*(keys.rows for keys in all_keys), strict=True))),
            key_biases=tuple(map(torch.cat, zip(*(keys.biases for keys in all_keys), strict=True))),
            key_scale=1.0,
            values=torch.cat(values),
            bias=bias,
            stream=self._stream(),
            output=self._output() + (self.others[self.call].flatten(0, -2) if self.others else 0),
            offset=offset,
            optional=optional,
        )

    def _routed_coefficients(self, all_keys: Sequence[Keys]) -> tuple[list[Tensor], list[Tensor]]:
        """Of all experts at all positions, and their weights; 0 where a position is not sent to one."""
        states, *routes = self.routing[self.call]
        if self.scaled_inputs:
            of_each = states.unflatten(0, (self.n_experts, -1))
            return [keys.activations(x) for keys, x in zip(all_keys, of_each, strict=True)], []
        chosen, weights = routes
        if self.one_hot:
            weights, chosen = weights * chosen.squeeze(1).sum(-1, keepdim=True), chosen.argmax(-1)
        flat = states.flatten(0, -2)
        shares = [(weights * (chosen == expert)).sum(-1, keepdim=True) for expert in range(self.n_experts)]
        return [share * keys.activations(flat) for share, keys in zip(shares, all_keys, strict=True)], shares


def plain(layer: Any, block: Any, key: Any, value: Any, act: Act, conv1d: bool = False, **more: Any) -> Dense:
    """value(act(key(x)))."""
    return Dense(layer, block, value=value, conv1d=conv1d, reads=key, keys=ungated(key, act, conv1d), **more)


def glu(layer: Any, mlp: Any, act: Act = silu, **more: Any) -> Dense:
    """Llama's: down_proj(act(gate_proj(x)) * up_proj(x))."""
    keys = gated(mlp.gate_proj, mlp.up_proj, act)
    return Dense(layer, mlp, value=mlp.down_proj, reads=mlp.gate_proj, keys=keys, **more)


def fused(layer: Any, block: Any, both: Any, value: Any, act: Act = silu, **more: Any) -> Dense:
    """Gated, with the gate keys above the up keys in one matrix."""
    return Dense(layer, block, value=value, reads=both, keys=halves(both, act), **more)


def mixture(layer: Any, block: Any, experts: Any, act: Act = silu, **more: Any) -> Mixture:
    """Gated experts in two stacked tensors: gate keys above up keys, (experts, 2 cells, d_model); and values."""
    return Mixture(
        layer,
        block,
        experts=experts,
        keys=lambda experts, expert: stacked(experts.gate_up_proj[expert], act),
        values=lambda experts, expert: experts.down_proj[expert].T,
        n_experts=len(experts.down_proj),
        **more,
    )


def shared_mlp(mlp: Any, weight: Callable[[Tensor], Tensor] | None = None) -> Shared:
    """Llama's MLP beside experts."""
    return Shared(mlp.down_proj, gated(mlp.gate_proj, mlp.up_proj, silu), weight)


def capture(
    model: Any, places: Sequence[Place], final: Any, inputs: dict[str, Any]
) -> tuple[list[Captured], Tensor | None, Any]:
    """What all places show in the model's own pass; the input of the module ``final``; and what the model returns."""
    states: list[Tensor] = []
    handles = [handle for place in places for handle in place.attach()]
    if final is not None:
        handles.append(_listen(final, states))
    try:
        with torch.no_grad():
            output = model(**inputs)
            found = [place.captured() for place in places]
    finally:
        for handle in handles:
            handle.remove()
    return found, states[-1] if states else None, output


def logits_of(output: Any) -> Tensor:
    """The scores of tokens in what a model returns."""
    logits: Tensor = output["prediction_logits"] if "prediction_logits" in output else output["logits"]
    return logits


def replaced(model: Any, place: Place, vector: Tensor, inputs: dict[str, Any]) -> Tensor:
    """The stream behind a layer whose sum of memories is a vector, at every position."""
    calls, streams = [0, 0], []

    def put(_: Any, __: Any, output: Any) -> Any:
        calls[0] += 1
        if calls[0] != place.call + 1:
            return None
        first = _first(output)
        changed = vector.expand(first.shape).clone()
        return (changed, *output[1:]) if isinstance(output, tuple) else changed

    def see(_: Any, __: Any, output: Any) -> None:
        calls[1] += 1
        if calls[1] == place.call + 1:
            streams.append(_first(output))

    handles = [place.block.register_forward_hook(put), place.layer.register_forward_hook(see)]
    try:
        with torch.no_grad():
            model(**inputs)
    finally:
        for handle in handles:
            handle.remove()
    return streams[0].flatten(0, -2)


def _listen(module: Any, seen: list[Tensor]) -> Any:
    """Note the first input of a module in each of its runs."""
    seen.clear()

    def note(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        seen.append((*given, *named.values())[0].detach().clone())

    return module.register_forward_pre_hook(note, with_kwargs=True)


def _first(output: Any) -> Tensor:
    tensor: Tensor = output[0] if isinstance(output, tuple | list) else output
    return tensor.detach().clone()  # Falcon adds to it in place
