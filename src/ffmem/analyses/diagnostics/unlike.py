"""How far the maps of another model of the same kind are from a model's own, row by row."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ffmem.analyses.diagnostics.maps import Maps, row_jsd, shares_of
from ffmem.errors import InputError
from ffmem.models.transformer import Transformer

BINS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Of a row's largest weight, as in the paper's figures; the last one holds its end."""


@dataclass(frozen=True)
class Unlike:
    """Rows of one text: every sub-layer, head and query with two sources or more."""

    largest: Float[np.ndarray, "rows"]
    """The model's own largest weight."""
    jsd: Float[np.ndarray, "rows"]
    """Of the weights, in nats."""
    norm_jsd: Float[np.ndarray, "rows"]
    """Of shares of ‖alpha f(x)‖."""


def check_alike(model: Transformer, other: Transformer) -> None:
    """Refuse a model whose maps cannot be laid over another's.

    Raises:
        InputError: it has other tokens, or other sub-layers or heads.
    """
    shapes = [[(one.name, one.n_heads) for one in each.attention_layers] for each in (model, other)]
    if model.vocabulary == other.vocabulary and shapes[0] == shapes[1]:
        return
    differs = "other tokens" if model.vocabulary != other.vocabulary else "other attention sub-layers or heads"
    raise InputError(
        f"{other.facts.name} has {differs} than {model.facts.name}",
        "Expected another seed or moment of the same kind of model",
        "Leave it out",
    )


def head_distances(own: Maps, other: Maps) -> dict[str, Float[Tensor, "heads heads"]]:
    """The mean JSD of each own head from each head of the other in the same sub-layer, over rows of two sources or more."""
    found = {}
    for name, one in own.items():
        counts = one.allowed.sum(-1) > 1
        mine, theirs = (shares_of(maps[name].weights[:, counts]) for maps in (own, other))
        found[name] = torch.stack([row_jsd(head.expand_as(theirs), theirs).mean(-1) for head in mine])
    return found


def unlike(own: Maps, other: Maps, heads: dict[str, Int[Tensor, "heads"]]) -> Unlike:
    """How far each row is from that of a head of the other model.

    Args:
        own: of a text.
        other: of the same text in the other model.
        heads: of each sub-layer, which of the other's heads stands beside each of its own: those of another seed have no order.
    """
    largest, rows, norm_rows = [], [], []
    for name, one in own.items():
        counts, chosen = one.allowed.sum(-1) > 1, heads[name]
        largest.append(one.weights.amax(-1)[:, counts])
        rows.append(row_jsd(shares_of(one.weights), shares_of(other[name].weights[chosen]))[:, counts])
        norm_rows.append(row_jsd(one.norm_rows, other[name].norm_rows[chosen])[:, counts])
    return Unlike(
        *(torch.cat([one.flatten() for one in some]).double().cpu().numpy() for some in (largest, rows, norm_rows))
    )


def bin_of(largest: Float[np.ndarray, "rows"]) -> Int[np.ndarray, "rows"]:
    """The number of the bin of each row's largest weight."""
    found: np.ndarray = np.clip(np.searchsorted(BINS, largest, side="right") - 1, 0, len(BINS) - 2)
    return found
