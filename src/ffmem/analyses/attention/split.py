"""What one attention sub-layer adds, as vectors: those of each source and head, and what is of no source."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ffmem.analyses.attention.norms import transformed
from ffmem.models.attention import AttentionLayer

Bias = Literal["inside", "constant"]
"""Where the bias of W_V goes: "inside" f, as in the paper; or "constant", with b_O, since weights add up to 1 (where they do
not, because some go to a sink, it stays inside). What a source adds differs, the output does not. b_O belongs to no source
under either."""


@dataclass(frozen=True)
class SplitValues:
    """The values of one sub-layer over one text, as vectors of d_model numbers."""

    vectors: Float[Tensor, "keys heads d_model"]
    """f^h(x_j), float32."""
    constant: Float[Tensor, "d_model"]
    """What is of no source: b_O, and sum over h of b_V^h W_O^h where that is not inside f."""


def split_values(
    layer: AttentionLayer, values: Float[Tensor, "keys kv_heads d_head"], bias: Bias = "inside"
) -> SplitValues:
    """f^h(x_j) of each head and source, and what belongs to no source."""
    matrix = layer.output_matrix().float()
    own_bias, value_bias = layer.output_bias(), layer.value_bias()
    constant = torch.zeros(matrix.shape[-1], device=matrix.device) if own_bias is None else own_bias.float()
    values = values.float()
    if bias == "constant" and value_bias is not None and not layer.part.sink:
        values = values - value_bias.float()
        constant = constant + torch.einsum("he,hed->d", layer.expand(value_bias.float()), matrix)
    return SplitValues(transformed(layer.expand(values), matrix), constant)
