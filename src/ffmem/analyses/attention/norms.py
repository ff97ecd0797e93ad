"""The norms of Kobayashi et al. 2020, from Gram matrices: what a head adds is a vector, and its length is more than its weight.

With f^h(x) = (x W_V^h + b_V^h) W_O^h, the output of attention at a query i is the sum over sources j and heads h of
alpha^h_ij f^h(x_j), plus b_O. The vectors alpha f are never made for all pairs of a query and a source: for each source the
products of its heads' vectors with one another are enough.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def transformed(
    values: Float[Tensor, "keys heads d_head"], output_matrix: Float[Tensor, "heads d_head d_model"]
) -> Float[Tensor, "keys heads d_model"]:
    """f^h(x_j) = v^h_j W_O^h.

    Cost: keys x heads x d_model numbers.
    """
    found = values.new_empty(*values.shape[:2], output_matrix.shape[-1])
    for head, matrix in enumerate(output_matrix):
        torch.mm(
            values[:, head], matrix, out=found[:, head]
        )  # in place: turning the axes afterwards costs as much again
    return found


def gram(vectors: Float[Tensor, "keys heads d_model"]) -> Float[Tensor, "heads heads keys"]:
    """For each source the products of its heads' vectors with one another."""
    return torch.bmm(vectors, vectors.mT).permute(1, 2, 0).contiguous()


def norms_of(products: Float[Tensor, "heads heads keys"]) -> Float[Tensor, "heads keys"]:
    """‖f^h(x_j)‖ from `gram`."""
    return products.diagonal().T.clamp(min=0).sqrt()


def summed_norms(
    weights: Float[Tensor, "heads queries keys"], products: Float[Tensor, "heads heads keys"]
) -> Float[Tensor, "queries keys"]:
    """‖sum over heads of alpha^h_ij f^h(x_j)‖, from a quadratic form in the weights for each pair of a query and a source.

    Rounding can make the square of a norm that is nearly 0, where heads cancel, less than 0: then it is 0.

    Args:
        weights: alpha.
        products: `gram` of the vectors.

    Cost: heads^2 / 2 passes over queries x keys numbers, and memory for three times as many.
    """
    squares = torch.zeros_like(weights[0])
    for head in range(len(weights)):
        row = weights[head] * products[head, head]
        for other in range(head):
            row.addcmul_(weights[other], products[head, other], value=2)
        squares.addcmul_(weights[head], row)
    return squares.clamp_(min=0).sqrt_()


def own_parts(
    weights: Float[Tensor, "heads positions positions"], vectors: Float[Tensor, "positions heads d_model"]
) -> Float[Tensor, "positions d_model"]:
    """F_ii: what each position adds to itself."""
    own = torch.zeros_like(vectors[:, 0])
    for head, row in enumerate(weights.diagonal(dim1=1, dim2=2)):
        own.addcmul_(row[:, None], vectors[:, head])
    return own
