"""One feed-forward layer of a loaded model: its keys, values and biases, and a watch on its coefficients."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ffmem.errors import ModelError
from ffmem.ids import LayerCells
from ffmem.models.base import Layout

OnCoefficients = Callable[[Tensor], None]
"""Takes what multiplies the values, (..., d_ff), as the model computes it."""
OnGated = Callable[[Tensor, Tensor], None]
"""Takes the same, and where the gate is above 0, (..., d_ff) bool."""
OnExpert = Callable[[int, Int[Tensor, "routed"], Float[Tensor, "routed d_ff"]], None]
"""Takes the number of an expert, the positions that are routed to it (of the flattened batch), and its coefficients."""
OnGatedExpert = Callable[[int, Int[Tensor, "routed"], Float[Tensor, "routed d_ff"], Bool[Tensor, "routed d_ff"]], None]
"""Takes the same, and where the gate is above 0."""
MakeGates = Callable[[], Bool[Tensor, "routed d_ff"]]
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
        return columns(self.at(self._layout.gate_key))

    def up_keys(self) -> Float[Tensor, "cells d_model"]:
        """The vectors of gated cells whose product with x multiplies the activation."""
        return columns(self.at(self._layout.up_key))

    def key_bias(self) -> Float[Tensor, "cells"] | None:
        """The bias inside the activation, or None."""
        bias: Tensor | None = self.at(self._layout.key or self._layout.gate_key).bias
        return bias

    def up_bias(self) -> Float[Tensor, "cells"] | None:
        """The bias beside the up keys, or None."""
        bias: Tensor | None = self.at(self._layout.up_key).bias
        return bias

    def values(self) -> Float[Tensor, "cells d_model"]:
        """The values, a row each."""
        return rows(self.at(self._layout.value))

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
    def output_module(self) -> nn.Module:
        """Its output is y, the sum of the memories."""
        module: nn.Module = self.at(self._layout.value)
        return module

    def watch(self, on_coefficients: OnCoefficients) -> Stop:
        """Report the coefficients from now on, until what is returned is called.

        The tensor is the model's own: valid during the call, not to be written to.
        """
        handle = self.output_module.register_forward_pre_hook(lambda _, inputs: on_coefficients(inputs[0]))
        return handle.remove

    def watch_gated(self, on_gated: OnGated) -> Stop:
        """As `watch`, of gated cells, with the sign of what goes through the activation."""
        open_gates: list[Tensor] = []

        def note(_: Any, __: Any, gate: Tensor) -> None:
            open_gates[:] = [gate > 0]  # at once: what follows may write to the gate

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
        handle = self.output_module.register_forward_pre_hook(lambda _, inputs: change(inputs[0]))
        return handle.remove


class MixtureLayer:
    """A mixture of gated experts, whose cells see only the positions that are routed to their expert.

    A coefficient is routing weight x activation(gate) x up.

    Args:
        module: the Transformer layer.
        layout: where things lie in it.
        number: of the layer within its stack.
    """

    def __init__(self, module: nn.Module, layout: Layout, number: int) -> None:
        self.module = module
        self._block = at(module, layout.experts.rpartition(".")[0])
        self.experts: Any = at(module, layout.experts)
        n_experts, _, d_ff = self.experts.down_proj.shape
        self.cells = LayerCells(number, d_ff, n_experts, layout.stack)

    def at(self, path: str) -> Any:
        """See DenseLayer."""
        return at(self.module, path)

    def keys(self) -> Float[Tensor, "cells d_model"]:
        """See DenseLayer: there are none, experts are gated."""
        raise ModelError(
            "the cells of an expert are gated", "Expected a call of gate_keys() or up_keys()", "Call those two"
        )

    def gate_keys(self) -> Float[Tensor, "cells d_model"]:
        """See DenseLayer."""
        return self._first_matrix(0)

    def up_keys(self) -> Float[Tensor, "cells d_model"]:
        """See DenseLayer."""
        return self._first_matrix(1)

    def _first_matrix(self, half: int) -> Float[Tensor, "cells d_model"]:
        stacked: Tensor = self.experts.gate_up_proj  # (experts, gate keys then up keys, d_model)
        return stacked.chunk(2, dim=1)[half].reshape(self.cells.n_cells, -1)

    def key_bias(self) -> Float[Tensor, "cells"] | None:
        """See DenseLayer: none of the known mixtures has one."""
        return None

    def up_bias(self) -> Float[Tensor, "cells"] | None:
        """See DenseLayer: none of the known mixtures has one."""
        return None

    def values(self) -> Float[Tensor, "cells d_model"]:
        """See DenseLayer."""
        stacked: Tensor = self.experts.down_proj  # (experts, d_model, d_ff)
        return stacked.transpose(1, 2).reshape(self.cells.n_cells, -1)

    def value_bias(self) -> Float[Tensor, "d_model"] | None:
        """See DenseLayer: none of the known mixtures has one."""
        return None

    @property
    def input_module(self) -> nn.Module:
        """See DenseLayer."""
        block: nn.Module = self._block
        return block

    @property
    def output_module(self) -> nn.Module:
        """See DenseLayer."""
        block: nn.Module = self._block
        return block

    def watch(self, on_coefficients: OnCoefficients) -> Stop:
        """See DenseLayer. Cells of experts that a position is not routed to have the coefficient 0."""
        d_ff = self.cells.d_ff
        block: list[Tensor] = []

        def begin(n_positions: int, like: Tensor) -> None:
            # routing weights may be float32 where the model is not, and coefficients with them
            block[:] = [like.new_zeros(n_positions, self.cells.n_cells, dtype=torch.float32)]

        def fill(expert: int, positions: Tensor, coefficients: Tensor, _: MakeGates) -> None:
            block[0][positions, expert * d_ff : (expert + 1) * d_ff] = coefficients.float()

        return self._replace_forward(begin, fill, lambda: on_coefficients(block[0]))

    def watch_gated(self, on_gated: OnGated) -> Stop:
        """See DenseLayer. Gates of experts that a position is not routed to are not above 0."""
        d_ff = self.cells.d_ff
        blocks: list[Tensor] = []

        def begin(n_positions: int, like: Tensor) -> None:
            size = n_positions, self.cells.n_cells
            blocks[:] = [like.new_zeros(size, dtype=torch.float32), like.new_zeros(size, dtype=torch.bool)]

        def fill(expert: int, positions: Tensor, coefficients: Tensor, open_gates: MakeGates) -> None:
            cells = slice(expert * d_ff, (expert + 1) * d_ff)
            blocks[0][positions, cells] = coefficients.float()
            blocks[1][positions, cells] = open_gates()

        return self._replace_forward(begin, fill, lambda: on_gated(*blocks))

    def watch_experts(self, on_expert: OnExpert) -> Stop:
        """Report the coefficients expert by expert, of routed positions only, in ascending order of positions."""
        return self._replace_forward(
            lambda n, like: None,
            lambda expert, positions, coefficients, _: on_expert(expert, positions, coefficients),
            lambda: None,
        )

    def watch_gated_experts(self, on_expert: OnGatedExpert) -> Stop:
        """As `watch_experts`, with the signs of the gates."""
        return self._replace_forward(
            lambda n, like: None,
            lambda expert, positions, coefficients, open_gates: on_expert(
                expert, positions, coefficients, open_gates()
            ),
            lambda: None,
        )

    def change(self, change: Change) -> Stop:
        """See DenseLayer. The layer's output gets what the change is worth: (m' - m) times the values."""
        d_ff = self.cells.d_ff
        block: list[Tensor] = []

        def begin(n_positions: int, like: Tensor) -> None:
            block[:] = [like.new_zeros(n_positions, self.cells.n_cells, dtype=torch.float32)]

        def fill(expert: int, positions: Tensor, coefficients: Tensor, _: MakeGates) -> None:
            block[0][positions, expert * d_ff : (expert + 1) * d_ff] = coefficients.float()

        def end() -> Tensor | None:
            changed = change(block[0])
            if changed is None:
                return None
            difference = changed - block[0]
            cells = difference.any(0).nonzero().squeeze(1)
            return difference[:, cells] @ self.values()[cells].to(difference.dtype)

        return self._replace_forward(begin, fill, end)

    def _replace_forward(
        self,
        begin: Callable[[int, Tensor], None],
        fill: Callable[[int, Tensor, Tensor, MakeGates], None],
        end: Callable[[], Tensor | None],
    ) -> Stop:
        """Compute the experts here, as their own loop does, since no module of theirs sees single coefficients.

        Args:
            begin: told how many positions there are, with a tensor like their states.
            fill: told what `OnExpert` is told, and what gives where the gates are above 0, for those who ask.
            end: what it returns is added to the output.
        """
        experts = self.experts

        def forward(
            hidden: Float[Tensor, "positions d_model"],
            chosen: Int[Tensor, "positions routes"],
            weights: Float[Tensor, "positions routes"],
        ) -> Float[Tensor, "positions d_model"]:
            begin(len(hidden), hidden)
            output = torch.zeros_like(hidden)
            for expert in torch.unique(chosen).tolist():
                # by route, then position, as the experts' own loop has them: the order of rows decides the last bits
                routes, positions = (expert == chosen.T).nonzero(as_tuple=True)
                gate, up = nn.functional.linear(hidden[positions], experts.gate_up_proj[expert]).chunk(2, dim=-1)
                activated = experts.act_fn(gate) * up
                weight = weights[positions, routes, None]
                ascending = positions.argsort()
                open_gates = partial(_rows_above_0, gate, ascending)
                fill(expert, positions[ascending], (activated * weight)[ascending], open_gates)
                update = nn.functional.linear(activated, experts.down_proj[expert]) * weight
                output.index_add_(0, positions, update.to(output.dtype))
            added = end()
            return output if added is None else output + added.to(output.dtype)

        experts.forward = forward
        return lambda: delattr(experts, "forward")


FeedForward = DenseLayer | MixtureLayer
"""Rows of keys and values are cells; an expert's cells follow those of the expert before."""


def _rows_above_0(gate: Tensor, rows: Tensor) -> Tensor:
    return gate[rows] > 0


def read_layer(module: nn.Module, layout: Layout, number: int) -> FeedForward:
    """The feed-forward layer of a Transformer layer: a mixture if it has experts."""
    has_experts = layout.experts and hasattr(at(module, layout.experts.split(".")[0]), layout.experts.split(".")[-1])
    return MixtureLayer(module, layout, number) if has_experts else DenseLayer(module, layout, number)


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
