"""A norm as the linear map that it is once the states are known: then what adds up before it adds up behind it."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ffmem.models.present import present


@dataclass(frozen=True)
class FrozenNorm:
    """z -> gain * (z - mean(z)) * scale, with the scale that the norm had at some states; RMSNorm does not centre.

    What a norm adds to that, its bias, belongs to no part.
    """

    gain: Float[Tensor, "d_model"]
    scale: Float[Tensor, "*states"]
    """1 / the length that the norm divides by, for each state."""
    bias: Float[Tensor, "d_model"] | None
    centres: bool

    def shaped(self, vectors: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """Gain and centring alone, which are the same for all states."""
        return self.gain * (vectors - vectors.mean(-1, keepdim=True) if self.centres else vectors)

    def __call__(self, vectors: Float[Tensor, "*states d_model"]) -> Float[Tensor, "*states d_model"]:
        """Parts of the states, one each, as they come out of the norm."""
        return self.shaped(vectors) * self.scale[..., None]


def freeze(norm: Any, states: Float[Tensor, "*states d_model"], gain: Float[Tensor, "_"], centres: bool) -> FrozenNorm:
    """The linear map of a norm at some states, float64.

    Args:
        norm: the module; LayerNorm or RMSNorm, whatever its epsilon.
        states: what it normed.
        gain: what it multiplies each dimension with (of length 1: all alike).
        centres: whether it takes the mean away first.
    """
    with present(norm):  # before it runs
        bias = getattr(norm, "bias", None)
    exact = states.double()
    wide = gain.double().to(states.device).expand(states.shape[-1])
    shaped = wide * (exact - exact.mean(-1, keepdim=True) if centres else exact)
    normed = norm(states).double()
    if bias is not None:
        normed = normed - bias.double()
    # the norm's own output tells its scale, whatever epsilon it has and wherever it puts it
    length = (shaped * shaped).sum(-1)
    scale = torch.where(length > 0, (normed * shaped).sum(-1) / length, 0.0)
    return FrozenNorm(wide, scale, None if bias is None else bias.double(), centres)
