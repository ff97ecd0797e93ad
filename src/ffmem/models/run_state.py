"""What a model keeps beside its parameters, and may change with what it is given: frequencies of rotary positions, for one."""

from typing import Any

import torch
from torch import Tensor, nn

_LARGEST = 1_000_000
"""Numbers of a buffer that is copied; of larger ones (masks of all positions) it is only noticed that they were written to."""
_PLAIN = (bool, int, float, str, type(None), Tensor)

_Values = dict[str, Any]
"""By name, a buffer's copy or an attribute's value."""


class RunState:
    """Buffers and plain attributes of all parts of a model, as they are now.

    Args:
        module: the model.
    """

    def __init__(self, module: nn.Module) -> None:
        self._parts = {name: (part, _buffers(part), _attributes(part)) for name, part in module.named_modules()}

    def changed(self) -> list[str]:
        """What is another than it was, as dotted paths. What is new does not count: it is made once, when first needed."""
        found = []
        for name, (part, buffers, attributes) in self._parts.items():
            now = {**_buffers(part), **_attributes(part)}
            before = {**buffers, **attributes}
            found += [f"{name}.{what}" for what in before if what not in now or not _same(before[what], now[what])]
        return found

    def restore(self) -> None:
        """Put back what was copied."""
        for part, buffers, attributes in self._parts.values():
            for what, value in buffers.items():
                if isinstance(value, Tensor) and not _same(value, part._buffers.get(what)):
                    part._buffers[what] = value.clone()
            for what, value in attributes.items():
                if not _same(value, part.__dict__.get(what)):
                    part.__dict__[what] = value.clone() if isinstance(value, Tensor) else value


def _buffers(part: nn.Module) -> _Values:
    """Copies of small buffers; of large ones how often they were written to."""
    found: _Values = {}
    for name, buffer in part.named_buffers(recurse=False):
        if buffer.numel() <= _LARGEST:
            found[name] = buffer.detach().clone()
        else:
            found[name] = (id(buffer), None if buffer.is_inference() else buffer._version)
    return found


def _attributes(part: nn.Module) -> _Values:
    return {
        name: value.detach().clone() if isinstance(value, Tensor) else value
        for name, value in vars(part).items()
        # what begins with "_" is the library's own book-keeping
        if isinstance(value, _PLAIN) and name != "training" and not name.startswith("_")
    }


def _same(before: Any, now: Any) -> bool:
    if isinstance(before, Tensor) or isinstance(now, Tensor):
        as_tensors = [torch.as_tensor(one) for one in (before, now) if isinstance(one, Tensor | bool | int | float)]
        return (
            len(as_tensors) == 2
            and as_tensors[0].shape == as_tensors[1].shape
            and bool((as_tensors[0].cpu() == as_tensors[1].cpu()).all())
        )
    return type(before) is type(now) and bool(before == now)
