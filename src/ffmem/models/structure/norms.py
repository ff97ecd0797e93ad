"""Modules that are norms, by what they gave in a pass: the form in which the rest of the house freezes them."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ffmem.models.structure.numbers import error
from ffmem.models.structure.recording import Call


@dataclass(frozen=True)
class NormKind:
    """gain * (z - mean(z)) * scale + bias, with gain = weight + offset; an RMSNorm does not centre."""

    centres: bool
    offset: float | None
    """None: there is no weight, and all gains are 1."""


def norm_kind(call: Call, limit: float) -> NormKind | None:
    """What kind of norm a module is in a pass; None if it is none."""
    if not call.inputs or len(call.outputs) != 1 or call.input.shape != call.output.shape:
        return None
    weight, bias = (_vector(call.module, name, call.input.shape[-1]) for name in ("weight", "bias"))
    if weight is None and getattr(call.module, "weight", None) is not None:
        return None
    states, expected = call.input.double(), call.output.double()
    expected = expected if bias is None else expected - bias
    for centres in (False, True):
        for offset in (None,) if weight is None else (0.0, 1.0):
            gain = torch.ones(states.shape[-1]).double() if weight is None or offset is None else weight + offset
            shaped = gain * (states - states.mean(-1, keepdim=True) if centres else states)
            if error(_scaled_to(shaped, expected), expected) <= limit and not _is_identity(call):
                return NormKind(centres, offset)
    return None


def _scaled_to(shaped: Tensor, expected: Tensor) -> Tensor:
    length = (shaped * shaped).sum(-1, keepdim=True)
    scale = torch.where(length > 0, (shaped * expected).sum(-1, keepdim=True) / length, 0.0)
    return shaped * scale


def _is_identity(call: Call) -> bool:
    return torch.equal(call.input, call.output)


def _vector(module: Any, name: str, n: int) -> Tensor | None:
    found = getattr(module, name, None)
    return found.detach().double().cpu() if isinstance(found, Tensor) and found.shape == (n,) else None
