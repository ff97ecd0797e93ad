"""The weights and norms of a text in every sub-layer, and the mean map of other texts."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ffmem.analyses.attention.inputs import run
from ffmem.analyses.attention.norms import transformed
from ffmem.models.attention import AttentionLayer, AttentionStates
from ffmem.models.transformer import Transformer


@dataclass(frozen=True)
class LayerMaps:
    """One sub-layer over one text."""

    weights: Float[Tensor, "heads queries keys"]
    """alpha."""
    norms: Float[Tensor, "heads keys"]
    """‖f(x_j)‖."""

    @property
    def allowed(self) -> Bool[Tensor, "queries keys"]:
        """Which sources a query may look at: the mask is the same for all heads, and behind it none gives anything."""
        found: Tensor = (self.weights > 0).any(0)
        return found

    @property
    def norm_rows(self) -> Float[Tensor, "heads queries keys"]:
        """Each source's share of the norms ‖alpha f(x)‖ of a row."""
        return shares_of(self.weights * self.norms[:, None])


Maps = dict[str, LayerMaps]
"""By the name of the sub-layer."""


def shares_of(values: Float[Tensor, "*batch keys"]) -> Float[Tensor, "*batch keys"]:
    """Rows that add up to 1; a row of zeros stays one."""
    return values / values.sum(-1, keepdim=True).clamp(min=1e-30)


def value_norms(layer: AttentionLayer, values: Float[Tensor, "keys heads d_head"]) -> Float[Tensor, "heads keys"]:
    """‖f(x_j)‖ of each head, from its values."""
    found: Tensor = transformed(values.float(), layer.output_matrix().float()).norm(dim=-1).T
    return found


def maps_of(
    model: Transformer, ids: Int[Tensor, "positions"], target_ids: Int[Tensor, "targets"] | None = None
) -> Maps:
    """The maps of one text, computed step by step.

    Args:
        model: any whose attention is understood.
        ids: with special tokens.
        target_ids: what an encoder-decoder's decoder is given, with its start token.
    """
    found: Maps = {}

    def keep(layer: AttentionLayer, states: AttentionStates) -> None:
        norms = value_norms(layer, layer.expand(states.values[0]))
        found[layer.name] = LayerMaps(states.weights[0].float().clone(), norms)

    run(model, ids[None], None if target_ids is None else target_ids[None], keep)
    return found


class MeanMaps:
    """The mean of the maps of several texts, position by position.

    Args:
        length: most tokens of a text.
    """

    def __init__(self, length: int) -> None:
        self._length = length
        self._sums: dict[str, Tensor] = {}
        self.n_texts = torch.zeros(length, dtype=torch.long)
        """How many texts have a token at each position."""

    def add(self, maps: Maps) -> None:
        """One more text."""
        for name, one in maps.items():
            queries, keys = one.weights.shape[1:]
            if name not in self._sums:
                shape = (len(one.weights), self._length, self._length)
                self._sums[name] = one.weights.new_zeros(shape)
            self._sums[name][:, :queries, :keys] += one.weights
        if maps:
            self.n_texts[: max(one.weights.shape[1] for one in maps.values())] += 1

    def of(self, name: str, allowed: Bool[Tensor, "queries keys"]) -> Float[Tensor, "heads queries keys"]:
        """The mean map of a sub-layer over allowed sources; a row that no text has is uniform."""
        queries, keys = allowed.shape
        summed = self._sums[name][:, :queries, :keys] * allowed
        missing = summed.sum(-1, keepdim=True) == 0
        return shares_of(torch.where(missing, allowed.to(summed.dtype), summed))


def mean_maps(model: Transformer, texts: Iterable[Int[Tensor, "positions"]], length: int) -> MeanMaps:
    """The mean map of texts of at most ``length`` tokens, each read alone."""
    found = MeanMaps(length)
    for ids in texts:
        found.add(maps_of(model, ids))
    return found


def row_jsd(first: Float[Tensor, "*batch keys"], other: Float[Tensor, "*batch keys"]) -> Float[Tensor, "*batch"]:
    """Jensen-Shannon divergence of rows that add up to 1, in nats: 0 to ln 2. Has a gradient where shares are 0, too."""

    def entropy(shares: Tensor) -> Tensor:
        return -(shares * shares.clamp(min=1e-12).log()).sum(-1)

    return (entropy((first + other) / 2) - (entropy(first) + entropy(other)) / 2).clamp(min=0)
