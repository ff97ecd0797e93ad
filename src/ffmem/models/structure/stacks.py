"""The stacks of a model: lists of layers, each of which takes the stream from the one before and hands it on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from ffmem.models.structure.recording import Call, Recording, mark


@dataclass(frozen=True)
class LayerRun:
    """One run of a layer."""

    call: Call
    before: Tensor
    """The stream that it was given."""
    after: Tensor
    """The stream that it gave."""
    run: int
    """Which run of its module it is, of `runs`."""
    runs: int


@dataclass(frozen=True)
class Stack:
    """A list of layers, as it ran."""

    path: str
    """Of the list, from the model."""
    backbone: str
    """Of the module that token ids are given to, and that the list is in."""
    layers: tuple[LayerRun, ...]

    @property
    def inner_path(self) -> str:
        """Of the list, from the backbone."""
        return self.path.removeprefix(self.backbone).removeprefix(".") if self.backbone else self.path


def find_stacks(module: nn.Module, recording: Recording, inputs: Sequence[Tensor]) -> list[Stack]:
    """The outermost lists of layers, in the order in which they ran.

    Args:
        module: the model.
        recording: of a pass.
        inputs: the token ids that it was given: those of an encoder, and those of a decoder.
    """
    found: list[Stack] = []
    for path, part in module.named_modules():
        if not isinstance(part, nn.ModuleList | nn.Sequential) or any(_is_below(path, one.path) for one in found):
            continue
        members = {id(one): number for number, one in enumerate(part)}
        calls = [call for call in recording.calls if id(call.module) in members]
        layers = _chain(calls, len(members)) if calls else None
        backbone = None if layers is None else _backbone(recording, layers[0].call, inputs)
        if layers is not None and backbone is not None:
            found.append(Stack(path, backbone, layers))
    return sorted(found, key=lambda stack: stack.layers[0].call.begin)


def _is_below(path: str, above: str) -> bool:
    return path.startswith(f"{above}.")


def _backbone(recording: Recording, layer: Call, inputs: Sequence[Tensor]) -> str | None:
    """The innermost module that was given token ids, and ran while a layer did."""
    around = [
        call
        for call in recording.calls
        if call.begin < layer.begin
        and layer.end < call.end
        and any(ids.shape == one.shape and bool((ids == one).all()) for ids in call.ids for one in inputs)
    ]
    return max(around, key=lambda call: call.begin).path if around else None


def _chain(calls: Sequence[Call], n_members: int) -> tuple[LayerRun, ...] | None:
    """The runs of a list's members, if the stream goes through them one after the other; all run equally often."""
    calls = sorted(calls, key=lambda call: call.begin)
    counts: dict[int, int] = {}
    for call in calls:
        counts[id(call.module)] = counts.get(id(call.module), 0) + 1
    if len(counts) != n_members or len(set(counts.values())) != 1 or not all(call.outputs for call in calls):
        return None
    streams = list(_streams(calls))
    if len(streams) != len(calls):
        return None
    seen: dict[int, int] = {}
    layers = []
    for call, (before, after) in zip(calls, streams, strict=True):
        run = seen.get(id(call.module), 0)
        seen[id(call.module)] = run + 1
        layers.append(LayerRun(call, before, after, run, counts[id(call.module)]))
    return tuple(layers)


def _streams(calls: Sequence[Call]) -> Iterator[tuple[Tensor, Tensor]]:
    """What each run was given and gave of the stream; fewer than there are runs where it is broken."""
    for number, call in enumerate(calls):
        after = call.output
        if number + 1 < len(calls):
            taken = {mark(one) for one in calls[number + 1].inputs}
            handed_on = [one for one in call.outputs if mark(one) in taken]
            if not handed_on or calls[number + 1].begin < call.end:
                return
            after = handed_on[0]
        if number:
            given = {mark(one) for one in calls[number - 1].outputs}
            before = next((one for one in call.inputs if mark(one) in given), None)
        else:
            before = next((one for one in call.inputs if one.shape == after.shape), None)
        if before is None or before.shape != after.shape:
            return
        yield before, after
