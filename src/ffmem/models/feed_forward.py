"""One feed-forward layer of a loaded model: its keys, values and biases, and a watch on its coefficients."""

import threading
from collections.abc import Callable
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from ffmem.errors import ModelError
from ffmem.ids import LayerCells
from ffmem.models.base import Layout

OnCoefficients = Callable[[Tensor], None]
"""Takes what multiplies the values, (..., d_ff), as the model computes it."""
OnGated = Callable[[Tensor, Tensor], None]
"""Takes the same, and where the gate is above 0, (..., d_ff) bool."""
Stop = Callable[[], None]
Change = Callable[[Tensor], Tensor | None]
"""Takes coefficients, (..., cells), and gives others of the same shape; None leaves them as they are."""


class DenseLayer:
    """A feed-forward layer of two or three linear maps.

    Args:
        module: the Transformer layer.
        layout: where things lie in it.
        number: of the layer within its stack.
    """

    def __init__(self, module: nn.Module, layout: Layout, number: int) -> None:
        self.module, self._layout = module, layout
        self.cells = LayerCells(number, rows(self.at(layout.value)).shape[0], stack=layout.stack)

    def at(self, path: str) -> Any:
        """The module at a path of the layout."""
        return at(self.module, path)

    def keys(self) -> Float[Tensor, "cells d_model"]:
        """Keys of ungated cells, a row each."""
        return columns(self.at(self._layout.key))

    def gate_keys(self) -> Float[Tensor, "cells d_model"]:
        """The vectors of gated cells whose product with x goes through the activation."""
        return self._half(columns(self.at(self._layout.gate_key)), 0)

    def up_keys(self) -> Float[Tensor, "cells d_model"]:
        """The vectors of gated cells whose product with x multiplies the activation."""
        return self._half(columns(self.at(self._layout.up_key)), 1)

    def key_bias(self) -> Float[Tensor, "cells"] | None:
        """The bias inside the activation, or None."""
        bias: Tensor | None = self.at(self._layout.key or self._layout.gate_key).bias
        return bias if bias is None or self._layout.key else self._half(bias, 0)

    def up_bias(self) -> Float[Tensor, "cells"] | None:
        """The bias beside the up keys, or None."""
        bias: Tensor | None = self.at(self._layout.up_key).bias
        return None if bias is None else self._half(bias, 1)

    def _half(self, outputs: Tensor, which: int) -> Tensor:
        halves = self._layout.halves
        return outputs if halves is None else outputs[slice(*halves[which])]

    def values(self) -> Float[Tensor, "cells d_model"]:
        """The values, a row each."""
        return rows(self.at(self._layout.value))

    def value_weights(self) -> list[Tensor]:
        """The parameter that holds the values, as a mixture has several."""
        return [self.at(self._layout.value).weight]

    def values_in_place(self) -> list[Float[Tensor, "cells d_model"]]:
        """The values as a view of that parameter."""
        return [self.values()]

    def value_bias(self) -> Float[Tensor, "d_model"] | None:
        """The bias of the output, or None."""
        bias: Tensor | None = self.at(self._layout.value).bias
        return bias

    @property
    def input_module(self) -> nn.Module:
        """Its first argument is x, what keys are compared with."""
        module: nn.Module = self.at(self._layout.key or self._layout.gate_key)
        return module

    @property
    def coefficient_module(self) -> nn.Module:
        """Its first argument is the coefficients."""
        return self.output_modules[0]

    @property
    def output_module(self) -> nn.Module:
        """Whose output is y, the sum of the memories."""
        return self.output_modules[-1]

    @property
    def output_modules(self) -> tuple[nn.Module, ...]:
        """Their outputs add up to y, the sum of the memories."""
        return (self.at(self._layout.value),)

    def watch(self, on_coefficients: OnCoefficients) -> Stop:
        """Report the coefficients from now on, until what is returned is called.

        The tensor is the model's own: valid during the call, not to be written to.
        """
        mine = Run(*self._layout.runs)
        handle = self.coefficient_module.register_forward_pre_hook(
            lambda _, inputs: on_coefficients(inputs[0]) if mine.next() else None
        )
        return handle.remove

    def watch_gated(self, on_gated: OnGated) -> Stop:
        """As `watch`, of gated cells, with the sign of what goes through the activation."""
        open_gates: list[Tensor] = []

        def note(_: Any, __: Any, gate: Tensor) -> None:
            halves = self._layout.halves
            found = gate if halves is None else gate[..., slice(*halves[0])]
            open_gates[:] = [found > 0]  # at once: what follows may write to the gate

        def tell(coefficients: Tensor) -> None:
            if not open_gates:
                raise ModelError(
                    f"layer {self.cells.name} does not run its gate as a module of its own: {self._layout.gate_key}",
                    "Expected a gate whose sign can be seen before the activation",
                    "Leave --quadrants out",
                )
            on_gated(coefficients, open_gates.pop())

        stops = (self.at(self._layout.gate_key).register_forward_hook(note).remove, self.watch(tell))

        def stop() -> None:
            for one in stops:
                one()

        return stop

    def change(self, change: Change) -> Stop:
        """Let ``change`` decide the coefficients from now on, until what is returned is called."""
        mine = Run(*self._layout.runs)
        handle = self.coefficient_module.register_forward_pre_hook(
            lambda _, inputs: change(inputs[0]) if mine.next() else None
        )
        return handle.remove


class Run(threading.local):
    """Counts the runs of modules that several layers share, to tell those of one layer; in each thread for itself.

    Args:
        mine: which run of a pass is the layer's, from 0.
        of: runs in a pass.
    """

    def __init__(self, mine: int, of: int) -> None:
        self._mine, self._of, self._seen = mine, of, 0

    def next(self) -> bool:
        """Whether the run that begins, or ends, is the layer's."""
        self._seen += 1
        return (self._seen - 1) % self._of == self._mine


def at(module: Any, path: str) -> Any:
    """The submodule at a dotted path; the module itself for an empty one."""
    for name in filter(None, path.split(".")):
        module = getattr(module, name)
    return module


def _is_transposed(module: Any) -> bool:
    """GPT-2's Conv1D stores its weight as (inputs, outputs), nn.Linear as (outputs, inputs)."""
    return type(module).__name__ == "Conv1D"


def columns(module: Any) -> Tensor:
    """A row for each output of a linear map: the vectors its input is compared with."""
    weight: Tensor = module.weight
    return weight.T if _is_transposed(module) else weight


def rows(module: Any) -> Tensor:
    """A row for each input of a linear map: the vectors that the input's entries multiply."""
    weight: Tensor = module.weight
    return weight if _is_transposed(module) else weight.T
