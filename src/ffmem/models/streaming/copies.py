"""Copies of weights where the model runs, and what stands in their place while they are not there."""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn


def to_device(source: Tensor, dtype: torch.dtype, device: torch.device) -> nn.Parameter:
    """A copy of weights on a device.

    On a GPU the numbers go through memory that it reads by itself, in the type of the file; called from a thread of its own,
    the copying does not wait for the products of others, nor they for it.
    """
    with torch.inference_mode(False), torch.no_grad():
        if device.type != "cuda":
            return nn.Parameter(source.to(device, dtype, copy=True), requires_grad=False)
        with torch.cuda.device(device), torch.cuda.stream(_copying(device)):
            staged = torch.empty(source.shape, dtype=source.dtype, pin_memory=True).copy_(source)
            found = nn.Parameter(staged.to(device, non_blocking=True).to(dtype), requires_grad=False)
            # who takes it does so on another stream
            torch.cuda.current_stream(device).synchronize()
            return found


def placeholder(shape: torch.Size, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Something of that shape and type that takes no memory; whoever computes with it gets NaN."""
    fill = float("nan") if dtype.is_floating_point else 0
    return torch.full((1,), fill, dtype=dtype, device=device).expand(shape)


@cache
def _copying(device: torch.device) -> torch.cuda.Stream:
    make: Any = torch.cuda.Stream  # its constructor has no types
    found: torch.cuda.Stream = make(device)
    return found
