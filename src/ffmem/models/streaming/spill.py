"""States of a pass that waits, moved from the device to the host's memory, and back when it goes on."""

from collections.abc import Iterable
from typing import Any
from weakref import ref

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

_LEAST = 1 << 20
"""Bytes of what is worth moving."""


class Spill:
    """What one pass has on the device while it waits.

    A storage is emptied, not its tensors replaced: whoever holds one, the model's own code among them, finds it as it was.

    Args:
        module: the model, whose own tensors stay.
        least: bytes of what is moved.
        always: also where the device's memory is the host's; for tests.
    """

    def __init__(self, module: nn.Module, least: int = _LEAST, always: bool = False) -> None:
        self._module, self._least, self._always = module, least, always
        self._known: list[ref[Tensor]] = []
        self._out: list[tuple[Tensor, torch.UntypedStorage, Tensor]] = []

    def out(self, arguments: Iterable[Any]) -> None:
        """Move what the pass was about to use, and what it used before and still has."""
        tensors = [one for one in tree_leaves(list(arguments)) if self._movable(one)]
        tensors += [one for one in (known() for known in self._known) if one is not None]
        if not tensors:
            return
        own = {one.untyped_storage().data_ptr() for one in _own_tensors(self._module)}
        moved: set[int] = set()
        for one in tensors:
            storage = one.untyped_storage()
            if storage.data_ptr() in own or storage.data_ptr() in moved:
                continue
            moved.add(storage.data_ptr())
            flat = torch.empty(0, dtype=torch.uint8, device=one.device).set_(storage)
            host = torch.empty(flat.shape, dtype=torch.uint8, pin_memory=one.device.type == "cuda")
            host.copy_(flat, non_blocking=True)
            self._out.append((one, storage, host))
        self._known = [ref(one) for one, _, _ in self._out]
        for _, storage, _ in self._out:
            storage.resize_(0)

    def back(self) -> None:
        """Put all of that back."""
        for one, storage, host in self._out:
            storage.resize_(host.numel())
            torch.empty(0, dtype=torch.uint8, device=one.device).set_(storage).copy_(host, non_blocking=True)
        self._out = []

    def _movable(self, one: Any) -> bool:
        return (
            isinstance(one, Tensor)
            and (self._always or one.device.type != "cpu")
            and one.untyped_storage().nbytes() >= self._least
        )


def _own_tensors(module: nn.Module) -> list[Tensor]:
    """All that a model keeps between passes: what several of them may be using."""
    return [
        one
        for part in module.modules()
        for one in (*part._parameters.values(), *part._buffers.values(), *vars(part).values())
        if isinstance(one, Tensor)
    ]
