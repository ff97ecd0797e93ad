"""Feed-forward layers of matrices: each hypothesis on where keys and values are is held to the numbers of one pass."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ffmem.models.base import Outputs
from ffmem.models.structure.activations import Activation
from ffmem.models.structure.numbers import error
from ffmem.models.structure.recording import Call, mark, run_again

HALVES: tuple[tuple[Outputs, Outputs], ...] = (
    ((None, -2, None), (-2, None, None)),  # first and second half
    ((-2, None, None), (None, -2, None)),
    ((0, None, 2), (1, None, 2)),
    ((1, None, 2), (0, None, 2)),
)


@dataclass(frozen=True)
class Activated:
    """What products with keys go through, as it was found."""

    name: str
    function: Activation
    path: str = ""
    """Of the module that it is, where it has no name that is known."""
    plain: bool = True
    """Whether it is the function of that name."""


@dataclass(frozen=True)
class Dense:
    """Keys and values that explain each other's numbers."""

    key: Call
    """The matrix of the keys, or of the gate keys."""
    up: Call | None
    """That of the up keys; None: cells are not gated."""
    halves: tuple[Outputs, Outputs] | None
    value: Call
    activated: Activated
    error: float

    @property
    def x(self) -> Tensor:
        """What keys are compared with."""
        return self.key.input

    @property
    def calls(self) -> list[Call]:
        """All its matrices."""
        return [self.key, *([] if self.up is None else [self.up]), self.value]


@dataclass
class Tried:
    """What was tried and missed: for whoever wants to know why a model is refused."""

    best: list[tuple[float, str]] = field(default_factory=list)

    def note(self, missed: float, what: str) -> None:
        """Remember a hypothesis by how far it missed."""
        if missed < float("inf"):
            self.best.append((missed, what))

    @property
    def nearest(self) -> str:
        """The hypothesis that missed by least."""
        return "" if not self.best else f"{min(self.best)[1]} misses by {min(self.best)[0]:.2g}"


@dataclass(frozen=True)
class Hypotheses:
    """What activations are tried on a model."""

    named: Mapping[str, Activation]
    constants: Sequence[float]
    limit: float


def find_dense(
    inner: Sequence[Call], matrices: Sequence[Call], d_model: int, tried: Hypotheses, missed: Tried
) -> list[Dense]:
    """All pairs, or triples, of matrices in a layer of which the inputs of one are the activated products of the others.

    Args:
        inner: the runs of modules in the layer.
        matrices: those of them that are linear maps.
        d_model: width of the stream.
        tried: what to try.
        missed: is told what comes near.
    """
    found = []
    for value in matrices:
        if value.output.shape[-1] != d_model:
            continue
        one = _explain(value, inner, matrices, tried, missed)
        if one is not None:
            found.append(one)
    return found


def _explain(
    value: Call, inner: Sequence[Call], matrices: Sequence[Call], tried: Hypotheses, missed: Tried
) -> Dense | None:
    earlier = [one for one in matrices if one.end < value.begin and len(one.output) == len(value.input)]
    for candidate in _candidates(value, earlier, inner, tried):
        if candidate.error <= tried.limit:
            return candidate
        missed.note(candidate.error, f"{value.path}: {candidate.activated.name} of {candidate.key.path}")
    return None


def _candidates(value: Call, earlier: Sequence[Call], inner: Sequence[Call], tried: Hypotheses) -> Iterator[Dense]:
    m = value.input
    d_ff = m.shape[-1]
    singles = [one for one in earlier if one.output.shape[-1] == d_ff]
    doubles = [one for one in earlier if one.output.shape[-1] == 2 * d_ff]
    for key in reversed(singles):
        for activated in _activations(key.output, inner, tried):
            yield Dense(key, None, None, value, activated, error(activated.function(key.output), m))
    pairs = [(a, b) for a in singles for b in singles if a is not b and mark(a.input) == mark(b.input)]
    for name, function in tried.named.items():
        for gate, up in pairs:
            yield Dense(gate, up, None, value, Activated(name, function), error(function(gate.output) * up.output, m))
    for both in reversed(doubles):
        for name, function in tried.named.items():
            for halves in HALVES:
                gate_half, up_half = (both.output[:, slice(*_outputs(one, d_ff))] for one in halves)
                cut = (_outputs(halves[0], d_ff), _outputs(halves[1], d_ff))
                yield Dense(both, both, cut, value, Activated(name, function), error(function(gate_half) * up_half, m))
    for gate, up in pairs:
        yield from _scaled(gate, up, value, tried)


def _scaled(gate: Call, up: Call, value: Call, tried: Hypotheses) -> Iterator[Dense]:
    """Where the gate is multiplied with a number of the config before it is activated."""
    for name, function in list(tried.named.items())[:4]:
        for scale in tried.constants:
            scaled = _Scaled(function, scale)
            activated = Activated(name, scaled, plain=False)
            yield Dense(gate, up, None, value, activated, error(scaled(gate.output) * up.output, value.input))


@dataclass(frozen=True)
class _Scaled:
    """An activation of a multiple of what it is given."""

    function: Activation
    scale: float

    def __call__(self, products: Tensor) -> Tensor:
        return self.function(products * self.scale)


def _activations(products: Tensor, inner: Sequence[Call], tried: Hypotheses) -> Iterator[Activated]:
    for name, function in tried.named.items():
        yield Activated(name, function)
    for call in inner:
        # a module of the layer that was given the products, such as an activation with parameters of its own
        alone = len(call.inputs) == 1 and len(call.outputs) == 1 and getattr(call.module, "weight", None) is None
        if alone and call.output.shape == products.shape and mark(call.input) == mark(products):
            yield Activated(type(call.module).__name__, _Module(call.module), call.path, plain=False)


@dataclass(frozen=True)
class _Module:
    """A module as a function."""

    module: Any

    def __call__(self, products: Tensor) -> Tensor:
        return run_again(self.module, products)


def _outputs(half: Outputs, d_ff: int) -> Outputs:
    """Half of the outputs of a matrix, by numbers."""
    _, end, step = half
    if step is not None:
        return half
    return (0, d_ff, 1) if end == -2 else (d_ff, 2 * d_ff, 1)
