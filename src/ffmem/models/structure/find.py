"""The search: from a loaded model and one pass to a family of its own, or why there is none."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from ffmem.models.base import CallArguments, Family, Layout
from ffmem.models.structure.activations import constants, named_activations
from ffmem.models.structure.dense import Hypotheses, Tried
from ffmem.models.structure.head import Head, find_head
from ffmem.models.structure.labels import Labels, find_labels
from ffmem.models.structure.layer import Memories, NotExplainedError, explain_layer
from ffmem.models.structure.layouts import FoundLayer, stack_layout
from ffmem.models.structure.matrices import embedding_of
from ffmem.models.structure.norms import NormKind, norm_kind
from ffmem.models.structure.numbers import TOLERANCE, error
from ffmem.models.structure.recording import Call, Recording, record
from ffmem.models.structure.stacks import LayerRun, Stack, find_stacks

NAME = "structure"
"""What the family of a model is called whose places were found in its modules."""


@dataclass(frozen=True)
class Structure:
    """What was found in a model."""

    family: Family
    layouts: tuple[Layout, ...]
    stacks: tuple[tuple[FoundLayer, ...], ...]
    head: Head
    errors: dict[str, float] = field(default_factory=dict)
    """By identity, the largest error in the pass that was searched."""
    ran: tuple[str, ...] = ()
    """The modules that ran in it, and have no parts."""
    labels: Labels = field(default_factory=Labels)


class NotFoundError(Exception):
    """No structure is proven; the message says which identity fails, and by how much."""


def find_structure(module: Any, token_ids: Sequence[int], limit: float = TOLERANCE) -> Structure:
    """The structure of a model.

    Args:
        module: in eval mode, in float32.
        token_ids: a text of some tokens, several of them different.
        limit: largest error of a hypothesis.

    Raises:
        NotFoundError: something is not explained.
    """
    config, missed = module.config, Tried()
    arguments, inputs = arguments_for(module, token_ids)
    recording = record(module, arguments)
    stacks = find_stacks(module, recording, inputs)
    if not stacks:
        raise NotFoundError("no list of layers hands a stream on from each to the next")
    tried = Hypotheses(named_activations(config), constants(config), limit)
    found = [(stack, _layers_of(recording, stack, tried, missed)) for stack in stacks]
    found = [(stack, layers) for stack, layers in found if any(one.memories for one in layers)]
    _check_stacks(found, config, missed)
    last = found[-1][1][-1].run
    n = inputs[-1].shape[1]
    head = find_head(module, recording, last.call, last.after, n, tried, missed)
    if head.headless and head.error:
        raise NotFoundError(head.told)
    labels = Labels()
    if head.headless and len(found) == 1:
        labels = find_labels(module, recording, last.call, last.after, tried)
    layouts = _layouts(module, recording, found, head, labels, limit)
    memories = [one.memories for _, layers in found for one in layers if one.memories is not None]
    family = Family(
        name=NAME,
        architectures={},
        layout=_Always(layouts),
        activation=_activation_name(memories),
        causal=len(found) == 1 and _is_causal(module, token_ids, last, limit),
        max_length=_Longest(_longest(module, recording, found, len(token_ids))),
        by_structure=True,
    )
    errors = {
        "coefficients": max(one.errors[0] for one in memories),
        "stream": max(one.errors[1] for one in memories),
        **({} if head.headless else {"logits": head.error}),
    }
    ran = tuple(call.path for call in recording.calls if not any(True for _ in call.module.children()))
    return Structure(family, layouts, tuple(tuple(layers) for _, layers in found), head, errors, ran, labels)


def _layouts(
    module: Any,
    recording: Recording,
    found: Sequence[tuple[Stack, list[FoundLayer]]],
    head: Head,
    labels: Labels,
    limit: float,
) -> tuple[Layout, ...]:
    """Of each stack; the head is behind the last."""
    norm = _one_kind(found, [one for one in (head.final_norm, labels.norm) if one is not None], limit)
    none = Head(headless=head.headless)
    return tuple(
        replace(
            stack_layout(module, recording, stack, layers, head if number == len(found) - 1 else none, norm, name),
            labels=labels.head,
        )
        for number, ((stack, layers), name) in enumerate(zip(found, _names(len(found)), strict=True))
    )


@dataclass(frozen=True)
class _Always:
    """The layouts of one model, whatever its config."""

    layouts: tuple[Layout, ...]

    def __call__(self, config: Any) -> tuple[Layout, ...]:
        return self.layouts


@dataclass(frozen=True)
class _Longest:
    """The longest input of one model."""

    length: int | None

    def __call__(self, config: Any) -> int | None:
        return self.length


def arguments_for(module: Any, token_ids: Sequence[int]) -> tuple[CallArguments, list[Tensor]]:
    """What a model is called with for a text, and the ids among it: of an encoder-decoder those of the decoder last."""
    device = next(module.parameters()).device
    ids = torch.tensor([list(token_ids)], device=device)
    arguments: CallArguments = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if not getattr(module.config, "is_encoder_decoder", False):
        return arguments, [ids]
    start = module.config.decoder_start_token_id
    decoder_ids = torch.tensor([[start, *reversed(token_ids)]], device=device)
    return arguments | {"decoder_input_ids": decoder_ids}, [ids, decoder_ids]


def _names(n: int) -> tuple[str, ...]:
    return ("enc", "dec") if n == 2 else ("",)


def _layers_of(recording: Recording, stack: Stack, tried: Hypotheses, missed: Tried) -> list[FoundLayer]:
    layers = []
    for run in stack.layers:
        try:
            layers.append(FoundLayer(run, explain_layer(recording, run, tried, missed)))
        except NotExplainedError as problem:
            raise NotFoundError(str(problem)) from problem
    return layers


def _check_stacks(found: Sequence[tuple[Stack, list[FoundLayer]]], config: Any, missed: Tried) -> None:
    if not found:
        raise NotFoundError(
            f"no layer has a matrix whose input is the activation of another's output: {missed.nearest}"
        )
    n_expected = 2 if getattr(config, "is_encoder_decoder", False) else 1
    if len(found) != n_expected:
        paths = ", ".join(stack.path for stack, _ in found)
        raise NotFoundError(f"there are {len(found)} lists of layers with memories ({paths}), not {n_expected}")
    memories = [one.memories for _, layers in found for one in layers if one.memories is not None]
    kinds: dict[str, set[Any]] = {
        "gated and ungated cells": {_is_gated(one) for one in memories},
        "norms before, behind or around memories": {one.update.placement for one in memories},
        "layers beside attention and behind it": {one.update.parallel for one in memories},
        "widths of the stream": {one.y.shape[1] for one in memories},
    }
    for what, values in kinds.items():
        if len(values) > 1:
            raise NotFoundError(f"it has {what} in one model: {', '.join(map(str, sorted(values, key=str)))}")


def _is_gated(one: Memories) -> bool:
    return one.experts.stacked.gated if one.experts is not None else one.dense is not None and one.dense.up is not None


def _one_kind(found: Sequence[tuple[Stack, list[FoundLayer]]], behind: Sequence[Call], limit: float) -> NormKind:
    """The kind of all norms that memories are read through."""
    kinds = {kind for _, layers in found for one in layers if one.memories is not None for kind in one.memories.norms}
    kinds |= {kind for call in behind if (kind := norm_kind(call, limit)) is not None}
    centres, offsets = {kind.centres for kind in kinds}, {kind.offset for kind in kinds} - {None}
    if len(centres) > 1 or len(offsets) > 1:
        raise NotFoundError(f"its norms are of {len(kinds)} kinds, and one is expected")
    return NormKind(next(iter(centres), True), next(iter(offsets), 0.0))


def _activation_name(memories: Sequence[Memories]) -> str:
    one = memories[0]
    if one.experts is not None:
        return one.experts.activation
    assert one.dense is not None
    return one.dense.activated.name


def _is_causal(module: Any, token_ids: Sequence[int], last: LayerRun, limit: float) -> bool:
    """Whether the stream of the first half of a text stays as it is with other tokens behind."""
    half = len(token_ids) // 2
    arguments, _ = arguments_for(module, [*token_ids[:half], *reversed(token_ids[: len(token_ids) - half])])
    found: list[Tensor] = []

    def keep(_: Any, __: Any, output: Any) -> None:
        states = output if isinstance(output, Tensor) else output[0]
        found.append(states.detach().cpu().reshape(-1, states.shape[-1])[:half].clone())

    handle = last.call.module.register_forward_hook(keep)
    try:
        with torch.no_grad():
            module(**arguments)
    finally:
        handle.remove()
    return error(found[-1], last.after[:half]) <= max(limit, 1e-5)


def _longest(module: Any, recording: Recording, found: Sequence[tuple[Stack, list[FoundLayer]]], n: int) -> int | None:
    """The longest input in tokens: by tables of positions where there are any, else by the config."""
    limits = []
    embedding = embedding_of(module)
    for call in recording.calls:
        weight = getattr(call.module, "weight", None)
        if not isinstance(call.module, nn.Embedding) or call.module is embedding or not call.outputs or weight is None:
            continue
        first = _row_of(weight, call.output)
        if first is not None:
            limits.append(len(weight) - first)
    config = module.config.get_text_config() if hasattr(module.config, "get_text_config") else module.config
    by_config = getattr(config, "max_position_embeddings", None)
    if not limits and isinstance(by_config, int):
        limits.append(by_config)
    if not limits:
        return None
    return min(limits) - (1 if len(found) == 2 else 0)


def _row_of(weight: Tensor, output: Tensor) -> int | None:
    """Where the rows of a table begin that a pass has taken one after the other."""
    if output.shape[-1] != weight.shape[1] or len(output) < 3 or len(output) > len(weight):
        return None
    rows = weight.detach().float().cpu()
    for first in (rows == output[0].float()).all(1).nonzero().flatten().tolist():
        if torch.equal(rows[first : first + len(output)], output.float()):
            return int(first)
    return None
