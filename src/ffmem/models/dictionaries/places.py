"""The states around a feed-forward layer that a dictionary reads or writes, told of in each forward pass."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ffmem.dictionaries import StatesAt
from ffmem.models.base import CallArguments, Layout
from ffmem.models.feed_forward import Run, Stop
from ffmem.models.layers import FeedForward

OnStates = Callable[[Tensor], None]
"""Takes states as the model computes them; some models flatten batch and positions."""


@dataclass(frozen=True)
class Surroundings:
    """A feed-forward layer with what stands around it."""

    layer: FeedForward
    layout: Layout
    before: nn.Module
    """Whose input is the stream before the layer, and before those without memories that precede it."""
    gain: Tensor | None
    """What the norm before the layer multiplies with; None if there is none."""
    shift: Tensor | None
    """What that norm adds."""

    def problem(self, place: StatesAt) -> str | None:
        """Why there are no such states in this model; None if there are."""
        layout = self.layout
        normed = bool(layout.ff_norm) and layout.placement in ("pre", "sandwich")
        if place == "resid-mid" and (not normed or layout.parallel or layout.beside or layout.residual_scale != 1.0):
            return "its layers read no stream of their own through a norm"
        if place == "normalized" and (self.gain is None or bool((self.gain == 0).any())):
            return "no norm stands before its layers, or one whose gain cannot be undone"
        if place == "resid-post" and layout.placement == "post":
            return "its stream passes a norm at the end of each layer"
        return None

    def watch(self, place: StatesAt, on_states: OnStates) -> Stop:
        """Call ``on_states`` with the states at a place in each pass, until what is returned is called."""
        layer, layout = self.layer, self.layout
        if place == "resid-pre":
            return self._before(self.before, on_states)
        if place == "resid-mid":
            return self._before(layer.at(layout.ff_norm), on_states)
        if place == "mlp-input":
            return self._before(layer.input_module, on_states)
        if place == "normalized":
            return self._before(layer.input_module, lambda x: on_states(self._undone(x)))
        if place == "resid-post":
            return self._after((layer.module,), 1.0, on_states)
        if place == "update" and layout.post_ff_norm:
            return self._after((layer.at(layout.post_ff_norm),), layout.update_scale, on_states)
        return self._after(layer.output_modules, layout.update_scale if place == "update" else 1.0, on_states)

    def _undone(self, x: Tensor) -> Tensor:
        """What the norm before the layer gives, before its gain and what it adds."""
        assert self.gain is not None
        return ((x.float() if self.shift is None else x.float() - self.shift) / self.gain).to(x.dtype)

    def _before(self, module: nn.Module, on_states: OnStates) -> Stop:
        mine = Run(*self.layout.runs)

        def told(_: Any, arguments: tuple[Any, ...], named: CallArguments) -> None:
            if mine.next():
                on_states(arguments[0] if arguments else named["hidden_states"])

        return module.register_forward_pre_hook(told, with_kwargs=True).remove

    def _after(self, modules: tuple[nn.Module, ...], scale: float, on_states: OnStates) -> Stop:
        pieces: dict[int, Tensor] = {}

        def put(number: int, output: Any) -> None:
            pieces[number] = output if isinstance(output, Tensor) else output[0]
            if len(pieces) == len(modules):
                first, *others = [pieces.pop(one).flatten(0, -2) for one in range(len(modules))]
                total = sum(others, first)
                on_states(total if scale == 1.0 else total * scale)

        return all_of([self._when_run(module, number, put) for number, module in enumerate(modules)])

    def _when_run(self, module: nn.Module, number: int, put: Callable[[int, Any], None]) -> Stop:
        mine = Run(*self.layout.runs)
        return module.register_forward_hook(lambda _, __, output: put(number, output) if mine.next() else None).remove


def all_of(stops: list[Stop]) -> Stop:
    """What ends all of them."""

    def stop() -> None:
        for one in stops:
            one()

    return stop
