"""The one way from text to model input: tokens and their spans, what stands around them, how many fit, rows of a batch.

Whether a model is given the attention mask, `Transformer.forward` decides. A proof reads its texts by the tokenizer's own
call instead (`plain_call`), so that it does not share a fault with this.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int, Integer
from torch import Tensor

from ffmem.errors import InputError
from ffmem.models.transformer import Transformer
from ffmem.options import Bos

UNLIMITED = 2**31 - 1
"""The longest input of a model whose positions have no limit."""


@dataclass(frozen=True)
class TextTokens:
    """A text's own tokens."""

    ids: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    """Of each, where it begins and ends among the text's characters."""


@dataclass(frozen=True)
class ModelInput:
    """A text as a model reads it."""

    text: str
    before: tuple[int, ...]
    """Special tokens before the text's own."""
    own: TextTokens
    after: tuple[int, ...]
    target_ids: tuple[int, ...] = ()
    """What a decoder is given, with its start token; empty where it reads the text itself, or there is none."""

    @property
    def token_ids(self) -> tuple[int, ...]:
        """All of them, in order."""
        return (*self.before, *self.own.ids, *self.after)

    @property
    def to_continue(self) -> tuple[int, ...]:
        """Without what ends a text: what a model that predicts the next token is asked about."""
        return (*self.before, *self.own.ids)


def tokenize(model: Transformer, text: str) -> TextTokens:
    """A text's own tokens, without special ones."""
    tokens = model.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    return TextTokens(tuple(tokens.input_ids), tuple((start, end) for start, end in tokens.offset_mapping))


def read_text(
    model: Transformer,
    text: str,
    bos: Bos = "auto",
    *,
    max_length: int | None = None,
    n_new: int = 0,
    target: str | None = None,
) -> ModelInput:
    """A text as one input.

    Args:
        model: whose tokenizer and special tokens are used.
        text: what is read.
        bos: special tokens.
        max_length: most tokens of one input, special ones included, if fewer than the model's context.
        n_new: tokens that are to fit behind it.
        target: for an encoder-decoder, what its decoder is given after its start token.

    Raises:
        InputError: the text is empty or over the model's context, or there is a target and no decoder.
    """
    if target is not None and not model.module.config.is_encoder_decoder:
        raise InputError(
            f"a target text is given, and {model.facts.name} has no decoder that could read it",
            "Expected a target only for an encoder-decoder",
            "Leave it out, or append it to the text",
        )
    before, after = model.special_tokens(bos)
    own = tokenize(model, text)
    check_length(text, len(own.ids), longest_input(model, max_length) - len(before) - len(after) - n_new)
    if target is None:
        return ModelInput(text, before, own, after)
    start, target_tokens = model.module.config.decoder_start_token_id, tokenize(model, target).ids
    check_length(target, len(target_tokens), longest_input(model, max_length) - 1)
    return ModelInput(text, before, own, after, (start, *target_tokens))


def longest_input(model: Transformer, max_length: int | None = None) -> int:
    """Most tokens of one input, special tokens included.

    Raises:
        InputError: ``max_length`` is more than the model's context.
    """
    context = model.facts.max_length
    if max_length is not None and context is not None and max_length > context:
        raise InputError(
            f"--max-length is {max_length}, but the context of {model.facts.name} is {context} tokens",
            f"Expected at most {context}",
            "Leave --max-length out to use the whole context",
        )
    return max_length or context or UNLIMITED


def check_length(text: str, n_tokens: int, limit: int) -> None:
    """Refuse a text that is empty, or longer than a model's context."""
    if n_tokens == 0:
        raise InputError(
            f"the text {text!r} has no token", "Expected some words", 'Write them in quotes: "The capital of"'
        )
    if n_tokens > limit:
        raise InputError(
            f"the text has {n_tokens} tokens",
            f"Expected at most {limit}, the context of the model",
            "Give a shorter text",
        )


def as_row(model: Transformer, token_ids: Sequence[int]) -> Int[Tensor, "one positions"]:
    """One input as a batch of its own, where the model is."""
    return torch.tensor([token_ids], device=model.device)


def padded_rows(
    sentences: Sequence[Sequence[int] | Integer[np.ndarray, "_own_tokens"]],
    before: Sequence[int],
    after: Sequence[int],
    pad_id: int,
) -> tuple[Int[np.ndarray, "batch positions"], Int[np.ndarray, "batch positions"]]:
    """Sentences as the rows of one batch, padded on the right.

    Args:
        sentences: own tokens of each.
        before: special tokens before each.
        after: special tokens behind each.
        pad_id: what fills the shorter ones up.

    Returns:
        ids, and the attention mask: 0 where there is padding.
    """
    ends = [len(before) + len(sentence) for sentence in sentences]
    ids = np.full((len(sentences), max(ends, default=0) + len(after)), pad_id, dtype=np.int64)
    mask = np.zeros_like(ids)
    ids[:, : len(before)] = before
    for row, (sentence, end) in enumerate(zip(sentences, ends, strict=True)):
        ids[row, len(before) : end] = sentence
        ids[row, end : end + len(after)] = after
        mask[row, : end + len(after)] = 1
    return ids, mask
