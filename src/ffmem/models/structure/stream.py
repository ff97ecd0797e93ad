"""How a layer's memories reach the stream: norms, multipliers, what is added beside them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from ffmem.models.structure.dense import Tried
from ffmem.models.structure.norms import NormKind, norm_kind
from ffmem.models.structure.numbers import LEAST, error, fit
from ffmem.models.structure.recording import Call, Recording, mark
from ffmem.models.structure.stacks import LayerRun
from ffmem.store.facts import NormPlacement


@dataclass(frozen=True)
class Update:
    """The one sum that explains a layer's output."""

    placement: NormPlacement
    error: float
    ff_norm: Call | None = None
    post_norm: Call | None = None
    beside: Call | None = None
    beside_scale: float = 1.0
    update_scale: float = 1.0
    residual_scale: float = 1.0
    parallel: bool = False
    """What is beside the memories is added to the layer's input, and they read that."""

    @property
    def norms(self) -> list[Call]:
        """Those that it names."""
        return [one for one in (self.ff_norm, self.post_norm) if one is not None]


class LayerStream:
    """The sums that are tried on one layer.

    Args:
        recording: of the pass.
        layer: the layer.
        inner: what ran in it.
        x: what keys were compared with.
        y: the sum of the memories.
        limit: largest error.
    """

    def __init__(
        self, recording: Recording, layer: LayerRun, inner: Sequence[Call], x: Tensor, y: Tensor, limit: float
    ) -> None:
        self._layer, self._inner, self._x, self._y, self._limit = layer, inner, x, y, limit
        self._kinds: dict[int, NormKind | None] = {}
        self._before_ff = next((one for one in reversed(recording.givers(x)) if self._is_norm(one)), None)
        self._after_ff = next((one for one in inner if self._takes(one, y) and self._is_norm(one)), None)

    def _takes(self, call: Call, states: Tensor) -> bool:
        return bool(call.inputs) and error(call.input, states) <= self._limit

    def _is_norm(self, call: Call) -> bool:
        if id(call) not in self._kinds:
            inside = any(call is one for one in self._inner)
            self._kinds[id(call)] = norm_kind(call, self._limit) if inside else None
        return self._kinds[id(call)] is not None

    def kind(self, call: Call) -> NormKind | None:
        """What kind of norm one is."""
        self._is_norm(call)
        return self._kinds[id(call)]

    def explain(self, missed: Tried) -> Update | None:
        """The first sum that gives the layer's output; those with fewer multipliers first."""
        for one in self._candidates():
            if one.error <= self._limit and abs(one.update_scale) >= LEAST:
                return one
            if abs(one.update_scale) >= LEAST:  # else it is explained without the memories, which is no near miss
                missed.note(one.error, f"the stream behind {self._layer.call.path} as {_told(one)}")
        return None

    def _residuals(self) -> Iterator[tuple[NormPlacement, Tensor]]:
        if self._before_ff is not None:
            yield "pre", self._before_ff.input
            yield "shared", self._x
        else:
            yield "pre", self._x

    def _candidates(self) -> Iterator[Update]:
        after, norm = self._layer.after, self._before_ff
        updates = [(self._y, None), *([] if self._after_ff is None else [(self._after_ff.output, self._after_ff)])]
        for update, post in reversed(updates):
            for placement, residual in self._residuals():
                named: NormPlacement = "sandwich" if post is not None and placement == "pre" else placement
                if post is not None and placement == "shared":
                    continue
                scales, missed = fit(after, [residual, update], update)
                yield Update(named, missed, norm, post, update_scale=scales[1], residual_scale=scales[0])
        yield from self._behind_the_sum()
        for update, post in reversed(updates):
            placed: NormPlacement = "pre" if post is None else "sandwich"
            for other in self._others():
                scales, missed = fit(after, [self._layer.before, other.output, update], update)
                if not self._reads_the_layers_input:
                    missed = float("inf")
                yield Update(placed, missed, norm, post, other, scales[1], scales[2], scales[0], parallel=True)
                if norm is not None:  # something is added behind them, such as a gated input of each layer
                    scales, missed = fit(after, [norm.input, other.output, update], update)
                    yield Update(placed, missed, norm, post, other, scales[1], scales[2], scales[0])

    @property
    def _reads_the_layers_input(self) -> bool:
        read = self._x if self._before_ff is None else self._before_ff.input
        return mark(read) == mark(self._layer.before)

    def _behind_the_sum(self) -> Iterator[Update]:
        """A norm behind the residual sum."""
        for norm in self._inner:
            if not norm.outputs or mark(norm.output) != mark(self._layer.after) or not self._is_norm(norm):
                continue
            scales, missed = fit(norm.input, [self._x, self._y], self._y)
            yield Update("post", missed, norm, update_scale=scales[1], residual_scale=scales[0])

    def _others(self) -> Iterator[Call]:
        """What may be added beside the memories: the output of attention, or of what stands in its place."""
        seen = {mark(self._y), mark(self._layer.before), mark(self._layer.after), mark(self._x)}
        for call in sorted(self._inner, key=lambda one: -one.end):
            if call.outputs and call.output.shape == self._y.shape and mark(call.output) not in seen:
                seen.add(mark(call.output))
                yield call


def _told(update: Update) -> str:
    parts = ["r + y" if update.post_norm is None else "r + norm(y)"]
    parts += [f"with {update.beside.path} beside"] if update.beside is not None else []
    return f"{update.placement}: {' '.join(parts)}"
