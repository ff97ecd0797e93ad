"""Attention by structure: where weights, values and W_O are, each held to one pass in which weights are computed as such."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ffmem.errors import ModelError
from ffmem.models.base import AttentionLayout, Axes, Layout
from ffmem.models.structure.matrices import is_matrix, relative
from ffmem.models.structure.norms import norm_kind
from ffmem.models.structure.numbers import LEAST, TOLERANCE, error, fit
from ffmem.models.structure.recording import Call, Recording, mark, record

_LIMIT = 5 * TOLERANCE
"""Largest error of sums over sources."""
_ROUNDING = 1e-4
"""Of a sum of weights."""


class _NotExplainedError(Exception):
    """A layer's attention is not understood."""


def find_attention(
    name: str,
    module: Any,
    layers: Sequence[tuple[Any, Layout]],
    arguments: dict[str, Any],
    step_by_step: Callable[..., AbstractContextManager[None]],
) -> list[tuple[AttentionLayout, ...]]:
    """The attention sub-layers of each layer.

    Args:
        name: of the model, for messages.
        module: the model.
        layers: each layer, with how its memories are read.
        arguments: what the model is called with for a text.
        step_by_step: inside, it computes attention weights as such; with ``asked=True`` it is asked for them besides.

    Raises:
        ModelError: attention of a layer is not explained, or none gives weights; the message says why.
    """
    faster = record(module, arguments)
    try:
        for asked in (False, True):
            with step_by_step(asked=asked):
                slower = record(module, arguments)
            _check_same(faster, slower, layers)
            found = [_of_layer(slower, layer, layout, asked) for layer, layout in layers]
            if any(found):
                break
        else:
            elsewhere = any(call.weights is not None and call.outputs for call in slower.calls)
            raise _NotExplainedError(
                "it is in layers without memories"
                if elsewhere
                else "no module of it gives a matrix of weights for each head"
            )
    except _NotExplainedError as problem:
        raise ModelError(
            f"attention of {name} ({type(module).__name__}) cannot be read: {problem}",
            "Expected heads whose outputs are sums of weights times values times W_O",
            "Memories of this model can be read; for its attention use another model",
        ) from problem
    return found


def _check_same(faster: Recording, slower: Recording, layers: Sequence[tuple[Any, Layout]]) -> None:
    last = layers[-1][0]
    one, other = (recording.of(last)[-1].output for recording in (faster, slower))
    if error(other, one) > _LIMIT:
        raise _NotExplainedError(
            f"computed step by step it gives other states, by {error(other, one):.2g} of the largest"
        )


def _of_layer(recording: Recording, layer: Any, layout: Layout, asked: bool) -> tuple[AttentionLayout, ...]:
    call = recording.of(layer)[layout.runs[0]]
    inner = [one for one in recording.within(call) if one.inputs and one.outputs]
    weighing = [one for one in inner if one.weights is not None and one.weights.shape[2] == len(call.output)]
    innermost = [one for one in weighing if not any(other.path.startswith(f"{one.path}.") for other in weighing)]
    return tuple(replace(_explain(recording, call, inner, one, layout), asked=asked) for one in innermost)


def _explain(
    recording: Recording, layer: Call, inner: Sequence[Call], attention: Call, layout: Layout
) -> AttentionLayout:
    assert attention.weights is not None
    weights = attention.weights[0].float()
    sums = weights.sum(-1)
    if float(weights.min()) < 0 or float(sums.max()) > 1 + _ROUNDING:
        raise _NotExplainedError(f"weights of {attention.path} are below 0, or add up to more than 1")
    gated = ""
    matrices = [one for one in inner if is_matrix(one, _LIMIT)]
    norms = [one for one in inner if one.axes == 4 and norm_kind(one, TOLERANCE) is not None]
    for output in matrices:
        if output.input.shape[-1] % len(weights) or len(output.input) != weights.shape[1]:
            continue
        for value in (*matrices, *norms):
            values = _values(value, weights.shape[2])
            if values is None or value.end > output.begin:
                continue
            for fused in _ways(values.shape[-1], output.input.shape[-1] // len(weights), len(weights)):
                mixed = _mixed(weights, values, output.input, fused)
                (scale,), missed = fit(output.input, [mixed])
                if missed <= _LIMIT and abs(scale) >= LEAST:
                    found = _placed(recording, layer, inner, attention, (value, output, fused), layout)
                    return replace(found, value_scale=scale, sink=float(sums.min()) < 1 - _ROUNDING)
                gated = gated or (output.path if _is_gated(mixed, output.input) else "")
    if gated:
        raise _NotExplainedError(f"what heads give is multiplied with a gate of each position before {gated}")
    raise _NotExplainedError(f"what {attention.path} gives is no sum of its weights times the outputs of a matrix")


def _values(call: Call, n_keys: int) -> Tensor | None:
    """What a module gives of each key; None if it is no row of numbers for each."""
    if call.axes == 4 and len(call.output) > n_keys and len(call.output) % n_keys == 0:
        return call.output.view(n_keys, -1)
    return call.output if call.axes in (3, 4) and len(call.output) == n_keys else None


def _axes(call: Call, n_keys: int) -> Axes:
    if call.axes == 3:
        return "batch keys outputs"
    return (
        "batch 1 keys outputs" if len(call.output) == n_keys and is_matrix(call, _LIMIT) else "batch keys heads outputs"
    )


def _ways(n_outputs: int, d_head: int, n_heads: int) -> Iterator[tuple[int, int] | None]:
    """How values may stand among the outputs of a matrix: alone, or at the end of each of some groups."""
    if n_outputs % d_head == 0 and n_heads % (n_outputs // d_head) == 0:
        yield None
    for groups in (one for one in range(1, n_heads + 1) if n_heads % one == 0 and n_outputs % one == 0):
        width = n_outputs // groups
        for n_values in range(1, -(-width // d_head)):  # what is left over belongs to queries and keys
            if n_heads % (groups * n_values) == 0:
                yield groups, n_values


def _mixed(weights: Tensor, outputs: Tensor, like: Tensor, fused: tuple[int, int] | None) -> Tensor:
    n_heads, n_queries = weights.shape[:2]
    d_head = like.shape[-1] // n_heads
    if fused is None:
        values = outputs.view(len(outputs), -1, d_head)
    else:
        groups, n_values = fused
        values = outputs.view(len(outputs), groups, -1)[..., -n_values * d_head :].reshape(len(outputs), -1, d_head)
    each = values.repeat_interleave(n_heads // values.shape[1], dim=1)
    return torch.einsum("hqk,khd->qhd", weights, each).reshape(n_queries, -1)


def _is_gated(mixed: Tensor, given: Tensor) -> bool:
    """Whether each number of what heads give was multiplied with one between 0 and 1, as a sigmoid gives them."""
    there = mixed.abs() > 1e-3 * mixed.abs().max()
    if mixed.shape != given.shape or not bool(there.any()):
        return False
    factors = given[there] / mixed[there]
    return bool((factors > 0).all()) and bool((factors < 1).all()) and float(factors.max() - factors.min()) > _LIMIT


def _placed(
    recording: Recording,
    layer: Call,
    inner: Sequence[Call],
    attention: Call,
    parts: tuple[Call, Call, tuple[int, int] | None],
    layout: Layout,
) -> AttentionLayout:
    """Its norms, if the stream behind it is the stream before plus what it gives."""
    value, output, fused = parts
    given = attention.input
    before = next((one for one in recording.givers(given) if _is_norm(one, inner)), None)
    after: Call | None = None
    if layout.placement == "sandwich":
        after = next((one for one in recording.takers(output.output) if _is_norm(one, inner)), None)
        if after is None:
            raise _NotExplainedError(f"no norm stands behind {output.path}, though one stands behind the memories")
    stream = given if before is None or layout.placement in ("shared", "post") else before.input
    summed = stream + (output.output if after is None else after.output)
    scales = (1.0, 1.0)
    if layout.placement == "post":
        after = next((one for one in inner if error(one.input, summed) <= _LIMIT and _is_norm(one, inner)), None)
        if after is None:
            raise _NotExplainedError(f"no norm stands behind the sum of the stream and {output.path}")
    elif layout.parallel:
        beside = next((one for one in inner if one.path == f"{layer.path}.{layout.beside}"), None)
        same = beside is not None and layout.beside_scale == 1.0 and error(beside.output, output.output) <= _LIMIT
        if not same:
            raise _NotExplainedError(f"what {output.path} gives is not what is added beside the memories")
    else:
        scales = _scales(inner, output, stream, summed - stream, after)

    def path(call: Call | None) -> str:
        return "" if call is None else relative(call.path, layer.path)

    return AttentionLayout(
        module=path(attention),
        value=path(value),
        output=path(output),
        norm="" if layout.placement in ("post", "shared") else path(before),
        after=path(after),
        cross=layout.stack == "dec" and mark(value.input) != mark(given),
        fused=fused,
        value_axes=_axes(value, len(value.output) if attention.weights is None else attention.weights.shape[-1]),
        heads=len(attention.weights[0]) if attention.weights is not None else 0,
        stream_scale=scales[0],
        scale=scales[1],
    )


def _scales(
    inner: Sequence[Call], output: Call, stream: Tensor, added: Tensor, after: Call | None
) -> tuple[float, float]:
    """What the stream, and what attention adds to it, are multiplied with, so that they are what something behind reads."""
    behind = [one for call in inner if call.begin > output.end for one in call.inputs if one.shape == stream.shape]
    for one in behind:
        if error(one, stream + added) <= _LIMIT:
            return 1.0, 1.0
    for one in behind:
        scales, missed = fit(one, [stream, added], added)
        if missed <= _LIMIT and min(map(abs, scales)) >= LEAST:
            if after is not None:
                raise _NotExplainedError(f"the norm of what {output.path} gives is multiplied with {scales[1]:g}")
            return scales[0], scales[1]
    raise _NotExplainedError(f"the stream behind {output.path} is not the stream before plus what it gives")


def _is_norm(call: Call, inner: Sequence[Call]) -> bool:
    return any(call is one for one in inner) and norm_kind(call, TOLERANCE) is not None
