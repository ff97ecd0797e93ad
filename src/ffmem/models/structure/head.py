"""From the last layer to the logits: final norm, head, unembedding, soft cap, multipliers."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ffmem.models.feed_forward import at
from ffmem.models.structure.dense import Hypotheses, Tried
from ffmem.models.structure.matrices import embedding_of, is_matrix
from ffmem.models.structure.norms import norm_kind
from ffmem.models.structure.numbers import error, fit
from ffmem.models.structure.recording import Call, Recording, mark

_MOST_STEPS = 6


@dataclass(frozen=True)
class Head:
    """What stands behind the last layer."""

    headless: bool = False
    final_norm: Call | None = None
    project_out: Call | None = None
    transform: Callable[[Any, Tensor], Tensor] | None = None
    unembedding: str = ""
    output_bias: str = ""
    output_scale: float = 1.0
    softcap: float | None = None
    error: float = 0.0
    told: str = ""
    """Where there is none: why."""


@dataclass(frozen=True)
class _Steps:
    """A way from the last layer's output to a state, module by module."""

    steps: tuple[str | Callable[[Tensor], Tensor], ...] = field(default=())

    def __call__(self, model: Any, states: Tensor) -> Tensor:
        for step in self.steps:
            states = at(model, step)(states) if isinstance(step, str) else step(states)
        return states


def find_head(
    model: Any, recording: Recording, last: Call, state: Tensor, n: int, tried: Hypotheses, missed: Tried
) -> Head:
    """How the last layer's output becomes the model's own logits.

    Args:
        model: the model.
        recording: of the pass.
        last: the last layer's run.
        state: its output.
        n: positions that the model was given.
        tried: activations to try.
        missed: is told what comes near.
    """
    logits = getattr(recording.answer, "logits", None)
    if not isinstance(logits, Tensor) or logits.ndim != 3 or logits.shape[-1] < 2:
        return Head(headless=True, told="it gives no score for each token at each position")
    found = logits[0].detach().float().cpu()
    state, after = state[: len(found)], [call for call in recording.calls if call.begin > last.end]
    embedding = embedding_of(model)
    n_tokens = getattr(embedding, "num_embeddings", None)
    if len(found) != n or (n_tokens is not None and found.shape[1] < n_tokens // 2):
        return Head(headless=True, told=f"it gives {found.shape[-1]} scores, for {n_tokens} tokens")
    head = model.get_output_embeddings()
    for call in after:
        if call.outputs and call.output.shape[-1] == found.shape[1] and call.inputs and is_matrix(call, tried.limit):
            one = _from_unembedding(call, state, found, after, model, tried, missed)
            if one is not None:
                own = "" if head is call.module else call.path
                return replace(one, unembedding=own)
    if embedding is not None and head is not None:
        one = _without_module(model, head, state, found, after, tried)
        if one is not None:
            return one
    return Head(headless=True, error=float("inf"), told=f"its logits are not explained ({missed.nearest})")


def _from_unembedding(
    call: Call,
    state: Tensor,
    logits: Tensor,
    after: Sequence[Call],
    model: Any,
    tried: Hypotheses,
    missed: Tried,
) -> Head | None:
    """The head of which one matrix is the unembedding."""
    given, made = call.input[: len(logits)], call.output[: len(logits)]
    bias, scale, cap, error_of_logits = _behind(made, logits, model, call, tried)
    if error_of_logits > tried.limit:
        missed.note(error_of_logits, f"logits from {call.path}")
        return None
    way = _way(state, given, after, tried)
    if way is None:
        missed.note(1.0, f"the input of {call.path} from the last layer's output")
        return None
    steps, before = way
    return _as_head(
        steps, Head(output_bias=bias, output_scale=scale * before, softcap=cap, error=error_of_logits), tried
    )


def _as_head(steps: Sequence["Call | Callable[[Tensor], Tensor]"], head: Head, tried: Hypotheses) -> Head | None:
    calls = [one for one in steps if isinstance(one, Call)]
    if len(calls) == len(steps):
        if not calls:
            return head
        if norm_kind(calls[0], tried.limit) is not None:
            if len(calls) == 1:
                return replace(head, final_norm=calls[0])
            if len(calls) == 2 and is_matrix(calls[1], tried.limit) and getattr(calls[1].module, "bias", None) is None:
                return replace(head, final_norm=calls[0], project_out=calls[1])
        elif len(calls) == 1 and is_matrix(calls[0], tried.limit) and getattr(calls[0].module, "bias", None) is None:
            return replace(head, project_out=calls[0])
    way = _Steps(tuple(one.path if isinstance(one, Call) else one for one in steps))
    return replace(head, transform=way)


def _behind(
    made: Tensor, logits: Tensor, model: Any, call: Call, tried: Hypotheses
) -> tuple[str, float, float | None, float]:
    """Bias, multiplier and soft cap between the unembedding's output and the logits."""
    if error(made, logits) <= tried.limit:
        return "", 1.0, None, error(made, logits)
    (scale,), missed = fit(logits, [made])
    if missed <= tried.limit and getattr(call.module, "bias", None) is None:
        return "", scale, None, missed
    for name, bias in _biases(model, logits.shape[1]):
        if error(made + bias.detach().float().cpu().flatten(), logits) <= tried.limit:
            return name, 1.0, None, error(made + bias.detach().float().cpu().flatten(), logits)
    for cap in tried.constants:
        if cap > float(logits.abs().max()):
            for multiplier in (1.0, *tried.constants):
                found = torch.tanh(made * multiplier / cap) * cap
                if error(found, logits) <= tried.limit and (
                    multiplier == 1.0 or getattr(call.module, "bias", None) is None
                ):
                    return "", multiplier, cap, error(found, logits)
    return "", 1.0, None, missed


def _way(
    state: Tensor, goal: Tensor, after: Sequence[Call], tried: Hypotheses
) -> tuple[list["Call | Callable[[Tensor], Tensor]"], float] | None:
    """The shortest way of modules and activations from one state to another, and what multiplies it at the end."""
    ways: list[tuple[list[Call | Callable[[Tensor], Tensor]], Tensor]] = [([], state)]
    for _ in range(_MOST_STEPS):
        for steps, here in ways:
            if here.shape == goal.shape:
                if error(here, goal) <= tried.limit:
                    return steps, 1.0
                (scale,), missed = fit(goal, [here])
                if missed <= tried.limit:
                    return steps, scale
        ways = [([*steps, step], there) for steps, here in ways for step, there in _next(here, len(goal), after, tried)]
        if not ways or len(ways) > 64:
            break
    return None


def _next(
    here: Tensor, n: int, after: Sequence[Call], tried: Hypotheses
) -> Iterator[tuple["Call | Callable[[Tensor], Tensor]", Tensor]]:
    taken = False
    for call in after:
        if not call.outputs or len(call.inputs) != 1 or _is_same(call.input, call.output):
            continue
        if mark(call.input[:n]) == mark(here) and not any(True for _ in call.module.children()):
            taken = True
            yield call, call.output[:n]
    if taken:
        return
    inputs = {mark(call.input[:n]): call.input[:n] for call in after if call.inputs}
    for function in tried.named.values():
        there = function(here)
        for one in inputs.values():
            if one.shape == there.shape and error(there, one) <= tried.limit:
                yield function, one
                return


def _is_same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.equal(one, other)


def _without_module(
    model: Any, head: Any, state: Tensor, logits: Tensor, after: Sequence[Call], tried: Hypotheses
) -> Head | None:
    """Where the unembedding is a weight that no module multiplies with: its input is the output of the module before."""
    embedding = embedding_of(model)
    names = {part: path for path, part in model.named_modules()}
    for holder, path in ((head, ""), (embedding, names.get(embedding, ""))):
        weight = getattr(holder, "weight", None)
        if not isinstance(weight, Tensor) or weight.ndim != 2 or len(weight) != logits.shape[1]:
            continue
        for call in reversed(after):
            if call.outputs and call.output.shape[-1] == weight.shape[1] and len(call.output) >= len(logits):
                found = _by_weight(model, holder, call.output[: len(logits)], state, logits, after, tried)
                if found is not None:
                    return replace(found, unembedding=path)
    return None


def _by_weight(
    model: Any, holder: Any, given: Tensor, state: Tensor, logits: Tensor, after: Sequence[Call], tried: Hypotheses
) -> Head | None:
    made = given @ holder.weight.detach().float().cpu().T
    own = getattr(holder, "bias", None)
    biases = [("", own)] if own is not None else [("", None), *_biases(model, logits.shape[1])]
    for name, bias in biases:
        missed = error(made if bias is None else made + bias.detach().float().cpu().flatten(), logits)
        if missed <= tried.limit:
            way = _way(state, given, after, tried)
            if way is not None and math.isclose(way[1], 1.0):
                return _as_head(way[0], Head(output_bias=name, error=missed), tried)
    return None


def _biases(model: Any, n: int) -> list[tuple[str, Tensor]]:
    """Whatever a model holds of so many numbers."""
    parameters = [(name, model.get_parameter(name)) for name, one in model.named_parameters() if one.numel() == n]
    return parameters + [(name, one) for name, one in model.named_buffers() if one.numel() == n]
