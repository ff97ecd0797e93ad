"""The cells that make a layer's output, and whether one of them has the layer's own top token; at this prefix, or by chance.

Chance: the same token held against the cells that make the output of the same layer at prefixes of other documents.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ffmem.analyses.prefixes import Prefixes, passes, rows_of
from ffmem.models.tracing import trace
from ffmem.models.transformer import Transformer
from ffmem.options import Bos

Kind = Literal["active", "effective", "ten_strongest", "strongest"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""All that add their value (m > 0; of gated cells m < 0, too); those whose |m| x length of v is more than `EFFECTIVE` of the
largest; and the ten, and the one, for which that is largest."""
EFFECTIVE = 0.01
"""A cell counts as effective if |m| x length of v is more than this share of the largest at the position."""
N_OTHERS = 128
"""Prefixes that chance is taken from, spread evenly over all."""
_TEN = 10
Masks = dict[Kind, Bool[Tensor, "n signs cells"]]
"""Which cells are meant, by the sign of their coefficient: above 0, below 0."""


def contributors(m: Float[Tensor, "n cells"], lengths: Float[Tensor, "cells"], *, gated: bool) -> Masks:
    """The cells of each kind at some prefixes.

    Args:
        m: coefficients.
        lengths: of values.
        gated: whether a coefficient below 0 means that the cell writes the contrary of its value.
    """
    sizes = m.abs() * lengths
    signs = torch.stack([m > 0, m < 0], 1)
    strongest = sizes.topk(min(_TEN, sizes.shape[1]), 1).indices
    first = torch.zeros_like(sizes, dtype=torch.bool).scatter_(1, strongest[:, :1], True)
    ten = torch.zeros_like(first).scatter_(1, strongest, True)
    active = signs.clone()
    active[:, 1] &= gated
    effective = sizes > EFFECTIVE * sizes.amax(1, keepdim=True)
    return {
        "active": active,
        "effective": signs & effective[:, None],
        "ten_strongest": signs & ten[:, None],
        "strongest": signs & first[:, None],
    }


@dataclass(frozen=True)
class Others:
    """The cells that make the outputs at some prefixes, which those of other documents are compared with."""

    layers: tuple[Masks, ...]
    documents: Int[Tensor, "others"]


def measure_others(
    model: Transformer, prefixes: Prefixes, lengths: list[Float[Tensor, "cells"]], *, bos: Bos
) -> Others:
    """`N_OTHERS` of the prefixes.

    Args:
        model: the model.
        prefixes: all that are looked at.
        lengths: of the values of each layer.
        bos: special tokens, as in the index.

    Cost: a forward pass of each; memory of 8 bytes for each of them and each cell of the model.
    """
    numbers = np.unique(np.linspace(0, len(prefixes) - 1, min(N_OTHERS, len(prefixes))).round().astype(np.int64))
    few = prefixes.some(numbers)
    parts: list[list[Masks]] = []
    order = []
    for one in passes(model, few.sentences, bos, device=str(lengths[0].device)):
        some, rows, columns = rows_of(few, one)
        if len(some):
            with torch.inference_mode():
                traced = trace(model, one.token_ids, one.attention_mask, at=(rows, columns))
                parts.append(
                    [
                        contributors(state.coefficients[0].float(), lengths[place], gated=model.facts.gated)
                        for place, state in enumerate(traced)
                    ]
                )
            order.append(some)
    documents = torch.from_numpy(few.document[few.sentence][np.concatenate(order)])
    layers = (zip(*parts, strict=True)) if parts else ()
    return Others(
        tuple({kind: torch.cat([part[kind] for part in layer]) for kind in KINDS} for layer in layers), documents
    )


def agreeing(
    masks: Masks, tops: Int[Tensor, "signs cells"], wanted: Int[Tensor, "n"], kinds: tuple[Kind, ...] = KINDS
) -> dict[Kind, Bool[Tensor, "n"]]:
    """Whether a cell of each kind has the wanted token as the top of what it writes.

    Args:
        masks: the cells of each kind at each prefix.
        tops: the top token of each value, and of its negative.
        wanted: a token for each prefix.
        kinds: which.
    """
    has = tops == wanted[:, None, None]
    return {kind: (masks[kind] & has).flatten(1).any(1) for kind in kinds}


@dataclass(frozen=True)
class Chance:
    """How often a cell of some kind has a wanted token where it would only by chance."""

    share: Float[Tensor, "n"]
    """Of other documents' prefixes, for each wanted token; NaN without another document."""
    pull: Float[Tensor, "others"]
    """By how much each of these prefixes lifts the sum of all shares over what it is by the rest of them; they add up to 0. So
    much is due to which ones were drawn."""


def by_chance(
    others: Others, layer: int, tops: Int[Tensor, "signs cells"], wanted: Int[Tensor, "n"], documents: Int[Tensor, "n"]
) -> dict[Kind, Chance]:
    """The other documents' prefixes at which a cell of each kind has the wanted token.

    Args:
        others: what they are.
        layer: place of the layer.
        tops: as of `agreeing`.
        wanted: a token for each prefix.
        documents: of each prefix.
    """
    tokens, number = torch.unique(wanted, return_inverse=True)
    elsewhere = (others.documents[:, None] != documents.cpu()).to(wanted.device).float()
    found: dict[Kind, Chance] = {}
    which, sign, cell = (tops == tokens[:, None, None]).nonzero(as_tuple=True)
    for kind in KINDS:
        hits = others.layers[layer][kind][:, sign, cell].float()
        has = hits.new_zeros(len(hits), len(tokens)).index_add_(1, which, hits) > 0
        here = has[:, number] * elsewhere
        share = here.sum(0) / elsewhere.sum(0)
        found[kind] = Chance(share, ((here - elsewhere * share) / elsewhere.sum(0)).nan_to_num().sum(1))
    return found
