"""Other weights in the place of a model's own, and what that costs at each position of a text.

The Transformer's form of the tests of Wiegreffe and Pinter, "Attention is not not Explanation" (EMNLP 2019), without training.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ffmem.analyses.diagnostics.maps import LayerMaps, Maps, MeanMaps, shares_of, value_norms
from ffmem.analyses.diagnostics.texts import Text
from ffmem.analyses.distances import kl, tvd
from ffmem.models.attention import AttentionLayer, change_attention
from ffmem.models.transformer import Transformer

Patch = Literal["uniform", "frozen", "shuffled text", "permuted", "norms", "nothing", "own"]
"""What stands in the place of alpha: 1 / number of allowed sources; the mean map of other texts; the weights that the model
gives to the same tokens in random order; its own weights of a row in random order; shares of ‖f(x_j)‖, so that queries and
keys have no part in it; no weight at all; and, as a check, its own."""
PATCHES: tuple[Patch, ...] = ("uniform", "frozen", "shuffled text", "permuted", "norms")
"""Those that are weights of something else."""
Weights = Callable[[AttentionLayer, Float[Tensor, "keys heads d_head"]], Mapping[int, Tensor]]
"""From a sub-layer and its values to other weights, (queries, keys), of some of its heads."""
_NUMBERS = 24_000_000
"""Most logits that are held at a time."""


class Replacements:
    """Everything that may stand in the place of one text's weights.

    Args:
        own: its maps.
        frozen: the mean map of other texts; None: not asked for.
        shuffled: the maps of its tokens in random order; None: not asked for.
        seed: of the random order within rows.
    """

    def __init__(self, own: Maps, frozen: MeanMaps | None, shuffled: Maps | None, seed: int) -> None:
        self._own, self._frozen, self._shuffled = own, frozen, shuffled
        self._generator = torch.Generator().manual_seed(seed)
        self._permuted = {name: permuted_rows(one, self._generator) for name, one in own.items()}

    def given(
        self, patch: Patch, *, keep_first: bool = False, only: Collection[tuple[str, int]] | None = None
    ) -> Weights:
        """The weights of a patch.

        Args:
            patch: which.
            keep_first: the first source keeps its own weight, and the patch shares out the rest: so that what a model loses is
                not only a place to look at when there is nothing to look for.
            only: (sub-layer, head) pairs; None: all.
        """

        def weights(layer: AttentionLayer, values: Tensor) -> Mapping[int, Tensor]:
            heads = [head for head in range(layer.n_heads) if only is None or (layer.name, head) in only]
            if not heads:
                return {}
            own = self._own[layer.name]
            if patch == "own":
                return {head: own.weights[head] for head in heads}
            if patch == "nothing":
                return {head: torch.zeros_like(own.weights[head]) for head in heads}
            rows = _as_own(self._rows(patch, layer, values), own.weights, keep_first=keep_first)
            return {head: rows[head] for head in heads}

        return weights

    def _rows(self, patch: Patch, layer: AttentionLayer, values: Tensor) -> Float[Tensor, "heads queries keys"]:
        own = self._own[layer.name]
        if patch == "frozen":
            assert self._frozen is not None
            return self._frozen.of(layer.name, own.allowed)
        if patch == "shuffled text":
            assert self._shuffled is not None
            return self._shuffled[layer.name].weights
        if patch == "permuted":
            return self._permuted[layer.name]
        allowed = own.allowed.to(own.weights.dtype).expand_as(own.weights)
        return allowed * value_norms(layer, values)[:, None] if patch == "norms" else allowed


def permuted_rows(maps: LayerMaps, generator: torch.Generator) -> Float[Tensor, "heads queries keys"]:
    """Each row's weights in random order over the sources that the query may look at, another order in each head."""
    weights, allowed = maps.weights, maps.allowed
    noise = torch.rand(weights.shape, generator=generator).to(weights.device)
    to = noise.masked_fill(~allowed, 2.0).argsort(-1)  # allowed ones first, in random order
    of = (~allowed).to(torch.uint8).argsort(dim=-1, stable=True).expand_as(to)  # allowed ones first, in their own
    return torch.zeros_like(weights).scatter(-1, to, weights.gather(-1, of))


def _as_own(
    rows: Float[Tensor, "heads queries keys"], own: Float[Tensor, "heads queries keys"], *, keep_first: bool
) -> Float[Tensor, "heads queries keys"]:
    """Rows that add up to what own rows do (1, or less where some goes to a sink)."""
    total = own.sum(-1, keepdim=True)
    if not keep_first:
        return shares_of(rows) * total
    first = own[..., :1]
    rest = rows[..., 1:]
    # where the patch gives all to the first source, the rest is shared out alike
    there = rest.sum(-1, keepdim=True) > 0
    rest = torch.where(there, rest, (own[..., 1:] > 0).to(rest.dtype))
    return torch.cat([first, shares_of(rest) * (total - first)], -1)


def patched(
    model: Transformer,
    ids: Int[Tensor, "positions"],
    given: Sequence[Weights],
    target_ids: Int[Tensor, "targets"] | None = None,
) -> Iterator[Float[Tensor, "columns d_vocab"]]:
    """Log-probabilities of one text with weights replaced, float32, one after the other.

    Args:
        model: one with a head over the vocabulary.
        ids: with special tokens.
        given: what is put in the place of weights; several are rows of one batch where rows leave each other alone.
        target_ids: what an encoder-decoder's decoder is given, with its start token.
    """
    width = len(ids) if target_ids is None else len(target_ids)
    size = 1 if model.batching.rows == "alone" else max(1, _NUMBERS // (width * model.facts.d_vocab))
    for begin in range(0, len(given), size):
        some = given[begin : begin + size]

        def change(
            layer: AttentionLayer, values: Tensor, some: Sequence[Weights] = some
        ) -> dict[tuple[int, int], Tensor]:
            rows = [one(layer, values[row]) for row, one in enumerate(some)]
            return {(row, head): weights for row, found in enumerate(rows) for head, weights in found.items()}

        with torch.inference_mode(), change_attention(model.attention_layers, change):
            logits = model.logits(
                ids.expand(len(some), -1).contiguous(),
                target_ids=None if target_ids is None else target_ids.expand(len(some), -1).contiguous(),
            )
        assert logits is not None  # who calls this has a model with a head
        yield from logits.float().log_softmax(-1)


@dataclass(frozen=True)
class Costs:
    """What each patch costs at each position."""

    document: Int[np.ndarray, "n"]
    loss: Float[np.ndarray, "n"]
    """Of the next token, with the model's own weights, in nats."""
    change: Float[np.ndarray, "n patches"]
    """Of the loss, in nats."""
    divergence: Float[np.ndarray, "n patches"]
    """KL(p || p'), in nats."""
    distance: Float[np.ndarray, "n patches"]
    """TVD(p, p'), 0 to 1."""


def costs_of(model: Transformer, text: Text, given: Sequence[Weights]) -> Costs:
    """What each patch costs at the positions of a text."""
    with torch.inference_mode():
        logits = model.logits(text.ids[None])
    assert logits is not None
    own = logits[0, text.at].float().log_softmax(-1)
    loss = _loss(own, text)
    change, divergence, distance = [], [], []
    for found in patched(model, text.ids, given):
        changed = found[text.at]
        change.append(_loss(changed, text) - loss)
        divergence.append(kl(changed, own))
        distance.append(tvd(own, changed))
    columns = [torch.stack(some, 1).double().cpu().numpy() for some in (change, divergence, distance)]
    return Costs(np.full(len(text), text.document), loss.double().cpu().numpy(), *columns)


def _loss(log_probabilities: Float[Tensor, "n d_vocab"], text: Text) -> Float[Tensor, "n"]:
    return -log_probabilities.gather(1, text.following[:, None])[:, 0]


def joined(some: Sequence[Costs]) -> Costs:
    """The positions of several texts, one after the other."""
    return Costs(
        *(
            np.concatenate([getattr(one, name) for one in some])
            for name in ("document", "loss", "change", "divergence", "distance")
        )
    )
