"""Weights that lie elsewhere than where they are used: a model that accelerate has spread over devices, or left on the disk.

Its hooks bring what a part of the model needs when that part runs. Who reads weights without running it brings them here.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

_PLAIN = {nn.Parameter}


@contextmanager
def present(module: nn.Module | None, *, alone: bool = False) -> Iterator[None]:
    """Have the weights of a module where they are used, while this lasts; a tensor that is taken out of it stays.

    A part that runs meanwhile takes its weights away behind it: read first. Costs nothing where all weights are in place.

    Args:
        module: with all its parts; None: nothing is brought.
        alone: without its parts.
    """
    brought = []
    parts = [] if module is None else [module] if alone else module.modules()
    try:
        for part in parts:
            hook = getattr(part, "_hf_hook", None)
            if hook is not None and _is_away(part):
                hook.pre_forward(part)
                brought.append((part, hook))
        yield
    finally:
        for part, hook in brought:
            hook.post_forward(part, None)


def is_offloaded(module: nn.Module) -> bool:
    """Whether some of a model's weights are brought each time that they are used."""
    return any(hasattr(part, "_hf_hook") and _is_away(part) for part in module.modules())


def device_of(module: nn.Module) -> torch.device:
    """Where a part of a model computes."""
    for part in module.modules():
        for hook in _hooks(part):
            if getattr(hook, "execution_device", None) is not None:
                place = hook.execution_device
                return torch.device("cuda", place) if isinstance(place, int) else torch.device(place)
    own: Tensor | None = next(module.parameters(), None)
    return torch.device("cpu") if own is None else own.device


def parameters_of(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """All parameters by name, each present while it is looked at; a shared one once, under its first name."""
    named = dict(module.named_parameters())
    for name in _other_names(module, named):
        del named[name]
    for name, parameter in sorted(named.items()):
        if parameter.device.type != "meta":
            yield name, parameter
            continue
        path, _, last = name.rpartition(".")
        owner = module.get_submodule(path)
        with present(owner, alone=True):
            yield name, getattr(owner, last)


def _other_names(module: Any, named: Mapping[str, Tensor]) -> set[str]:
    """Names of tied weights after the first, which is the only one where all is in place: away, each name has its own."""
    tied: dict[str, list[str]] = {}
    for name, source in (getattr(module, "all_tied_weights_keys", None) or {}).items():
        tied.setdefault(source, [source]).append(name)
    order = list(named)
    groups = [sorted((name for name in names if name in named), key=order.index) for names in tied.values()]
    return {name for group in groups for name in group[1:] if named[name].device.type == "meta"}


def is_plain(parameter: Tensor) -> bool:
    """Whether it is a parameter of torch's own kind: what packs weights brings a class of its own."""
    return type(parameter) in _PLAIN


def forget(module: nn.Module) -> None:
    """Let go of what hooks keep of weights, of a model that runs no more."""
    for part in module.modules():
        for hook in _hooks(part):
            hook.weights_map, hook.tied_params_map = None, None


def _hooks(part: nn.Module) -> list[Any]:
    """Of accelerate, on one module: one, or several in a row."""
    hook = getattr(part, "_hf_hook", None)
    return [] if hook is None else list(getattr(hook, "hooks", [hook]))


def _is_away(part: nn.Module) -> bool:
    return any(one.device.type == "meta" for one in part.parameters(recurse=False))
