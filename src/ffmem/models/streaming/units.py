"""The weights of a model in the portions in which they are brought: one for each block, and for each large matrix beside.

A block is a member of one of the model's outermost lists of modules: the Transformer layers, whatever family they are of.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ffmem.models.streaming.pages import FilePages

_SMALL = 8
"""What stands beside the blocks and is smaller than so many parts of one stays: norms, biases."""


@dataclass(eq=False)
class Weight:
    """A parameter: where its numbers lie, and what it is where the model runs."""

    parameter: nn.Parameter
    """What the module has in its place: of the right shape, type and device, though not always with its numbers."""
    source: Tensor
    """Its numbers, as the file has them."""
    dtype: torch.dtype
    """As the model runs it."""
    in_file: bool
    """Whether the source is a piece of a file, so that its memory can be given back."""
    in_float32: bool = False
    """Whether what the model runs with is given in float32 for a while."""

    @property
    def given_in(self) -> torch.dtype:
        """The type in which it is given now."""
        return torch.float32 if self.in_float32 else self.dtype

    def runs_in_place(self, device: torch.device) -> bool:
        """Whether the source itself is what the model runs with."""
        return device.type == "cpu" and self.source.dtype == self.dtype == self.given_in

    @property
    def n_bytes(self) -> int:
        """Bytes that it takes where the model runs."""
        return self.source.numel() * self.given_in.itemsize

    def stays(self, device: torch.device) -> bool:
        """Whether it takes memory of the device always: nothing but this process has its numbers."""
        return device.type == "cpu" and not self.in_file


@dataclass(eq=False)
class Unit:
    """Weights that are brought, and given back, together."""

    name: str
    is_block: bool = False
    weights: list[Weight] = field(default_factory=list)
    last_used: int = 0

    @property
    def n_bytes(self) -> int:
        """Bytes where the model runs."""
        return sum(one.n_bytes for one in self.weights)


def blocks_of(module: nn.Module) -> dict[str, nn.Module]:
    """The blocks of a model by their path, in the order in which they stand in it."""
    return dict(_blocks(module, ""))


def _blocks(module: nn.Module, path: str) -> Iterator[tuple[str, nn.Module]]:
    for name, part in module.named_children():
        if isinstance(module, nn.ModuleList):
            if any(True for _ in part.parameters()):
                yield path + name, part
        else:
            yield from _blocks(part, f"{path}{name}.")


def units_of(
    module: nn.Module, dtype_of: Callable[[Tensor], torch.dtype], pages: FilePages
) -> tuple[Unit, dict[str, Unit]]:
    """What stays, and the other units by the path of their block or module, in the order in which they stand in the model.

    Args:
        module: the model, with the numbers of its files.
        dtype_of: from such numbers to the type that they are to have.
        pages: what lies in files.
    """
    blocks = blocks_of(module)
    units: dict[str, Unit] = {path: Unit(path, True) for path in blocks}
    ordered: dict[str, Unit] = {}
    seen: set[int] = set()
    for path, part in module.named_modules():
        for parameter in part.parameters(recurse=False):
            if id(parameter) in seen:
                continue
            seen.add(id(parameter))
            owner = next((block for block in _ends_of(path) if block in units), path)
            unit = ordered.setdefault(owner, units.get(owner) or Unit(owner))
            source = parameter.detach()
            unit.weights.append(Weight(parameter, source, dtype_of(source), pages.hold(source)))
    return _without_small(ordered)


def _ends_of(path: str) -> Iterator[str]:
    """A path, and those of all that it lies in, from outside."""
    names = path.split(".")
    for n in range(1, len(names) + 1):
        yield ".".join(names[:n])


def _without_small(units: Mapping[str, Unit]) -> tuple[Unit, dict[str, Unit]]:
    largest = max((unit.n_bytes for unit in units.values() if unit.is_block), default=0)
    rest = Unit("what stands beside its blocks")
    kept: dict[str, Unit] = {}
    for path, unit in units.items():
        if unit.is_block or unit.n_bytes * _SMALL >= max(largest, 1):
            kept[path] = unit
        else:
            rest.weights += unit.weights
    return rest, kept
