"""How much of a position comes from others (Kobayashi et al. 2021), without a map of all pairs."""

from typing import Literal

import numpy as np
from jaxtyping import Float
from torch import Tensor

from ffmem.analyses.attention.norms import own_parts
from ffmem.analyses.attention.split import SplitValues
from ffmem.models.attention import AttentionLayer, AttentionStates
from ffmem.models.transformer import Transformer

MixingVariant = Literal["Attn-W", "Attn-N", "AttnRes-W", "AttnRes-N", "AttnResLn-N"]
"""How much of a position comes from others: by weights or norms, of attention alone, with the residual connection, and
with the norm behind it."""
VARIANTS: tuple[MixingVariant, ...] = ("Attn-W", "AttnRes-W", "Attn-N", "AttnRes-N", "AttnResLn-N")
"""In the order in which `ratios_of` gives them."""
_WHOLE = 0.99
"""Weights whose sum is smaller leave some to a sink; rounding, also in half precision, does not."""


def mixing_ratios(
    model: Transformer, layer: AttentionLayer, states: AttentionStates, split: SplitValues
) -> dict[MixingVariant, Float[np.ndarray, "queries"]]:
    """The mixing ratios of one sub-layer over one text, without a map of all pairs; of a sub-layer over the text itself."""
    return ratios_of(states.weights[0].float(), parts_of(model, layer, states, split))


Parts = dict[MixingVariant, tuple[Float[Tensor, "positions d_model"], Float[Tensor, "positions d_model"]]]
"""For each position what others bring, and what is its own."""


def parts_of(model: Transformer, layer: AttentionLayer, states: AttentionStates, split: SplitValues) -> Parts:
    """What others bring to each position and what is its own, by each way to measure it with norms."""
    weights, output, stream = (one[0].float() for one in (states.weights, states.output, states.stream))
    total = output - split.constant
    own = own_parts(weights, split.vectors)
    others = total - own
    parts: Parts = {"Attn-N": (others, own)}
    if layer.placement == "sandwich":
        arrives = model.unembedding.freeze(layer.norm_after, output)
        own, others = arrives(own).float(), arrives(others).float()
    parts["AttnRes-N"] = (others, own + stream)
    if layer.placement == "post":
        behind = model.unembedding.freeze(layer.norm_after, output + stream)
        parts["AttnResLn-N"] = (behind(others).float(), behind(own + stream).float())
    return parts


def ratios_of(
    weights: Float[Tensor, "heads positions positions"], parts: Parts
) -> dict[MixingVariant, Float[np.ndarray, "positions"]]:
    """Mixing ratios, 0 to 1, from weights and from `parts_of`; what goes to a sink is nobody's."""
    sums = weights.sum(-1, keepdim=True)
    if bool((sums < _WHOLE).any()):
        weights = weights / sums.clamp(min=1e-30)
    by_weight = array(1 - weights.diagonal(dim1=1, dim2=2).mean(0))
    ratios: dict[MixingVariant, np.ndarray] = {"Attn-W": by_weight, "AttnRes-W": by_weight / 2}
    ratios |= {variant: _ratio(others, own) for variant, (others, own) in parts.items()}
    return ratios


def _ratio(
    others: Float[Tensor, "positions d_model"], own: Float[Tensor, "positions d_model"]
) -> Float[np.ndarray, "positions"]:
    """‖others‖ / (‖others‖ + ‖own‖)."""
    from_others, from_own = others.norm(dim=-1), own.norm(dim=-1)
    return array(from_others / (from_others + from_own).clamp(min=1e-30))


def array(tensor: Tensor) -> np.ndarray:
    """As numpy has it, float32."""
    found: np.ndarray = tensor.float().cpu().numpy()
    return found
