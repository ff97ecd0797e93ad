"""How far keys and values move between two moments: by direction, by length, and for the way that the weights went."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ffmem.models.transformer import Transformer


@dataclass(frozen=True)
class Memories:
    """The weights of the cells of a layer, float32, a row each."""

    keys: Float[Tensor, "cells inputs"]
    """Of gated cells gate key and up key, one behind the other."""
    values: Float[Tensor, "cells d_model"]
    """As they reach the residual stream."""


def memories_of(model: Transformer, layer: int) -> Memories:
    """The cells of a layer of a model."""
    if model.facts.gated:
        keys = torch.cat((model.gate_keys(layer).float(), model.up_keys(layer).float()), dim=1)
    else:
        keys = model.keys(layer).float()
    return Memories(keys.cpu().clone(), model.value_rows(layer).cpu().clone())


def drift(before: Float[Tensor, "cells inputs"], after: Float[Tensor, "cells inputs"]) -> Float[np.ndarray, "cells"]:
    """1 - the cosine of each row with itself later: 0 for one that only grew, NaN for one of length 0."""
    first, second = before.double(), after.double()
    lengths = first.norm(dim=1) * second.norm(dim=1)
    found: np.ndarray = (1 - (first * second).sum(1) / lengths).numpy()
    return np.where(lengths.numpy() > 0, np.maximum(found, 0.0), np.nan)


def growth(before: Float[Tensor, "cells inputs"], after: Float[Tensor, "cells inputs"]) -> Float[np.ndarray, "cells"]:
    """ln(|after| / |before|) of each row; NaN where one of them has length 0."""
    first, second = before.double().norm(dim=1).numpy(), after.double().norm(dim=1).numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        found: np.ndarray = np.log(second / first)
    return np.where((first > 0) & (second > 0), found, np.nan)


def way(before: Memories, after: Memories) -> float:
    """How far the weights of a layer went: the sum of |change| of every entry of keys and values, over that of |entry| before.

    Learning rates fall, so that late moments lie nearer by nature: a drift over this can be compared between them.
    """
    pairs = ((before.keys, after.keys), (before.values, after.values))
    moved = sum(float((second.double() - first.double()).abs().sum()) for first, second in pairs)
    size = sum(float(first.double().abs().sum()) for first, _ in pairs)
    return moved / size if size > 0 else float("nan")
