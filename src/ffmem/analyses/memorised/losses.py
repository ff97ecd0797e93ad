"""How well a model predicts each token of many texts: padded batches, windows where a text is longer than the context."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int, Int64
from torch import Tensor

from ffmem.analyses.decomposition import check_causal
from ffmem.analyses.prefixes import BATCH_TOKENS, Pass, passes
from ffmem.errors import InputError
from ffmem.models.inputs import longest_input
from ffmem.models.transformer import Transformer
from ffmem.options import Bos

_SCORES = 2**25
"""Scores of a pass, of all its positions over the vocabulary: 128 MB."""


@dataclass(frozen=True)
class TokenLosses:
    """Of one text."""

    loss: Float64[np.ndarray, " tokens"]
    """-ln p of each token after all before it, in nats; NaN where nothing comes before."""
    first: Bool[np.ndarray, " tokens"]
    """Whether it is the model's most probable token there."""


@dataclass(frozen=True)
class _Window:
    """A part of a text that fits into the context."""

    text: int
    start: int
    counted: int
    """Tokens from here on are its own; those before it are context that an earlier window has counted."""


def check_predicts(model: Transformer) -> None:
    """Refuse a model that gives no probability of a next token.

    Raises:
        InputError: it reads both ways, has an encoder, or has no head.
    """
    check_causal(model)
    if not model.has_head:
        raise InputError(
            f"{model.facts.name} was saved without the part that scores tokens",
            "Expected a causal language model with its head, since what is memorised shows in its predictions",
            "Use the whole model",
        )


def token_losses(
    model: Transformer,
    texts: Sequence[Int64[np.ndarray, " tokens"]],
    bos: Bos = "auto",
    on_texts: Callable[[int], None] = lambda _: None,
) -> list[TokenLosses]:
    """How well a model predicts each token of each text.

    A text that is longer than the context is read in windows that overlap by half, so that every token but those at the
    beginning has at least half a context before it.

    Args:
        model: a causal model.
        texts: own tokens of each.
        bos: special tokens before each.
        on_texts: called with the number of windows that are read.

    Raises:
        InputError: the model does not predict the next token of a text.

    Cost: a pass of every token, twice where a text is long, and its scores over the vocabulary.
    """
    check_predicts(model)
    before, after = model.special_tokens(bos)
    limit = longest_input(model) - len(before) - len(after)
    windows = list(_windows([len(one) for one in texts], limit))
    pieces = [texts[one.text][one.start : one.start + limit] for one in windows]
    found = [TokenLosses(np.full(len(one), np.nan, dtype=np.float64), np.zeros(len(one), dtype=bool)) for one in texts]
    done = 0
    batch_tokens = min(BATCH_TOKENS, _SCORES // model.facts.d_vocab)
    for one in passes(model, pieces, bos, batch_tokens=batch_tokens, device=str(model.device)):
        _read(model, one, windows, pieces, found)
        done += len(one.sentences)
        on_texts(done)
    return found


def _windows(lengths: Sequence[int], limit: int) -> Iterator[_Window]:
    for text, length in enumerate(lengths):
        start, counted = 0, 0
        while counted < length:
            yield _Window(text, start, counted)
            counted = start + limit
            start += max(1, limit // 2)


def _read(
    model: Transformer,
    one: Pass,
    windows: Sequence[_Window],
    pieces: Sequence[Int64[np.ndarray, " tokens"]],
    found: list[TokenLosses],
) -> None:
    with torch.no_grad():
        logits = logits_of(model, one.token_ids, one.attention_mask)
    for row, number in enumerate(one.sentences):
        window, n = windows[number], len(pieces[number])
        skip = 0 if one.first else 1  # nothing comes before the first token of a text without a special one
        begin = max(window.counted - window.start, skip)
        if begin >= n:
            continue
        rows = logits[row, one.first + begin - 1 : one.first + n - 1]
        loss, first = losses_at(rows, one.token_ids[row, one.first + begin : one.first + n])
        where = slice(window.start + begin, window.start + n)
        found[window.text].loss[where], found[window.text].first[where] = loss.cpu().numpy(), first.cpu().numpy()


def losses_at(
    logits: Float[Tensor, "n d_vocab"], targets: Int[Tensor, " n"]
) -> tuple[Float[Tensor, " n"], Bool[Tensor, " n"]]:
    """-ln p of one token by each row of scores, and whether it is the most probable one (of equal ones: the first).

    Gradients go through the first, where scores have some.
    """
    log_p = logits.float().log_softmax(-1)
    return -log_p.gather(1, targets[:, None])[:, 0], log_p.argmax(-1) == targets


def logits_of(
    model: Transformer, token_ids: Int[Tensor, "batch positions"], mask: Int[Tensor, "batch positions"] | None = None
) -> Float[Tensor, "batch positions d_vocab"]:
    """The model's own scores, of a model that `check_predicts` lets through."""
    found = model.logits(token_ids, mask)
    assert found is not None  # check_predicts: it has a head
    return found
