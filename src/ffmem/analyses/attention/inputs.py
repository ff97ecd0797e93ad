"""A text as attention sees it: with the special tokens around it, and, for an encoder-decoder, what the decoder is given."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from ffmem.analyses.activation import check_length
from ffmem.errors import InputError
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
    two_stacks = bool(model.module.config.is_encoder_decoder)
    if target is not None and not two_stacks:
        raise InputError(
            f"a target text is given, but {model.facts.name} has no decoder of its own",
            "Expected a target only for an encoder-decoder",
            "Leave it out, or append it to the text",
        )
    before, after = model.special_tokens(bos)
    limit = model.facts.max_length or 2**31 - 1
    own = _ids(model, text, limit - len(before) - len(after))

    def tokens(ids: Sequence[int], special: bool) -> list[AttentionToken]:
        return [AttentionToken(display(model.vocabulary[one]), one, special) for one in ids]

    source = (*tokens(before, True), *tokens(own, False), *tokens(after, True))
    if not two_stacks:
        return AttentionInput(text, None, source, ())
    given = text if target is None else target
    start = model.module.config.decoder_start_token_id
    return AttentionInput(text, given, source, (*tokens([start], True), *tokens(_ids(model, given, limit - 1), False)))


def _ids(model: Transformer, text: str, limit: int) -> list[int]:
    ids: list[int] = model.tokenizer(text, add_special_tokens=False).input_ids
    check_length(text, len(ids), limit)
    return ids


def as_batch(
    model: Transformer, read: AttentionInput
) -> tuple[Int[Tensor, "one positions"], Int[Tensor, "one targets"] | None]:
    """The ids of a text and of its target, where the model is."""
    device = next(model.module.parameters()).device
    ids = torch.tensor([[one.token_id for one in read.tokens]], device=device)
    if not read.target_tokens:
        return ids, None
    return ids, torch.tensor([[one.token_id for one in read.target_tokens]], device=device)


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
    if attention_mask is None and not model.facts.causal:
        attention_mask = torch.ones_like(ids)
    with torch.inference_mode(), watching:
        if target_ids is None:
            model.forward(ids, attention_mask)
        else:
            model.module(input_ids=ids, attention_mask=attention_mask, decoder_input_ids=target_ids, use_cache=False)
