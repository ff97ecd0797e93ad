"""Integrated gradients of a gated cell, act(g) u, along the straight line that its gate and its up branch run through.

Along the line both are linear in t, from 0 to 1. So what one unit of g is worth is the integral of act'(g(t)) u(t) over t, and
what one unit of u is worth that of act(g(t)): two numbers a cell, however many tokens share it. Times what g and u gained
they add up to what act(g) u gained (Sundararajan, Taly, Yan, "Axiomatic Attribution for Deep Networks", ICML 2017).
"""

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

_BREAKS = (-40.0, -20.0, -10.0, -6.0, -3.0, -1.0, 0.0, 1.0, 3.0, 6.0, 10.0, 20.0)
"""Where g is at the ends of the pieces: at every kink that an activation of transformers has (0, and 1, 3, 6 and 10 of either
sign), and close where the smooth ones bend."""
_N_NODES = 12
"""Of a piece: SiLU and GELU come out to about 1e-12."""

Activation = Callable[[Tensor], Tensor]


@cache
def _rule() -> tuple[Float[Tensor, "nodes"], Float[Tensor, "nodes"]]:
    """Gauss-Legendre on 0 to 1."""
    nodes, weights = np.polynomial.legendre.leggauss(_N_NODES)
    return torch.from_numpy((nodes + 1) / 2), torch.from_numpy(weights / 2)


def _with_slopes(activation: Activation, at: Float[Tensor, "*points"]) -> tuple[Tensor, Tensor]:
    """The activation at some points, and its derivative."""
    with torch.inference_mode(mode=False), torch.enable_grad():
        points = at.detach().clone().requires_grad_()
        values = activation(points)
        (slopes,) = torch.autograd.grad(values.sum(), points)
    return values.detach(), slopes


def slopes_on_line(
    activation: Activation,
    gate: tuple[Float[Tensor, "cells"], Float[Tensor, "cells"]],
    up: tuple[Float[Tensor, "cells"], Float[Tensor, "cells"]],
) -> tuple[Float[Tensor, "cells"], Float[Tensor, "cells"]]:
    """What one unit of the gate, and one of the up branch, is worth in act(gate) up, on average over a straight line.

    Args:
        activation: of the gate.
        gate: where its line begins, and where it ends; float64.
        up: the same of the up branch.
    """
    (start, end), (up_start, up_end) = gate, up
    nodes, weights = (one.to(start.device) for one in _rule())
    gained = end - start
    breaks = (torch.tensor(_BREAKS, dtype=start.dtype, device=start.device) - start[:, None]) / gained[:, None]
    breaks = torch.where(gained[:, None] == 0, 0.0, breaks).clamp(0, 1).sort(dim=1).values
    ends = torch.cat([torch.zeros_like(breaks[:, :1]), breaks, torch.ones_like(breaks[:, :1])], 1)
    lengths = ends.diff(dim=1)
    cells, pieces = (lengths > 0).nonzero(as_tuple=True)  # a line passes few of the breaks
    times = ends[cells, pieces, None] + lengths[cells, pieces, None] * nodes
    values, slopes = _with_slopes(activation, start[cells, None] + times * gained[cells, None])
    ups = up_start[cells, None] + times * (up_end - up_start)[cells, None]
    shares = lengths[cells, pieces, None] * weights
    of_gate, of_up = torch.zeros_like(start), torch.zeros_like(start)
    of_gate.index_add_(0, cells, (slopes * ups * shares).sum(1))
    of_up.index_add_(0, cells, (values * shares).sum(1))
    return of_gate, of_up
