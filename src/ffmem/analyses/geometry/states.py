"""One point for each sentence and layer, from the states of a model."""

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from ffmem.analyses.prefixes import Pass, passes
from ffmem.models.tracing import LayerTrace, trace
from ffmem.models.transformer import Transformer
from ffmem.options import Bos

Kind = Literal["o", "r", "y", "m", "o, last token"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Means over a sentence's own tokens of the layer's output, the stream before the cells add to it, what they add, and their
coefficients; and the layer's output at the last token alone."""
_STATES: dict[Kind, Callable[[LayerTrace], Tensor]] = {
    "o": lambda layer: layer.layer_output,
    "r": lambda layer: layer.residual,
    "y": lambda layer: layer.ff_output,
    "m": lambda layer: layer.coefficients,
    "o, last token": lambda layer: layer.layer_output,
}


def points_of(
    model: Transformer,
    sentences: Sequence[Int64[np.ndarray, "own_tokens"]],
    bos: Bos,
    kinds: Sequence[Kind] = KINDS,
    on_pass: Callable[[int], None] = lambda _: None,
) -> dict[Kind, list[Float32[np.ndarray, "n d"]]]:
    """A point for each sentence, layer and kind. Special tokens never count.

    Args:
        model: any model; of an encoder-decoder both stacks read the sentence.
        sentences: own tokens of each.
        bos: special tokens, as in an index.
        kinds: which points.
        on_pass: called with how many sentences are done.

    Cost: a pass over the sentences; of each layer N x (4 d_model + cells) numbers are kept.
    """
    widths = {kind: [_width(model, place, kind) for place in range(model.facts.n_layers)] for kind in kinds}
    found = {kind: [np.zeros((len(sentences), d), np.float32) for d in widths[kind]] for kind in kinds}
    done = 0
    for one in passes(model, sentences, bos, device=str(model.device)):
        own = [len(sentences[number]) for number in one.sentences]
        with torch.inference_mode():
            layers = trace(model, one.token_ids, one.attention_mask, at=_own_tokens(one, own))
            for place, layer in enumerate(layers):
                for kind in kinds:
                    states = _STATES[kind](layer).reshape(sum(own), -1)
                    found[kind][place][list(one.sentences)] = _of_sentences(states, own, last=kind == "o, last token")
        done += len(own)
        on_pass(done)
    return found


def _width(model: Transformer, place: int, kind: Kind) -> int:
    return model.facts.layers[place].n_cells if kind == "m" else model.facts.d_model


def _own_tokens(one: Pass, own: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Rows and columns of the sentences' own tokens, sentence after sentence."""
    rows = torch.repeat_interleave(torch.arange(len(own)), torch.tensor(own))
    columns = torch.cat([torch.arange(n) for n in own]) + one.first
    return rows, columns


def _of_sentences(states: Tensor, own: Sequence[int], *, last: bool) -> np.ndarray:
    """A row for each sentence: the mean of its tokens' states, or the last one."""
    ends = np.cumsum(own).tolist()
    parts = [states[end - n : end].float() for n, end in zip(own, ends, strict=True)]
    rows: np.ndarray = torch.stack([part[-1] if last else part.mean(0) for part in parts]).cpu().numpy()
    return rows
