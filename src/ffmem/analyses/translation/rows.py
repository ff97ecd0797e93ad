"""From what a model held of pairs to one vector for each word of a translation: a decoder's state, or a mix of an encoder's."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ffmem.analyses.translation.states import SeenPair

Fixed = Literal["norms", "uniform"]
"""A map that is not trained: "norms", those of one cross-attention layer, each row made to sum to 1; "uniform", the same weight
for every token of the source."""


class Rows(Protocol):
    """The vectors that a probe reads."""

    @property
    def n_maps(self) -> int:
        """Maps that are mixed; 0: nothing is."""
        ...

    def of(self, pairs: Sequence[int], shares: Float[Tensor, "maps"] | None) -> Float[Tensor, "rows d_model"]:
        """Those of some pairs, one after another; ``shares``: of each map in the mix."""
        ...


@dataclass(frozen=True)
class PlainRows:
    """Vectors that nothing is mixed for."""

    parts: Sequence[Tensor]
    """Of each pair, (rows, d_model)."""
    n_maps: int = 0

    def of(self, pairs: Sequence[int], shares: Float[Tensor, "maps"] | None = None) -> Float[Tensor, "rows d_model"]:
        """See `Rows`."""
        return torch.cat([self.parts[number] for number in pairs])


@dataclass(frozen=True)
class MixedRows:
    """e_t = sum over s of A*_ts h_s, where A* is a mix of all cross-attention maps."""

    maps: Sequence[Tensor]
    """Of each pair, (maps, rows, tokens)."""
    states: Sequence[Tensor]
    """Of each pair, (tokens, d_model)."""

    @property
    def n_maps(self) -> int:
        """Maps that are mixed."""
        return len(self.maps[0])

    def of(self, pairs: Sequence[int], shares: Float[Tensor, "maps"] | None) -> Float[Tensor, "rows d_model"]:
        """See `Rows`.

        Cost: all maps of the pairs, once; a product of the mixed map with the states.
        """
        assert shares is not None
        mixed = [torch.einsum("k,kts->ts", shares, self.maps[number]) for number in pairs]
        n_tokens = max(one.shape[1] for one in mixed)
        wide = [torch.nn.functional.pad(one, (0, n_tokens - one.shape[1])) for one in mixed]
        found = pad_sequence(wide, batch_first=True) @ pad_sequence(
            [self.states[number] for number in pairs], batch_first=True
        )
        return torch.cat([found[row, : len(one)] for row, one in enumerate(mixed)])


def target_rows(pairs: Sequence[SeenPair], place: int) -> PlainRows:
    """The decoder's states at a place: 0 the embeddings, n the output of its n-th layer."""
    return PlainRows([one.target[place] for one in pairs])


def mixed_rows(pairs: Sequence[SeenPair], place: int, *, shuffled: int | None = None) -> MixedRows:
    """The encoder's states at a place, through a mix of all cross-attention maps.

    Args:
        pairs: what the model held.
        place: 0 the embeddings, n the output of the n-th layer.
        shuffled: a seed: the states of a source's own tokens change places at random, so that the maps point at wrong ones.
    """
    states = [one.source[place] for one in pairs]
    if shuffled is not None:
        rng = np.random.default_rng(shuffled)
        states = [_shuffled(one, pair.own, rng) for one, pair in zip(states, pairs, strict=True)]
    return MixedRows([one.weights for one in pairs], states)


def fixed_rows(pairs: Sequence[SeenPair], place: int, kind: Fixed, layer: int = 0) -> PlainRows:
    """The encoder's states at a place, through a map that is not trained; ``layer``: whose norms."""
    return PlainRows([_fixed(one, kind, layer) @ one.source[place] for one in pairs])


def layer_of_highest_norm(pairs: Sequence[SeenPair]) -> int:
    """The cross-attention layer with the highest mean norm, as `ffmem align` chooses it without gold links."""
    totals = torch.stack([one.norms.double().sum((1, 2)) for one in pairs]).sum(0)
    return int(totals.argmax())


def _fixed(pair: SeenPair, kind: Fixed, layer: int) -> Tensor:
    if kind == "uniform":
        return torch.full_like(pair.norms[0], 1 / pair.norms.shape[2])
    norms = pair.norms[layer]
    return norms / norms.sum(1, keepdim=True).clamp(min=torch.finfo(norms.dtype).tiny)


def _shuffled(states: Tensor, own: slice, rng: np.random.Generator) -> Tensor:
    order = torch.arange(len(states))
    order[own] = order[own][torch.from_numpy(rng.permutation(own.stop - own.start))]
    return states[order]
