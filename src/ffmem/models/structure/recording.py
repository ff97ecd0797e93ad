"""One pass of a model, with what each of its modules was given and gave."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from ffmem.models.base import CallArguments


@dataclass
class Call:
    """One run of a module."""

    path: str
    module: Any
    begin: int
    """When it began, among all beginnings and ends."""
    end: int = -1
    inputs: tuple[Tensor, ...] = ()
    """Floating-point tensors that it was given, each as rows of its last dimension."""
    outputs: tuple[Tensor, ...] = ()
    """The same of what it gave."""
    ids: tuple[Tensor, ...] = ()
    """Whole numbers that it was given."""
    axes: int = 0
    """Of the first of its outputs."""
    weights: Tensor | None = None
    """The last of its outputs where that is one matrix for each head, as attention gives its weights."""
    named: frozenset[str] = frozenset()
    """Arguments that it was given by name."""

    @property
    def output(self) -> Tensor:
        """The first of its outputs."""
        return self.outputs[0]

    @property
    def input(self) -> Tensor:
        """The first of its inputs."""
        return self.inputs[0]


def run_again(module: Any, states: Tensor) -> Tensor:
    """What a module gives for other states, the first of its outputs if there are several; run where its own numbers are.

    Args:
        module: any that takes one tensor.
        states: wherever they are, all that is recorded on the CPU; what comes back is there, too.
    """
    own = next(chain(module.parameters(), module.buffers()), states)
    with torch.no_grad():
        found = module(states.to(own.device))
    output: Tensor = found if isinstance(found, Tensor) else found[0]
    return output.detach().to(states.device)


@dataclass
class Recording:
    """All runs of modules in one pass, in the order in which they began."""

    calls: list[Call]
    answer: Any
    """What the model gave."""
    by_input: dict[int, list[Call]] = field(default_factory=lambda: defaultdict(list))
    by_output: dict[int, list[Call]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        for call in self.calls:
            for one in call.inputs:
                self.by_input[mark(one)].append(call)
            for one in call.outputs:
                self.by_output[mark(one)].append(call)

    def of(self, module: nn.Module) -> list[Call]:
        """The runs of one module."""
        return [call for call in self.calls if call.module is module]

    def within(self, call: Call) -> list[Call]:
        """What ran while a module ran, below it."""
        prefix = f"{call.path}." if call.path else ""
        return [
            one
            for one in self.calls
            if call.begin < one.begin and one.end < call.end and one.path.startswith(prefix) and one is not call
        ]

    def givers(self, states: Tensor) -> list[Call]:
        """The runs that gave these very numbers, the first to end first."""
        return sorted(self.by_output.get(mark(states), ()), key=lambda call: call.end)

    def takers(self, states: Tensor) -> list[Call]:
        """The runs that were given these very numbers."""
        return list(self.by_input.get(mark(states), ()))


def mark(states: Tensor) -> int:
    """The same number for the same numbers, in whatever shape."""
    return hash((states.shape[-1], (states.float() + 0.0).contiguous().numpy().tobytes()))


def record(module: nn.Module, arguments: CallArguments) -> Recording:
    """One pass of a model.

    Args:
        module: the model, in eval mode.
        arguments: what it is called with.
    """
    calls: list[Call] = []
    open_calls: list[Call] = []
    clock = iter(range(2**62))
    paths = {part: path for path, part in reversed(list(module.named_modules()))}

    def before(part: nn.Module, given: tuple[Any, ...], named: CallArguments) -> None:
        values = [*given, *named.values()]
        call = Call(
            paths[part],
            part,
            next(clock),
            inputs=tuple(_rows(one) for one in _tensors(values) if one.is_floating_point()),
            ids=tuple(one.detach().clone() for one in _tensors(values) if one.dtype in (torch.int64, torch.int32)),
            named=frozenset(named),
        )
        calls.append(call)
        open_calls.append(call)

    def after(part: nn.Module, _: Any, __: Any, output: Any) -> None:
        while open_calls and open_calls[-1].module is not part:
            open_calls.pop()
        if open_calls:
            call = open_calls.pop()
            call.end = next(clock)
            call.outputs = tuple(_rows(one) for one in _tensors([output]) if one.is_floating_point())
            call.axes = next((one.ndim for one in _tensors([output])), 0)
            last = output[-1] if isinstance(output, tuple | list) and len(output) > 1 else None
            if isinstance(last, Tensor) and last.ndim == 4:
                call.weights = last.detach().cpu().clone()

    handles: list[Any] = []
    try:
        for part in paths:
            handles.append(part.register_forward_pre_hook(before, with_kwargs=True))
            handles.append(part.register_forward_hook(after, with_kwargs=True))
        with torch.no_grad():
            answer = module(**arguments)
    finally:
        for handle in handles:
            handle.remove()
    return Recording([call for call in calls if call.end >= 0], answer)


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            if value.ndim and value.numel():
                yield value
        elif isinstance(value, dict):
            yield from _tensors(value.values())
        elif isinstance(value, Sequence) and not isinstance(value, str):
            yield from _tensors(value)


def _rows(states: Tensor) -> Tensor:
    return states.detach().cpu().reshape(-1, states.shape[-1]).clone()
