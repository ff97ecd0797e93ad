"""What one layer is: its memories, and how they reach the stream; or that it has none."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ffmem.models.structure.dense import Dense, Hypotheses, Tried, find_dense
from ffmem.models.structure.experts import Experts, find_experts
from ffmem.models.structure.matrices import matrices
from ffmem.models.structure.norms import NormKind, norm_kind
from ffmem.models.structure.numbers import LEAST, TOLERANCE, error, fit
from ffmem.models.structure.recording import Call, Recording, mark, run_again
from ffmem.models.structure.stacks import LayerRun
from ffmem.models.structure.stream import LayerStream, Update


@dataclass(frozen=True)
class Shared:
    """Cells beside experts that every position sees."""

    dense: Dense
    gate: Call | None
    scale: float


@dataclass(frozen=True)
class Memories:
    """The one explanation of a layer's feed-forward layer."""

    dense: Dense | None
    experts: Experts | None
    shared: tuple[Shared, ...]
    expert_scale: float
    sums: tuple[str, ...]
    """Of a mixture, the modules whose outputs add up to y; paths from the model."""
    y: Tensor
    update: Update
    norms: tuple[NormKind, ...]

    @property
    def errors(self) -> tuple[float, float]:
        """Of the coefficients (of experts: of their output), and of the layer's output."""
        of_cells = [one.error for one in (self.dense, self.experts) if one is not None]
        return max([*of_cells, *(one.dense.error for one in self.shared)]), self.update.error


class NotExplainedError(Exception):
    """A layer has something like a feed-forward layer that is not understood."""


def explain_layer(recording: Recording, layer: LayerRun, tried: Hypotheses, missed: Tried) -> Memories | None:
    """The memories of a layer; None if it has no feed-forward layer.

    Raises:
        NotExplainedError: it has something like one, which no hypothesis explains.
    """
    d_model, n = layer.after.shape[1], len(layer.after)
    inner = [one for one in recording.within(layer.call) if one.outputs and one.inputs]
    alike = [one for one in inner if len(one.output) == n]
    found = find_dense(alike, matrices(alike, tried.limit), d_model, tried, missed)
    experts = find_experts(inner, d_model, tried, missed)
    if not found and not experts:
        _check_none(recording, layer, inner)
        return None
    if len(experts) > 1:
        raise NotExplainedError(f"{layer.call.path} has {len(experts)} modules of experts")
    for one in _sums(recording, layer, inner, found, experts[0] if experts else None, tried.limit):
        x = one.experts.call.input if one.experts and not one.experts.stacked.weighted_inputs else one.x
        stream = LayerStream(recording, layer, inner, x, one.y, tried.limit)
        update = stream.explain(missed)
        if update is not None:
            norms = tuple(kind for call in update.norms if (kind := norm_kind(call, tried.limit)) is not None)
            return Memories(one.dense, one.experts, one.shared, one.scale, one.sums, one.y, update, norms)
    raise NotExplainedError(f"what {layer.call.path} adds to the stream is not its memories alone: {missed.nearest}")


@dataclass(frozen=True)
class _Sum:
    """Memories whose sum is known."""

    x: Tensor
    y: Tensor
    dense: Dense | None = None
    experts: Experts | None = None
    shared: tuple[Shared, ...] = ()
    scale: float = 1.0
    sums: tuple[str, ...] = ()


def _sums(
    recording: Recording,
    layer: LayerRun,
    inner: Sequence[Call],
    found: Sequence[Dense],
    experts: Experts | None,
    limit: float,
) -> Iterator[_Sum]:
    if experts is None:
        if len(found) > 1:
            paths = ", ".join(one.value.path for one in found)
            raise NotExplainedError(f"{layer.call.path} has several feed-forward layers: {paths}")
        yield _Sum(found[0].x, found[0].value.output, found[0])
        return
    routed = experts.call.output
    if experts.stacked.weighted_inputs:
        routed = routed.view(experts.n_experts, -1, routed.shape[1]).sum(0)
    yield from _in_a_block(layer, inner, found, experts, routed, limit)
    if not experts.stacked.weighted_inputs and not any(one.gate for one in _gated(inner, found)):
        y = torch.stack([routed, *(one.value.output for one in found)]).sum(0)
        shared = tuple(Shared(one, None, 1.0) for one in found)
        sums = (experts.call.path, *(one.value.path for one in found))
        yield _Sum(experts.call.input, y, None, experts, shared, 1.0, sums)


def _in_a_block(
    layer: LayerRun, inner: Sequence[Call], found: Sequence[Dense], experts: Experts, routed: Tensor, limit: float
) -> Iterator[_Sum]:
    """Where one module's output is the sum of experts and shared cells."""
    around = [
        call
        for call in inner
        if experts.call.path.startswith(f"{call.path}.") and call.output.shape == layer.after.shape
    ]
    shared = _gated(inner, found)
    parts = [routed, *(one.weighted for one in shared)]
    for block in sorted(around, key=lambda call: -call.begin):
        scales, missed = fit(block.output, parts)
        if missed > limit or min(map(abs, scales)) < LEAST:
            continue
        cells = tuple(Shared(one.dense, one.gate, scale) for one, scale in zip(shared, scales[1:], strict=True))
        own = block.path == experts.call.path.rpartition(".")[0] and mark(block.input) == mark(
            found[0].x if found else experts.call.input
        )
        sums = () if own else (block.path,)
        x = block.input if experts.stacked.weighted_inputs else experts.call.input
        yield _Sum(x, block.output, None, experts, cells, scales[0], sums)


@dataclass(frozen=True)
class _Weighted:
    dense: Dense
    gate: Call | None
    weighted: Tensor


def _gated(inner: Sequence[Call], found: Sequence[Dense]) -> list[_Weighted]:
    """Shared cells, multiplied with the sigmoid of a matrix of one output where there is one."""
    weighted = []
    for dense in found:
        gate = next(
            (
                one
                for one in inner
                if one.output.shape[1] == 1 and mark(one.input) == mark(dense.x) and dense.value.module.bias is None
            ),
            None,
        )
        output = dense.value.output
        weighted.append(_Weighted(dense, gate, output if gate is None else output * torch.sigmoid(gate.output)))
    return weighted


def _check_none(recording: Recording, layer: LayerRun, inner: Sequence[Call]) -> None:
    """Refuse to pass over a layer in which something treats each position by itself, as a feed-forward layer does."""
    n = len(layer.after)
    for call in inner:
        matrices_in = sum(one.ndim >= 2 and one.shape[-1] > 1 for one in call.module.parameters())
        if matrices_in < 2 or call.output.shape != layer.after.shape or call.input.shape != layer.after.shape:
            continue
        try:
            one, other = (run_again(call.module, states[None]) for states in (call.input, _first_replaced(call.input)))
        except Exception:  # noqa: BLE001 (it needs more than states: attention, which is what a layer may consist of)
            continue
        if one.shape == other.shape and error(other.reshape(n, -1)[1:], one.reshape(n, -1)[1:]) < 1e-4:
            raise NotExplainedError(
                f"{call.path} treats each position by itself, and is not explained{_hint(call, inner)}"
            )


def _hint(block: Call, inner: Sequence[Call]) -> str:
    """What is in a module that no hypothesis knows."""
    if any(isinstance(part, nn.ModuleDict | nn.ModuleList) for part in block.module.modules()):
        return ": its experts are modules of their own, not rows of one tensor"
    below = [one for one in inner if one.path.startswith(f"{block.path}.")]
    for one in below:
        if norm_kind(one, TOLERANCE) is not None and any(mark(other.input) == mark(one.output) for other in below):
            return f": the norm {one.path} stands between keys and values"
    return ""


def _first_replaced(states: Tensor) -> Tensor:
    """With another state at the first position, which every later one sees in attention of any kind."""
    return torch.cat((-3 * states[:1], states[1:]))
