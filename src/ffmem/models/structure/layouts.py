"""What was found in a stack -> the layouts that all of the house reads."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ffmem.models.base import Layout, SharedCells
from ffmem.models.structure.head import Head
from ffmem.models.structure.layer import Memories
from ffmem.models.structure.matrices import embedding_of, is_matrix, relative
from ffmem.models.structure.norms import NormKind
from ffmem.models.structure.recording import Call, Recording
from ffmem.models.structure.stacks import LayerRun, Stack


@dataclass(frozen=True)
class FoundLayer:
    """One layer of a stack, and its memories if it has any."""

    run: LayerRun
    memories: Memories | None


def stack_layout(
    module: Any,
    recording: Recording,
    stack: Stack,
    layers: Sequence[FoundLayer],
    head: Head,
    norm: NormKind,
    name: str,
) -> Layout:
    """The layout of a stack, with that of each of its layers.

    Args:
        module: the model.
        recording: of the pass.
        stack: where its layers are.
        layers: what was found in them.
        head: what stands behind the last one; of an encoder, that there is none.
        norm: the kind of all its norms.
        name: "enc" or "dec" in an encoder-decoder.
    """
    d_model = layers[0].run.after.shape[1]
    embedding = embedding_of(module)
    weight = getattr(embedding, "weight", None)
    widening = "" if weight is None else _widening(recording, layers[0].run, weight.shape[1])
    base = Layout(
        backbone=stack.backbone,
        layers=stack.inner_path,
        value="",
        final_norm="" if head.final_norm is None else relative(head.final_norm.path, stack.backbone),
        project_out="" if head.project_out is None else relative(head.project_out.path, stack.backbone),
        norm="layernorm" if norm.centres else "rmsnorm",
        norm_offset=norm.offset or 0.0,
        softcap=head.softcap,
        head_transform=head.transform,
        stack=name,
        output_bias=head.output_bias,
        output_scale=head.output_scale,
        final_state="" if head.headless or stack.backbone else _final_state(head, layers[-1].run.call),
        headless=head.headless,
        has_vocabulary=weight is not None and (weight.shape[1] == d_model or bool(widening)),
        embedding_map=widening if head.project_out is None else "",
        unembedding=head.unembedding,
    )
    own: list[Layout | None] = []
    passed_over = ""
    for one in layers:
        if one.memories is None:
            passed_over = passed_over or relative(one.run.call.path, stack.backbone)
            own.append(None)
            continue
        own.append(replace(_layer_layout(base, one.run, one.memories), before=passed_over))
        passed_over = ""
    first = next(one for one in own if one is not None)
    return replace(base, by_layer=tuple(own), placement=first.placement, parallel=first.parallel)


def _widening(recording: Recording, first: LayerRun, n: int) -> str:
    """The matrix that takes tokens of so many numbers into the stream; "" if none is there or needed."""
    d_model = first.before.shape[1]
    if n == d_model:
        return ""
    return next(
        (
            call.path
            for call in recording.calls
            if call.end < first.call.begin
            and call.inputs
            and call.outputs
            and (call.input.shape[1], call.output.shape[1]) == (n, d_model)
            and is_matrix(call)
        ),
        "",
    )


def _final_state(head: Head, last: Call) -> str:
    return last.path if head.final_norm is None else head.final_norm.path


def _layer_layout(base: Layout, run: LayerRun, memories: Memories) -> Layout:
    def at(call: Call | None) -> str:
        return "" if call is None else relative(call.path, run.call.path)

    update = memories.update
    layout = replace(
        base,
        ff_norm=at(update.ff_norm),
        post_ff_norm=at(update.post_norm),
        placement=update.placement,
        parallel=update.parallel,
        beside=at(update.beside),
        beside_scale=update.beside_scale,
        update_scale=update.update_scale,
        residual_scale=update.residual_scale,
        runs=(run.run, run.runs),
    )
    if memories.dense is not None:
        dense = memories.dense
        gated = dense.up is not None
        return replace(
            layout,
            key="" if gated else at(dense.key),
            gate_key=at(dense.key) if gated else "",
            up_key=at(dense.up),
            halves=dense.halves,
            value=at(dense.value),
            activation=None if dense.activated.plain else dense.activated.function,
        )
    assert memories.experts is not None
    return replace(
        layout,
        experts=at(memories.experts.call),
        stacked=replace(memories.experts.stacked, scale=memories.expert_scale),
        activation=None,
        shared=tuple(
            SharedCells(
                at(one.dense.key), at(one.dense.up), at(one.dense.value), one.dense.halves, at(one.gate), one.scale
            )
            for one in memories.shared
        ),
        sums=tuple(relative(path, run.call.path) for path in memories.sums),
    )
