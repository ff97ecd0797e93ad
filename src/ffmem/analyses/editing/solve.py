"""The algebra of an edit: which change of low rank gives keys their wanted outputs, and others as little as can be.

In our words, of k* (coefficients at a key) and C = E[m m^T]: each value moves by u_i times a direction, u = C^-1 k*. So ROME
(Meng et al. 2022, eq. 2) and MEMIT (Meng et al. 2023, eq. 14) are one formula: with one key and weight 0 it is the first.
"""

import torch
from jaxtyping import Float64
from torch import Tensor

from ffmem.errors import InputError

_SINGULAR = 1e-12
"""Of the keys' own matrix: below this share of its largest eigenvalue, keys are told to be the same."""


def low_rank_update(
    moments: Float64[Tensor, "cells cells"],
    keys: Float64[Tensor, "cells n"],
    wanted: Float64[Tensor, "n d_model"],
    weight: float = 0.0,
) -> tuple[Float64[Tensor, "cells n"], Float64[Tensor, "n d_model"]]:
    """The change dV = left right of values that minimises weight tr(dV^T C dV) + sum of |dV^T k - wanted|^2.

    left = C^-1 K, right = (weight I + K^T C^-1 K)^-1 wanted.

    Args:
        moments: C, positive definite.
        keys: K, a column each.
        wanted: what the output at each key is to be more than it is, a row each.
        weight: of what C says, against the keys; 0: outputs are as wanted exactly.

    Returns:
        left and right; the change has rank n at most.

    Raises:
        InputError: ``weight`` is 0, and keys depend on each other.

    Cost: cells^3 / 3 for the factors of C.
    """
    left = torch.cholesky_solve(keys, torch.linalg.cholesky(moments))
    inner = keys.T @ left
    sizes = torch.linalg.eigvalsh(inner)
    if weight == 0 and float(sizes[0]) <= _SINGULAR * float(sizes[-1]):
        raise InputError(
            f"the {keys.shape[1]} facts have keys that depend on each other: two have the same subject, or one has no "
            "coefficient at all",
            "Expected facts about different subjects, or a weight above 0",
            "Write --weight 1, or leave one of the facts out",
        )
    right = torch.linalg.solve(inner + weight * torch.eye(len(inner), dtype=inner.dtype), wanted)
    return left, right


def cells_touched(moved: Float64[Tensor, "cells"]) -> float:
    """In how many cells a change lies: (sum of u^2)^2 / sum of u^4, the number of cells if all move alike; 0 for no change."""
    squares = moved.double() ** 2
    fourth = float((squares**2).sum())
    return float(squares.sum()) ** 2 / fourth if fourth > 0 else 0.0
