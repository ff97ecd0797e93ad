"""What truths are made of: hooks on modules that are named by hand, and sums that are written out.

A place is one feed-forward layer in one pass. What it captures obeys
    output = coefficients @ values + bias + offset
and ``test_zoo.py`` holds every truth to that, against the output of the model's own module.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

Act = Callable[[Tensor], Tensor]


def gelu_tanh(x: Tensor) -> Tensor:
    """GELU by its approximation with a hyperbolic tangent."""
    return 0.5 * x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3)))


def silu(x: Tensor) -> Tensor:
    """x / (1 + exp(-x))."""
    return x * torch.sigmoid(x)


@dataclass(frozen=True)
class Captured:
    """One feed-forward layer in the pass over one sentence."""

    coefficients: Tensor
    """(positions, cells)."""
    values: Tensor
    """(cells, d_model)."""
    bias: Tensor
    """(d_model,)."""
    output: Tensor
    """(positions, d_model), of the model's own module."""
    offset: Tensor | None = None
    """(positions, d_model): biases of experts times their routing weights."""
    optional: tuple[Tensor, Tensor] | None = None
    """Coefficients and values of cells that may be there or not: such a bias, read as the value of one more cell."""


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

    def attach(self) -> list[Any]:
        """Hooks for one pass."""
        self.outputs.clear()
        return [self.block.register_forward_hook(lambda _, __, output: self.outputs.append(_first(output)))]

    def captured(self) -> Captured:
        """What the pass has shown."""
        raise NotImplementedError

    def _output(self) -> Tensor:
        return self.outputs[self.call].flatten(0, -2)


@dataclass
class Dense(Place):
    """A layer whose value matrix is a module: its input is the coefficients."""

    value: Any = None
    conv1d: bool = False
    """Whether that is GPT-2's Conv1D, whose weight is (inputs, outputs)."""
    seen: list[Tensor] = field(default_factory=list)

    def attach(self) -> list[Any]:
        self.seen.clear()
        hook = self.value.register_forward_pre_hook(lambda _, inputs: self.seen.append(inputs[0].detach().clone()))
        return [hook, *super().attach()]

    def captured(self) -> Captured:
        weight = self.value.weight.detach()
        values = weight if self.conv1d else weight.T
        bias = getattr(self.value, "bias", None)
        bias = values.new_zeros(values.shape[1]) if bias is None else bias.detach()
        return Captured(self.seen[self.call].flatten(0, -2), values, bias, self._output())


@dataclass
class Mixture(Place):
    """Experts, some of which each position is sent to, and cells that all positions share."""

    ordered: bool = False
    experts: Any = None
    """The module whose inputs are states, the experts that are chosen, and their weights."""
    cells: Callable[[Any, int, Tensor], Tensor] | None = None
    """From the experts, the number of one and states to its activations, before they are weighed."""
    values: Callable[[Any, int], Tensor] | None = None
    """From the experts and the number of one to its values, a row each."""
    biases: Callable[[Any, int], Tensor] | None = None
    """From the experts and the number of one to the bias of its output, which is weighed as its cells are."""
    n_experts: int = 0
    shared: Sequence[tuple[Any, Callable[[Tensor], Tensor] | None]] = ()
    """Value matrices of the cells that all positions share, each with what gates them: from the states to a number."""
    beside: Any = None
    """The module of the shared cells, where none holds both: its output is added to the block's."""
    scaled_inputs: bool = False
    """Whether the experts read nothing but the states of each in turn, multiplied by its weight."""
    one_hot: bool = False
    """Whether the choice of an expert is a row of zeros and a one."""
    scale: float = 1.0
    """What the experts' sum is multiplied with before the shared cells' is added."""
    routing: list[tuple[Tensor, Tensor, Tensor]] = field(default_factory=list)
    block_inputs: list[Tensor] = field(default_factory=list)
    shared_seen: list[Tensor] = field(default_factory=list)
    others: list[Tensor] = field(default_factory=list)

    def attach(self) -> list[Any]:
        for seen in (self.routing, self.block_inputs, self.shared_seen):
            seen.clear()
        handles = super().attach()
        handles.append(self.experts.register_forward_pre_hook(self._routed, with_kwargs=True))
        handles.append(
            self.block.register_forward_pre_hook(
                lambda _, given, named: self.block_inputs.append((*given, *named.values())[0].detach().clone()),
                with_kwargs=True,
            )
        )
        if self.beside is not None:
            self.others.clear()
            handles.append(self.beside.register_forward_hook(lambda _, __, output: self.others.append(output.detach())))
        for value, _ in self.shared:
            handles.append(value.register_forward_pre_hook(lambda _, given: self.shared_seen.append(given[0].detach())))
        return handles

    def _routed(self, _: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        states, *routes = (*given, *named.values())[:3]
        if self.scaled_inputs:
            self.routing.append((states.detach().clone().unflatten(0, (self.n_experts, -1)), *2 * (torch.ones(1),)))
            return
        chosen, weights = routes
        self.routing.append((states.detach().clone().flatten(0, -2), chosen.clone(), weights.detach().clone()))

    def captured(self) -> Captured:
        assert self.cells is not None and self.values is not None
        states, chosen, weights = self.routing[self.call]
        if self.scaled_inputs:
            coefficients = [self.cells(self.experts, expert, states[expert]) for expert in range(self.n_experts)]
        else:
            if self.one_hot:
                weights, chosen = weights * chosen.squeeze(1).sum(-1, keepdim=True), chosen.argmax(-1)
            shares = [self.scale * (weights * (chosen == e)).sum(-1, keepdim=True) for e in range(self.n_experts)]
            coefficients = [share * self.cells(self.experts, e, states) for e, share in enumerate(shares)]
        values = [self.values(self.experts, expert) for expert in range(self.n_experts)]
        bias, given = torch.zeros(values[0].shape[1]), self.block_inputs[self.call].flatten(0, -2)
        for (value, gate), activated in zip(self.shared, self.shared_seen, strict=True):
            flat = activated.flatten(0, -2)
            coefficients.append(flat if gate is None else flat * gate(given))
            values.append(value.weight.T)
            if value.bias is not None:  # no gated ones have a bias
                assert gate is None
                bias = bias + value.bias
        offset = optional = None
        if self.biases is not None:
            rows = torch.stack([self.biases(self.experts, expert) for expert in range(self.n_experts)])
            optional = (torch.cat(shares, 1), rows)
            offset = optional[0] @ rows
        output = self._output() + (self.others[self.call].flatten(0, -2) if self.others else 0)
        return Captured(torch.cat(coefficients, 1), torch.cat(values), bias, output, offset, optional)


def dense(layer: Any, block: Any, value: Any, **more: Any) -> Dense:
    """A layer whose value matrix is a module."""
    return Dense(layer, block, value=value, **more)


def mixture(layer: Any, block: Any, experts: Any, act: Act, **more: Any) -> Mixture:
    """Gated experts in two stacked tensors: gate keys above up keys, (experts, 2 cells, d_model); and values."""

    def cells(experts: Any, expert: int, states: Tensor) -> Tensor:
        both = states @ experts.gate_up_proj[expert].T
        n_cells = both.shape[1] // 2
        return act(both[:, :n_cells]) * both[:, n_cells:]

    return Mixture(
        layer,
        block,
        experts=experts,
        cells=cells,
        values=lambda experts, expert: experts.down_proj[expert].T,
        n_experts=len(experts.down_proj),
        **more,
    )


def capture(
    model: Any, places: Sequence[Place], final: Any, inputs: dict[str, Any]
) -> tuple[list[Captured], Tensor | None, Any]:
    """What all places show in the model's own pass; the input of the module ``final``; and what the model returns."""
    states: list[Tensor] = []
    handles = [handle for place in places for handle in place.attach()]
    if final is not None:
        handles.append(
            final.register_forward_pre_hook(
                lambda _, given, named: states.append((*given, *named.values())[0].detach().clone()), with_kwargs=True
            )
        )
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
            streams.append(_first(output).detach().clone())

    handles = [place.block.register_forward_hook(put), place.layer.register_forward_hook(see)]
    try:
        with torch.no_grad():
            model(**inputs)
    finally:
        for handle in handles:
            handle.remove()
    return streams[0].flatten(0, -2)


def _first(output: Any) -> Tensor:
    tensor: Tensor = output[0] if isinstance(output, tuple) else output
    return tensor.detach().clone()  # Falcon adds to it in place
