"""A text as attention sees it: with the special tokens around it, and, for an encoder-decoder, what the decoder is given."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from ffmem.models import inputs
from ffmem.models.attention import AttentionLayer, OnAttention
from ffmem.models.transformer import Transformer
from ffmem.models.vocabulary import display
from ffmem.options import Bos


@dataclass(frozen=True)
class AttentionToken:
    """One token of a text, or one that stands around it."""

    text: str
    token_id: int
    special: bool
    """Not of the text: put before or after it by the tokenizer, or the decoder's start token."""


@dataclass(frozen=True)
class AttentionInput:
    """The tokens of a text."""

    text: str
    target: str | None
    """What an encoder-decoder's decoder is given; None for other models."""
    tokens: tuple[AttentionToken, ...]
    target_tokens: tuple[AttentionToken, ...]
    """Of the decoder, with its start token; empty for other models."""

    def of(self, layer: AttentionLayer) -> tuple[tuple[AttentionToken, ...], tuple[AttentionToken, ...]]:
        """The queries and the keys of a sub-layer."""
        queries = self.target_tokens if layer.stack == "dec" else self.tokens
        return queries, self.tokens if layer.cross else queries


def read_text(model: Transformer, text: str, target: str | None = None, bos: Bos = "auto") -> AttentionInput:
    """The tokens of a text.

    Args:
        model: whose tokenizer and special tokens are used.
        text: read as one input.
        target: for an encoder-decoder, what the decoder is given after its start token; by default the text itself.
        bos: special tokens.

    Raises:
        InputError: the text is empty or over the model's context, or there is a target and no decoder.
    """
    given = text if target is None and model.module.config.is_encoder_decoder else target
    read = inputs.read_text(model, text, bos, target=given)

    def tokens(ids: Sequence[int], special: bool) -> list[AttentionToken]:
        return [AttentionToken(display(model.vocabulary[number]), number, special) for number in ids]

    source = (*tokens(read.before, True), *tokens(read.own.ids, False), *tokens(read.after, True))
    start, target_ids = read.target_ids[:1], read.target_ids[1:]
    return AttentionInput(text, given, source, (*tokens(start, True), *tokens(target_ids, False)))


def as_batch(
    model: Transformer, read: AttentionInput
) -> tuple[Int[Tensor, "one positions"], Int[Tensor, "one targets"] | None]:
    """The ids of a text and of its target, where the model is."""
    ids = inputs.as_row(model, [token.token_id for token in read.tokens])
    if not read.target_tokens:
        return ids, None
    return ids, inputs.as_row(model, [token.token_id for token in read.target_tokens])


def run(
    model: Transformer,
    ids: Int[Tensor, "batch positions"],
    target_ids: Int[Tensor, "batch targets"] | None,
    on_states: OnAttention | None,
    layers: Sequence[AttentionLayer] | None = None,
    attention_mask: Int[Tensor, "batch positions"] | None = None,
) -> None:
    """One forward pass that reports some attention sub-layers, or all.

    Args:
        model: the model.
        ids: inputs, special tokens included.
        target_ids: what an encoder-decoder's decoder is given, with its start token.
        on_states: called with each sub-layer and what it saw; None: the pass alone.
        layers: which to report.
        attention_mask: 0 where there is padding.
    """
    watching = nullcontext() if on_states is None else model.watch_attention(on_states, layers)
    with torch.inference_mode(), watching:
        model.forward(ids, attention_mask, target_ids)
