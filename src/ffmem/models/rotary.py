"""Rotary positions whose frequencies depend on the length of an input: asked of the modules themselves."""

import inspect
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn


def rotary_error(module: nn.Module, short: int, long: int) -> float | None:
    """How much the rotations of the first positions differ between an input of one length and a longer one.

    Args:
        module: a model.
        short: positions of the one.
        long: positions of the other.

    Returns:
        The largest difference of a sine or cosine; None if the model has no rotary positions, or both lengths are equal.
    """
    if long <= short:
        return None
    errors = [
        float((one[:, :short] - other[:, :short]).abs().max())
        for part in module.modules()
        if _is_rotary(part)
        for named in _layer_types(part)
        for one, other in zip(_rotations(part, short, named), _rotations(part, long, named), strict=True)
    ]
    return max(errors, default=None)


def has_rotary(module: nn.Module) -> bool:
    """Whether a model has rotary positions."""
    return any(map(_is_rotary, module.modules()))


def _is_rotary(part: nn.Module) -> bool:
    has_frequencies = any(name.endswith("inv_freq") for name, _ in part.named_buffers(recurse=False))
    return has_frequencies and "position_ids" in inspect.signature(part.forward).parameters


def _layer_types(part: Any) -> Iterator[dict[str, str]]:
    """The kinds of layers that a module has frequencies for; where it makes no difference, one without a name."""
    if isinstance(getattr(part, "rope_type", None), dict):
        yield from ({"layer_type": name} for name in part.rope_type)
    else:
        yield {}


def _rotations(part: nn.Module, n: int, named: dict[str, str]) -> tuple[Tensor, ...]:
    buffer = next(part.buffers(recurse=False))
    positions = torch.arange(n, device=buffer.device)[None]
    found = part(buffer.new_zeros(1, n, 1), positions, **named)
    found = (found,) if isinstance(found, Tensor) else found
    return tuple(torch.view_as_real(one) if one.is_complex() else one.float() for one in found)
