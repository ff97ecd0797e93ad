"""The states of both stacks and the cross-attention of pairs that a model is taught, kept for a probe."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from ffmem.analyses.attention.norms import gram, summed_norms
from ffmem.analyses.attention.split import split_values
from ffmem.analyses.translation.taught import TaughtPair
from ffmem.errors import ModelError
from ffmem.models.attention import AttentionLayer, AttentionStates
from ffmem.models.feed_forward import at
from ffmem.models.inputs import padded_rows
from ffmem.models.tracing import watch_stream
from ffmem.models.transformer import Transformer

_AT_ONCE = 32
"""Pairs of a batch."""
_AS_GOOD = 1e-4
"""Largest difference of the encoder's output and its last state through the norm that was found, as a share of the largest."""


@dataclass(frozen=True)
class SeenPair:
    """What the model held of one pair; rows are those that predict the translation's own tokens."""

    targets: Int64[Tensor, "rows"]
    """What each row is to predict."""
    source: Float[Tensor, "places tokens d_model"]
    """The encoder's embeddings, then the output of each of its layers; each through the encoder's last norm, if it has one."""
    target: Float[Tensor, "places rows d_model"]
    """The decoder's embeddings, then the output of each of its layers, before the norm of the head."""
    weights: Float[Tensor, "maps rows tokens"]
    """alpha of every cross-attention head, layer by layer."""
    norms: Float[Tensor, "layers rows tokens"]
    """‖sum of alpha f(x) over heads‖ of every cross-attention layer."""
    own: slice
    """The source's own tokens, among those with what stands around them."""


def see(
    model: Transformer, pairs: Sequence[TaughtPair], on_pairs: Callable[[int], None] = lambda _: None
) -> list[SeenPair]:
    """The states of some pairs, in float32.

    Args:
        model: an encoder-decoder.
        pairs: what it is taught.
        on_pairs: called with how many are done.

    Raises:
        ModelError: what the decoder reads is not the encoder's last state, or that through a norm of the encoder.

    Cost: a pass for each pair, and for each about (tokens x places x d_model + rows x tokens x heads) numbers of memory.
    """
    if not pairs:
        return []
    norm = encoder_norm(model, pairs[0])
    found: dict[int, SeenPair] = {}
    for numbers in _batches(model, pairs):
        for number, one in zip(numbers, _see(model, norm, [pairs[number] for number in numbers]), strict=True):
            found[number] = one
        on_pairs(len(found))
    return [found[number] for number in range(len(pairs))]


def _batches(model: Transformer, pairs: Sequence[TaughtPair]) -> Iterator[list[int]]:
    """Pairs of like length together; alone, or of equal length, where the model was proved to need that."""
    lengths = [(len(one.source_ids), len(one.given_ids)) for one in pairs]
    batch: list[int] = []
    for number in sorted(range(len(pairs)), key=lambda number: (lengths[number], number)):
        same = model.batching.rows == "padded" or (bool(batch) and lengths[batch[0]] == lengths[number])
        if batch and (len(batch) == _AT_ONCE or model.batching.rows == "alone" or not same):
            yield batch
            batch = []
        batch.append(number)
    yield batch


def _see(model: Transformer, norm: Callable[[Tensor], Tensor], pairs: Sequence[TaughtPair]) -> list[SeenPair]:
    streams: list[list[Tensor]] = [[], []]
    weights: list[Tensor] = []
    norms: list[Tensor] = []

    def keep(layer: AttentionLayer, states: AttentionStates) -> None:
        weights.append(states.weights.float())
        norms.append(torch.stack([_norms(layer, states, row) for row in range(len(pairs))]))

    cross = [layer for layer in model.attention_layers if layer.cross]
    with torch.no_grad():
        with (
            watch_stream(model, len(pairs), lambda stack, states: streams[stack].append(states.float())),
            model.watch_attention(keep, cross),
        ):
            model.forward(*_inputs(model, pairs))
        source = torch.stack([norm(one) for one in streams[0]])
    return [
        _one(pair, row, source, torch.stack(streams[1]), torch.cat(weights, 1), torch.stack(norms, 1))
        for row, pair in enumerate(pairs)
    ]


def _norms(layer: AttentionLayer, states: AttentionStates, row: int) -> Tensor:
    products = gram(split_values(layer, states.values[row]).vectors.double())
    return summed_norms(states.weights[row].double(), products).float()


def _one(pair: TaughtPair, row: int, source: Tensor, target: Tensor, weights: Tensor, norms: Tensor) -> SeenPair:
    """Without padding."""
    rows = slice(pair.first_row, pair.first_row + len(pair.target_ids))
    tokens = slice(0, len(pair.source_ids))
    return SeenPair(
        torch.tensor(pair.target_ids),
        source[:, row, tokens].cpu().clone(),
        target[:, row, rows].cpu().clone(),
        weights[row, :, rows, tokens].cpu().clone(),
        norms[row, :, rows, tokens].cpu().clone(),
        slice(pair.n_before, pair.n_before + pair.n_source),
    )


def _inputs(model: Transformer, pairs: Sequence[TaughtPair]) -> tuple[Tensor, Tensor, Tensor]:
    ids, mask = padded_rows([one.source_ids for one in pairs], (), (), model.pad_id)
    given, _ = padded_rows([one.given_ids for one in pairs], (), (), model.pad_id)
    return _tensor(model, ids), _tensor(model, mask), _tensor(model, given)


def _tensor(model: Transformer, ids: np.ndarray) -> Tensor:
    return torch.from_numpy(ids).to(model.device)


def encoder_norm(model: Transformer, pair: TaughtPair) -> Callable[[Tensor], Tensor]:
    """What the encoder does to its last state before the decoder reads it: its own last norm, or nothing; found in a pass.

    Raises:
        ModelError: it is not what the encoder's modules that run behind the last layer do, one after another.
    """
    encoder: nn.Module = at(model.module, model.layout(0).backbone)
    last = model.layer(max(n for n in range(model.facts.n_layers) if model.stack_of(n) == 0)).module
    behind: list[nn.Module] = []
    given: list[Tensor] = []
    children = [one for one in encoder.children() if not isinstance(one, nn.ModuleList)]

    def forget(_: Any, __: Any, output: Any) -> None:
        behind.clear()
        given[:] = [output if isinstance(output, Tensor) else output[0]]

    handles = [one.register_forward_hook(lambda module, _, __: behind.append(module)) for one in children]
    handles.append(last.register_forward_hook(forget))
    handles.append(encoder.register_forward_hook(lambda _, __, output: given.append(output[0])))
    try:
        with torch.no_grad():
            model.forward(*_inputs(model, [pair]))
    finally:
        for handle in handles:
            handle.remove()
    chain = nn.Sequential(*behind)
    with torch.no_grad():
        off = (chain(given[0]) - given[-1]).abs().max() / given[-1].abs().max()
    if not off <= _AS_GOOD:
        raise ModelError(
            f"what the decoder of {model.facts.name} reads is not the encoder's last state, through "
            f"{[type(one).__name__ for one in behind] or 'no norm'}: it differs by {float(off):.1g}",
            "Expected at most a norm between the encoder's last layer and the decoder",
            "Use another model",
        )
    return chain
