"""The last position of a text, run again and again with something taken off what a feed-forward layer adds there.

Of a causal model no position before it can see that, so attention keeps what it has of those, and they are run once.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ffmem.models.attention import hooked
from ffmem.models.feed_forward import at
from ffmem.models.tracing import LayerTrace, trace
from ffmem.models.transformer import Transformer

_AT_ONCE = 2048
"""Positions, kept ones included, of the rows of a pass."""
_TOLERANCE = {"float32": 1e-4, "float16": 1e-2, "bfloat16": 5e-2}
"""By how much a state may differ where positions were kept, as a share of its largest number, before all are run again."""


class LastPosition:
    """The last position of one input.

    Args:
        model: a causal model.
        token_ids: the input.

    Cost: two passes of it.
    """

    def __init__(self, model: Transformer, token_ids: Int[Tensor, "one positions"]) -> None:
        self._model, self._ids = model, token_ids
        self._layers = [model.layer(place).module for place in range(model.facts.n_layers)]
        self._backbone: Any = at(model.module, model.layout(0).backbone)
        end = torch.tensor([token_ids.shape[1] - 1])
        self.states: tuple[LayerTrace, ...] = tuple(
            LayerTrace(**{name: states[0, 0] for name, states in vars(layer).items()})
            for layer in trace(model, token_ids, at=(torch.zeros_like(end), end))
        )
        """Around each feed-forward layer, as the model computes them of the whole input."""
        self._forms: list[int] = []
        self._kept = self._keep()
        self.error = self._error()
        """Of the last layer's output where nothing is taken off, as a share of its largest number."""
        if self._kept is not None and not self.error <= _TOLERANCE.get(model.facts.dtype, _TOLERANCE["float32"]):
            self._kept = None
            self.error = self._error()

    @property
    def keeps(self) -> bool:
        """Whether the positions before are kept; if not, all are run for each row."""
        return self._kept is not None

    def _keep(self) -> Any:
        """What attention has of the positions before; None if there are none, or the model keeps nothing for many rows."""
        if self._ids.shape[1] == 1:
            return None
        with torch.inference_mode(), hooked(self._noting_forms()):
            kept = self._backbone(input_ids=self._ids[:, :-1], use_cache=True).get("past_key_values")
        return kept if hasattr(kept, "batch_repeat_interleave") else None

    def _noting_forms(self) -> Iterator[Callable[[], None]]:
        """How many things each layer gives in a tuple; 0: its states alone."""

        def note(_: Any, __: Any, output: Any) -> None:
            self._forms.append(len(output) if isinstance(output, tuple) else 0)

        for layer in self._layers:
            yield layer.register_forward_hook(note).remove

    def _error(self) -> float:
        """The larger of two: of a pass of all layers, and of one that begins at the last."""
        own = self.states[-1].layer_output
        nothing = torch.zeros(1, self._model.facts.d_model, device=own.device)
        again = [self.final_states(torch.tensor([place]), nothing)[0] for place in (0, len(self._layers) - 1)]
        return max(float((one - own).abs().max() / own.abs().max()) for one in again)

    def final_states(
        self, place: Int[Tensor, "rows"], removed: Float[Tensor, "rows d_model"]
    ) -> Float[Tensor, "rows d_model"]:
        """The last layer's output with a vector taken off the y of one layer at this position: another in each row.

        Args:
            place: of the layer, for each row; fastest in ascending order, since a pass begins at the lowest of its rows.
            removed: what is taken off y = sum of m_i v_i + b.

        Cost: a pass of a single position a row, and memory for `_AT_ONCE` kept ones; a pass of the whole input a row where
            the model keeps nothing.
        """
        at_once = max(1, _AT_ONCE // self._ids.shape[1]) if self._model.batching.rows != "alone" else 1
        parts = [
            self._pass(place[first : first + at_once], removed[first : first + at_once])
            for first in range(0, len(place), at_once)
        ]
        return torch.cat(parts)

    def _pass(self, place: Int[Tensor, "rows"], removed: Float[Tensor, "rows d_model"]) -> Tensor:
        n, found = len(place), [torch.empty(0)]

        def keep(_: Any, __: Any, output: Any) -> None:
            found[0] = _states_of(output).reshape(n, -1, self._model.facts.d_model)[:, -1].clone()

        with torch.inference_mode(), hooked(self._hooks(place, removed)):
            handle = self._layers[-1].register_forward_hook(keep)
            try:
                self._run(n)
            finally:
                handle.remove()
        return found[0]

    def _run(self, n: int) -> None:
        if self._kept is None:
            self._model.forward(self._ids.expand(n, -1))
            return
        kept = deepcopy(self._kept)
        kept.batch_repeat_interleave(n)
        self._backbone(input_ids=self._ids[:, -1:].expand(n, -1), past_key_values=kept, use_cache=True)

    def _hooks(
        self, place: Int[Tensor, "rows"], removed: Float[Tensor, "rows d_model"]
    ) -> Iterator[Callable[[], None]]:
        """What takes vectors off, and what has layers below all of them passed over; each with what ends it."""
        for one in sorted(set(place.tolist())):
            rows = (place == one).nonzero().squeeze(1)
            hook = partial(_take_off, rows, removed[rows], len(place))
            yield self._model.layer(one).output_module.register_forward_hook(hook).remove
        first = int(place.min()) if self._kept is not None else 0
        for number in range(first):
            state = self.states[number].layer_output.expand(len(place), 1, -1)
            yield _passed_over(self._layers[number], state, self._forms[number])


def _passed_over(layer: nn.Module, state: Float[Tensor, "rows one d_model"], form: int) -> Callable[[], None]:
    """Let a layer give a state that is known, without being run."""
    given = (state, *[None] * (form - 1)) if form else state
    layer.forward = lambda *_, **__: given
    return lambda: delattr(layer, "forward")


def _take_off(rows: Tensor, removed: Tensor, n_rows: int, _: Any, __: Any, output: Any) -> Any:
    """As a hook behind a feed-forward layer; some models flatten batch and positions there."""
    y = _states_of(output)
    changed = y.reshape(n_rows, -1, y.shape[-1]).clone()
    changed[rows.to(y.device), -1] -= removed.to(y)
    changed = changed.reshape(y.shape)
    return (changed, *output[1:]) if isinstance(output, tuple) else changed


def _states_of(output: Any) -> Tensor:
    states: Tensor = output[0] if isinstance(output, tuple) else output
    return states
