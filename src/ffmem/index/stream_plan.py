"""A loaded model, and the files it came from, as a stream of weights sees them: what `ffmem index --plan` computes with."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from ffmem.index.bandwidths import measure_bandwidths
from ffmem.index.stream_cost import Bandwidths, StreamCost, Text, Weights, stream_cost
from ffmem.models.controls import split_control
from ffmem.models.registry import find_parts
from ffmem.models.transformer import Transformer
from ffmem.options import IndexOptions, RunOptions
from ffmem.sizes import parse_size


@dataclass(frozen=True)
class Memory:
    """What a stream has to do with, and how fast it is."""

    budget: int
    """Most bytes that weights may take of the device, in each worker."""
    bandwidths: Bandwidths
    file_bytes: int
    """Of the model's files."""
    host_bytes: int | None
    """Free in the memory of the host; None where that is not known."""


def find_memory(
    model: str, revision: str | None, options: IndexOptions, run: RunOptions, host_bytes: int | None
) -> Memory | None:
    """Measure what a build with these options would read weights at; None if it holds the whole model.

    To be called before the model is loaded: files that somebody has mapped are read from memory.

    Raises:
        InputError: `RunOptions.model_memory` is no size, or there is no such model.
    """
    if run.model_memory is None:
        return None
    budget = parse_size(run.model_memory, "--model-memory")
    parts = find_parts(
        split_control(model)[1],
        revision,
        trust_remote_code=run.trust_remote_code,
        architecture=options.architecture,
    )
    files = sorted({file for name, file in parts.weights.links.items() if name.endswith(".safetensors")})
    return Memory(budget, measure_bandwidths(files, options.device), _file_bytes(files), host_bytes)


def plan_stream(
    model: Transformer, memory: Memory, options: IndexOptions, tokens_per_s: float, n_workers: int
) -> StreamCost:
    """What a shard takes of one of several workers, which share the disk and the memory of the host.

    Args:
        model: as it is loaded.
        memory: as `find_memory` found it.
        options: of the index.
        tokens_per_s: of one worker that has the whole model.
        n_workers: of the build.

    Raises:
        InputError: the budget is too small.
    """
    on_cpu = options.device == "cpu"
    text = Text(
        options.shard_tokens,
        tokens_per_s,
        model.facts.d_model,
        4 if options.dtype == "float32" else 2,
        n_streams=1 + int(model.module.config.is_encoder_decoder),
    )
    free = memory.host_bytes
    return stream_cost(
        weights_of(model, memory.file_bytes, memory.budget),
        memory.budget,
        text,
        memory.bandwidths,
        host_weights_bytes=0 if on_cpu or free is None else free,
        # half of what is free: the other half is for lists, text and the files' pages
        host_states_bytes=None if free is None else free // 2 // n_workers,
        n_sharing_disk=n_workers,
    )


def weights_of(model: Transformer, file_bytes: int, budget: int) -> Weights:
    """A model's weights as a stream has them; of one that is held whole, layers with cells are blocks, and all else stays.

    Args:
        model: with its weights.
        file_bytes: of the files that hold them.
        budget: most bytes that weights may take: where it is too little for what stands beside the blocks, such as the
            embedding, that comes and goes like a block. It is counted as one, though it computes next to nothing.
    """
    stream = model.stream
    if stream is not None:
        resident, beside, brought = stream.portions
        if resident + sum(beside) + max(brought, default=0) > budget:
            return Weights((*beside, *brought), resident, stored_share=file_bytes / stream.n_bytes)
        return Weights(brought, resident + sum(beside), stored_share=file_bytes / stream.n_bytes)
    layers = [model.layer(place).module for place in range(model.facts.n_layers)]
    seen: set[int] = set()
    blocks = []
    for before, layer in zip([None, *layers[:-1]], layers, strict=True):
        blocks.append(0 if layer is before else _n_bytes(layer.parameters()))
        seen |= {id(one) for one in layer.parameters()}
    resident = _n_bytes(one for one in model.module.parameters() if id(one) not in seen)
    return Weights(tuple(blocks), resident, stored_share=file_bytes / _n_bytes(model.module.parameters()))


def _n_bytes(parameters: Iterable[nn.Parameter]) -> int:
    return sum(one.numel() * one.element_size() for one in parameters)


def _file_bytes(files: Sequence[Path]) -> int:
    return sum(file.stat().st_size for file in files)
