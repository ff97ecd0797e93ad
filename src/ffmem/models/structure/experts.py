"""Experts whose weights are stacked in one module: orientation, halves, biases and activation, by what they gave in a pass."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

import torch
from torch import Tensor

from ffmem.models.base import Outputs, Stacked
from ffmem.models.structure.activations import Activation
from ffmem.models.structure.dense import Hypotheses, Tried
from ffmem.models.structure.numbers import error
from ffmem.models.structure.recording import Call


@dataclass(frozen=True)
class Experts:
    """A module of experts, explained."""

    call: Call
    stacked: Stacked
    activation: str
    plain: bool
    """Whether that is what products with gate keys, or keys, go through, everywhere."""
    error: float
    n_experts: int
    d_ff: int


def find_experts(inner: Sequence[Call], d_model: int, tried: Hypotheses, missed: Tried) -> list[Experts]:
    """The modules of a layer that hold the weights of all experts, each explained."""
    found = []
    for call in inner:
        stacked = [name for name, one in call.module.named_parameters(recurse=False) if one.ndim == 3]
        if len(stacked) < 2 or not call.outputs or not call.inputs:
            continue
        one = _explain(call, d_model, tried, missed)
        if one is not None:
            found.append(one)
    return found


def _explain(call: Call, d_model: int, tried: Hypotheses, missed: Tried) -> Experts | None:
    for experts in _candidates(call, d_model, tried):
        if experts.error <= tried.limit:
            return experts
        missed.note(experts.error, f"{call.path}: {experts.activation} of {experts.stacked.first}")
    return None


def _candidates(call: Call, d_model: int, tried: Hypotheses) -> Iterator[Experts]:
    own = {name: getattr(call.module, name) for name, _ in call.module.named_parameters(recurse=False)}
    held = {name: one for name, one in own.items() if one.ndim == 3}
    biases = {name: one for name, one in own.items() if one.ndim == 2}
    n = len(next(iter(held.values())))
    for first, second in permutations(held, 2):
        for transposed in (False, True):
            one, other = (held[name].transpose(1, 2) if transposed else held[name] for name in (first, second))
            if one.shape[2] != d_model or other.shape[1] != d_model or len(other) != n:
                continue
            d_ff, n_outputs = other.shape[2], one.shape[1]
            if n_outputs not in (d_ff, 2 * d_ff):
                continue
            layout = Stacked(
                first,
                next((name for name, bias in biases.items() if bias.shape == (n, n_outputs) and first in name), ""),
                second,
                next((name for name, bias in biases.items() if bias.shape == (n, d_model) and second in name), ""),
                transposed=transposed,
                gated=n_outputs == 2 * d_ff,
                weighted_inputs=not call.ids,
            )
            yield from _activated(call, layout, n, d_ff, tried)


def _activated(call: Call, layout: Stacked, n: int, d_ff: int, tried: Hypotheses) -> Iterator[Experts]:
    for name, function in tried.named.items():
        if not layout.gated:
            one = replace(layout, activate=_Ungated(function))
            yield Experts(call, one, name, True, _error(call, one, n), n, d_ff)
            continue
        for halves in _halves(d_ff):
            one = replace(layout, activate=_Gated(function, halves), halves=halves)
            missed = _error(call, one, n)
            if missed <= tried.limit and halves[0][:2] == (0, d_ff) and hasattr(call.module, "act_fn"):
                usual = replace(layout)  # as the module's own loop has it, bit by bit
                if _error(call, usual, n) <= tried.limit:
                    one = usual
            yield Experts(call, one, name, True, missed, n, d_ff)
    own = getattr(call.module, "_apply_gate", None)
    if layout.gated and own is not None:
        probed = _probed(call.module, d_ff)
        if probed is not None:
            one = replace(layout, activate=_own_gate, halves=probed)
            yield Experts(call, one, _name_of(call.module), False, _error(call, one, n), n, d_ff)


def _name_of(module: Any) -> str:
    return f"{type(module).__name__}'s own"


def _halves(d_ff: int) -> list[tuple[Outputs, Outputs]]:
    first, second = (0, d_ff, 1), (d_ff, 2 * d_ff, 1)
    even, odd = (0, None, 2), (1, None, 2)
    return [(first, second), (second, first), (even, odd), (odd, even)]


@dataclass(frozen=True)
class _Ungated:
    """Experts of one matrix before the activation."""

    function: Activation

    def __call__(self, module: Any, products: Tensor) -> Tensor:
        return self.function(products)


@dataclass(frozen=True)
class _Gated:
    """The activation of one half, times the other."""

    function: Activation
    halves: tuple[Outputs, Outputs]

    def __call__(self, module: Any, products: Tensor) -> Tensor:
        gate, up = (products[..., slice(*half)] for half in self.halves)
        return self.function(gate) * up


def _own_gate(module: Any, products: Tensor) -> Tensor:
    """What the module itself makes of products."""
    found: Tensor = module._apply_gate(products)
    return found


def _probed(module: Any, d_ff: int) -> tuple[Outputs, Outputs] | None:
    """Which products are gates, and which are up, by changing them: an activation is no straight line, the other is."""
    base = torch.linspace(0.1, 0.9, 2 * d_ff).double()
    for halves in _halves(d_ff):
        gate, up = torch.zeros(2 * d_ff).double(), torch.zeros(2 * d_ff).double()
        gate[slice(*halves[0])] = up[slice(*halves[1])] = 0.25
        own = torch.arange(d_ff)
        steps = [module._apply_gate((base + k * up)[None])[0] for k in (-1, 0, 1)]
        bends = [module._apply_gate((base + k * gate)[None])[0] for k in (-1, 0, 1)]
        straight = float((steps[0] + steps[2] - 2 * steps[1]).abs().max())
        bent = float((bends[0] + bends[2] - 2 * bends[1]).abs().min())
        single = base.clone()
        single[slice(*halves[1])][0] += 0.25
        changed = (module._apply_gate(single[None])[0] - steps[1]).abs() > 0
        if straight < 1e-9 < bent and bool(changed[0]) and not bool(changed[own > 0].any()):
            return halves
    return None


def _error(call: Call, held: Stacked, n: int) -> float:
    """Of the experts' output, computed position by position."""
    module, states = call.module, call.input
    first, second = (getattr(module, name).detach().float().cpu() for name in (held.first, held.second))
    if held.weighted_inputs:
        given = states.view(n, -1, states.shape[1]) if len(states) % n == 0 else None
        if given is None:
            return float("inf")
        found = torch.cat([_expert(module, held, first[e], second[e], e, one) for e, one in enumerate(given)])
        return error(found, call.output)
    if len(call.inputs) < 2 or not call.ids:
        return float("inf")
    chosen, weights = call.ids[0].reshape(len(states), -1).cpu(), call.inputs[1]
    if weights.shape != chosen.shape:
        return float("inf")
    found = torch.zeros_like(states)
    for expert in range(n):
        share = (weights * (chosen == expert)).sum(1, keepdim=True)
        at = share.squeeze(1).nonzero().squeeze(1)
        if len(at):
            found[at] += share[at] * _expert(module, held, first[expert], second[expert], expert, states[at])
    return error(found, call.output)


def _expert(module: Any, held: Stacked, first: Tensor, second: Tensor, expert: int, states: Tensor) -> Tensor:
    products = states @ (first if held.transposed else first.T)
    if held.first_bias:
        products = products + getattr(module, held.first_bias)[expert].detach().cpu()
    if held.activate is None:
        gate, up = products.chunk(2, dim=-1)
        activated = module.act_fn(gate) * up
    else:
        activated = held.activate(module, products)
    output: Tensor = activated @ (second if held.transposed else second.T)
    return output + getattr(module, held.second_bias)[expert].detach().cpu() if held.second_bias else output
