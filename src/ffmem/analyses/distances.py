"""How far apart two distributions over the vocabulary are."""

import torch
from jaxtyping import Float
from torch import Tensor


def kl(own: Float[Tensor, "*batch d_vocab"], changed: Float[Tensor, "*batch d_vocab"]) -> Float[Tensor, "*batch"]:
    """Kullback-Leibler divergence of the changed distribution from the own one, in nats: sum of q (log q - log p), 0 or more.

    Args:
        own: log-probabilities p.
        changed: log-probabilities q.
    """
    return (changed.exp() * (changed - own)).nan_to_num().sum(-1).clamp(min=0)


def tvd(own: Float[Tensor, "*batch d_vocab"], changed: Float[Tensor, "*batch d_vocab"]) -> Float[Tensor, "*batch"]:
    """Total variation distance: half the sum of |p - q|, 0 to 1."""
    return (own.exp() - changed.exp()).abs().sum(-1) / 2


def jsd(own: Float[Tensor, "*batch d_vocab"], changed: Float[Tensor, "*batch d_vocab"]) -> Float[Tensor, "*batch"]:
    """Jensen-Shannon divergence in nats, 0 to ln 2: the mean divergence of both from their mean."""
    middle = torch.logaddexp(own, changed) - torch.log(torch.tensor(2.0, dtype=own.dtype, device=own.device))
    return (kl(middle, own) + kl(middle, changed)) / 2
