"""Attention by structure: where weights, values and W_O are, each held to one pass in which weights are computed as such."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from ffmem.errors import ModelError
from ffmem.models.base import AttentionLayout, Layout
from ffmem.models.structure.matrices import is_matrix, relative
from ffmem.models.structure.norms import norm_kind
from ffmem.models.structure.numbers import TOLERANCE, error
from ffmem.models.structure.recording import Call, Recording, mark, record

_LIMIT = 5 * TOLERANCE
"""Largest error of sums over sources."""


class _NotExplainedError(Exception):
    """A layer's attention is not understood."""


def find_attention(
    name: str,
    module: Any,
    layers: Sequence[tuple[Any, Layout]],
    arguments: dict[str, Any],
    step_by_step: Callable[[], AbstractContextManager[None]],
) -> list[tuple[AttentionLayout, ...]]:
    """The attention sub-layers of each layer.

    Args:
        name: of the model, for messages.
        module: the model.
        layers: each layer, with how its memories are read.
        arguments: what the model is called with for a text.
        step_by_step: inside, it computes attention weights as such.

    Raises:
        ModelError: attention of a layer is not explained, or none gives weights; the message says why.
    """
    faster = record(module, arguments)
    with step_by_step():
        slower = record(module, arguments)
    try:
        _check_same(faster, slower, layers)
        found = [_of_layer(slower, layer, layout) for layer, layout in layers]
        if not any(found):
            raise _NotExplainedError("no module of it gives weights whose rows add up to 1")
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


def _of_layer(recording: Recording, layer: Any, layout: Layout) -> tuple[AttentionLayout, ...]:
    if layout.runs != (0, 1):
        raise _NotExplainedError("its layers share their weights")
    if layout.residual_scale != 1.0:
        raise _NotExplainedError(f"the stream is multiplied with {layout.residual_scale:g} on its way")
    call = recording.of(layer)[0]
    inner = [one for one in recording.within(call) if one.inputs and one.outputs]
    weighing = [one for one in inner if one.weights is not None]
    innermost = [one for one in weighing if not any(other.path.startswith(f"{one.path}.") for other in weighing)]
    return tuple(_explain(recording, call, inner, one, layout) for one in innermost)


def _explain(
    recording: Recording, layer: Call, inner: Sequence[Call], attention: Call, layout: Layout
) -> AttentionLayout:
    assert attention.weights is not None
    weights = attention.weights[0].float()
    if error(weights.sum(-1), torch.ones(weights.shape[:2])) > 1e-4:
        raise _NotExplainedError(f"weights of {attention.path} do not add up to 1")
    matrices = [one for one in inner if is_matrix(one, _LIMIT)]
    for output in matrices:
        if output.input.shape[-1] % len(weights) or len(output.input) != weights.shape[1]:
            continue
        for value in matrices:
            if value.axes != 3 or value.end > output.begin or len(value.output) != weights.shape[2]:
                continue
            for fused in _ways(value.output.shape[-1], output.input.shape[-1] // len(weights), len(weights)):
                if error(_mixed(weights, value.output, output.input, fused), output.input) <= _LIMIT:
                    return _placed(recording, layer, inner, attention, (value, output, fused), layout)
    raise _NotExplainedError(f"what {attention.path} gives is no sum of its weights times the outputs of a matrix")


def _ways(n_outputs: int, d_head: int, n_heads: int) -> Iterator[tuple[int, int] | None]:
    """How values may stand among the outputs of a matrix: alone, or at the end of each of some groups."""
    if n_outputs % d_head:
        return
    slots = n_outputs // d_head
    if n_heads % slots == 0:
        yield None
    for groups in (one for one in range(1, slots + 1) if slots % one == 0):
        for n_values in range(1, slots // groups):
            if n_heads % (groups * n_values) == 0:
                yield groups, n_values


def _mixed(weights: Tensor, outputs: Tensor, like: Tensor, fused: tuple[int, int] | None) -> Tensor:
    n_heads, n_queries = weights.shape[:2]
    d_head = like.shape[-1] // n_heads
    if fused is None:
        values = outputs.view(len(outputs), -1, d_head)
    else:
        groups, n_values = fused
        values = outputs.view(len(outputs), groups, -1, d_head)[..., -n_values:, :].flatten(1, 2)
    each = values.repeat_interleave(n_heads // values.shape[1], dim=1)
    return torch.einsum("hqk,khd->qhd", weights, each).reshape(n_queries, -1)


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
    if layout.placement == "post":
        after = next((one for one in inner if error(one.input, summed) <= _LIMIT and _is_norm(one, inner)), None)
        if after is None:
            raise _NotExplainedError(f"no norm stands behind the sum of the stream and {output.path}")
    elif layout.parallel:
        beside = next((one for one in inner if one.path == f"{layer.path}.{layout.beside}"), None)
        same = beside is not None and layout.beside_scale == 1.0 and error(beside.output, output.output) <= _LIMIT
        if not same:
            raise _NotExplainedError(f"what {output.path} gives is not what is added beside the memories")
    elif not any(error(one, summed) <= _LIMIT for call in inner for one in call.inputs if one.shape == summed.shape):
        raise _NotExplainedError(f"the stream behind {output.path} is not the stream before plus what it gives")

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
        heads=len(attention.weights[0]) if attention.weights is not None else 0,
    )


def _is_norm(call: Call, inner: Sequence[Call]) -> bool:
    return any(call is one for one in inner) and norm_kind(call, TOLERANCE) is not None
