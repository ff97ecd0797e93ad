"""Coefficients of a running model, read or changed on their way into the sum of memories; hooks leave with their context."""

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ffmem.models.base import CallArguments
from ffmem.models.dictionaries.dictionary import Dictionary
from ffmem.models.layers import FeedForward
from ffmem.models.mixture import MixtureLayer

OnLayer = Callable[[int, Float[Tensor, "batch positions cells"]], None]
"""Takes a layer's place and the coefficients of all its cells."""
OnExpert = Callable[[int, int, Int[Tensor, "routed"], Float[Tensor, "routed d_ff"]], None]
"""Takes a layer's place, the number of an expert, the positions routed to it, and its coefficients there."""
OnGatedLayer = Callable[[int, Float[Tensor, "batch positions cells"], Bool[Tensor, "batch positions cells"]], None]
"""Takes what `OnLayer` takes, and where the gates are above 0."""
OnGatedExpert = Callable[
    [int, int, Int[Tensor, "routed"], Float[Tensor, "routed d_ff"], Bool[Tensor, "routed d_ff"]], None
]
"""Takes what `OnExpert` takes, and where the gates are above 0."""

ChangeLayer = Callable[[int, Float[Tensor, "batch positions cells"]], Float[Tensor, "batch positions cells"] | None]
"""Takes a layer's place and its coefficients; gives those to go on with, or None to leave them."""


class CoefficientHooks:
    """The hooks of a model's feed-forward layers.

    Args:
        layers: each feed-forward layer, with the number of its stack.
        backbones: the stacks.
        first: of each stack, the position of the first token: a decoder's start token has one before it.
    """

    def __init__(
        self, layers: Sequence[tuple[FeedForward, int]], backbones: Sequence[nn.Module], first: Sequence[int]
    ) -> None:
        self._layers, self._backbones, self._first = layers, backbones, first
        self.dictionaries: tuple[Dictionary, ...] = ()
        """Whose cells stand behind those of the layers."""

    @contextmanager
    def watch(
        self, on_layer: OnLayer, on_expert: OnExpert | None = None, layers: Collection[int] | None = None
    ) -> Iterator[None]:
        """Call ``on_layer(layer, coefficients)`` for all layers, or some, in each forward pass of the model, layer by layer.

        Mixtures of experts are reported by ``on_expert``, expert by expert, if it is given; otherwise by ``on_layer``,
        with zeros where a position is not routed to an expert. The tensors are the model's own: they must not be
        written to, and are only valid during the call. Dictionaries are reported only where they are among ``layers``.
        """
        with self._noting_shapes() as (shapes, stops):
            for place, (layer, stack) in enumerate(self._layers):
                if layers is not None and place not in layers:
                    continue
                if on_expert is not None and isinstance(layer, MixtureLayer):
                    stops.append(layer.watch_experts(partial(on_expert, place)))
                else:
                    stops.append(layer.watch(partial(self._report, on_layer, place, shapes, stack)))
            for place, one in enumerate(self.dictionaries, len(self._layers)):
                if layers is not None and place in layers:
                    stops.append(one.watch(partial(self._report, on_layer, place, shapes, one.stack)))
            yield

    @contextmanager
    def watch_gated(
        self, on_layer: OnGatedLayer, on_expert: OnGatedExpert | None = None, layers: Collection[int] | None = None
    ) -> Iterator[None]:
        """As `watch`, of a model of gated cells, with where the gates are above 0 before the activation."""
        with self._noting_shapes() as (shapes, stops):
            for place, (layer, stack) in enumerate(self._layers):
                if layers is not None and place not in layers:
                    continue
                if on_expert is not None and isinstance(layer, MixtureLayer):
                    stops.append(layer.watch_gated_experts(partial(on_expert, place)))
                else:
                    stops.append(layer.watch_gated(partial(self._report, on_layer, place, shapes, stack)))
            yield

    @contextmanager
    def change(self, change: ChangeLayer) -> Iterator[None]:
        """Let ``change(layer, coefficients)`` decide the coefficients of each layer, in each forward pass of the model.

        What it returns goes into the sum of memories in the place of what it was given, which it must not write to; None
        leaves a layer as it is. Coefficients are (batch, positions, cells), those of a decoder's start token left out.
        """
        with self._noting_shapes() as (shapes, stops):
            for place, (layer, stack) in enumerate(self._layers):
                stops.append(layer.change(partial(self._changed, change, place, shapes, stack)))
            yield

    @contextmanager
    def _noting_shapes(self) -> Iterator[tuple["_Shapes", list[Callable[[], None]]]]:
        """The shape of each stack's input, since some models flatten it before the feed-forward layer; and what ends hooks."""
        shapes = _Shapes(len(self._backbones))
        stops: list[Callable[[], None]] = [
            backbone.register_forward_pre_hook(partial(_note_shape, shapes, stack), with_kwargs=True).remove
            for stack, backbone in enumerate(self._backbones)
        ]
        try:
            yield shapes, stops
        finally:
            for stop in stops:
                stop()

    def _changed(
        self, change: ChangeLayer, place: int, shapes: "_Shapes", stack: int, coefficients: Tensor
    ) -> Tensor | None:
        first, (n_rows, n) = self._first[stack], shapes.of[stack]
        shaped = coefficients.view(n_rows, -1, coefficients.shape[-1])
        others = change(place, shaped[:, first:n])
        if others is None:
            return None
        return torch.cat((shaped[:, :first], others, shaped[:, n:]), dim=1).view(coefficients.shape)

    def _report(self, on_layer: Callable[..., None], place: int, shapes: "_Shapes", stack: int, *found: Tensor) -> None:
        first, (n_rows, n) = self._first[stack], shapes.of[stack]
        shaped = [one.view(n_rows, -1, one.shape[-1]) for one in found]
        # a model may fill up its input to a whole number of windows
        shaped = [one[:, :n] if one.shape[1] > n else one for one in shaped]
        on_layer(place, *(one[:, first:] if first else one for one in shaped))


class _Shapes(threading.local):
    """Of each stack, the shape of its input: a thread's own, since passes that go in step are a thread each."""

    def __init__(self, n_stacks: int) -> None:
        self.of: list[tuple[int, int]] = [(0, 0)] * n_stacks


def _note_shape(shapes: _Shapes, stack: int, _: Any, arguments: tuple[Any, ...], named: CallArguments) -> None:
    shapes.of[stack] = tuple((named["input_ids"] if "input_ids" in named else arguments[0]).shape)
