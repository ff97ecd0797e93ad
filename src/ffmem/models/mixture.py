"""A feed-forward layer of experts, of which each position sees a few, and of cells beside them that all positions see."""

from functools import partial
from math import gcd
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ffmem.errors import ModelError
from ffmem.ids import LayerCells
from ffmem.models.base import CallArguments, Layout
from ffmem.models.experts import Begin, End, Fill, MakeGates, OnExpert, OnGatedExpert, SharedExperts, StackedExperts
from ffmem.models.feed_forward import Change, OnCoefficients, OnGated, Stop, at, rows


class MixtureLayer:
    """A mixture of experts, whose cells see only the positions that are routed to their expert.

    A coefficient is routing weight x activation, or routing weight x activation(gate) x up. Cells that all positions see are
    further experts, of the same size, to which every position is routed.

    Args:
        module: the Transformer layer.
        layout: where things lie in it.
        number: of the layer within its stack.
    """

    def __init__(self, module: nn.Module, layout: Layout, number: int) -> None:
        self.module, self._layout, self._held = module, layout, layout.stacked
        self._block = at(module, layout.experts.rpartition(".")[0])
        self.experts: Any = at(module, layout.experts)
        self._routed = StackedExperts(self.experts, layout)
        sizes = [self._routed.values(0).shape[0], *(rows(at(module, one.value)).shape[0] for one in layout.shared)]
        size = gcd(*sizes)
        self._shared = [SharedExperts(module, one, size) for one in layout.shared]
        self._groups = sizes[0] // size
        """Into which an expert is cut, where the cells that all positions see are no multiple of it."""
        n_groups = self._groups * self._routed.n_experts + sum(one.n_groups for one in self._shared)
        self.cells = LayerCells(number, size, n_groups, layout.stack)

    def at(self, path: str) -> Any:
        """See DenseLayer."""
        return at(self.module, path)

    def keys(self) -> Float[Tensor, "cells d_model"]:
        """See DenseLayer."""
        if self._held.gated:
            raise ModelError(
                "the cells of an expert are gated", "Expected a call of gate_keys() or up_keys()", "Call those two"
            )
        return self.gate_keys()

    def gate_keys(self) -> Float[Tensor, "cells d_model"]:
        """See DenseLayer."""
        return self._stack([self._routed.keys(e, 0) for e in self._experts], [s.keys(0) for s in self._shared])

    def up_keys(self) -> Float[Tensor, "cells d_model"]:
        """See DenseLayer."""
        return self._stack([self._routed.keys(e, 1) for e in self._experts], [s.keys(1) for s in self._shared])

    @property
    def _experts(self) -> range:
        return range(self._routed.n_experts)

    def _stack(self, routed: list[Tensor], shared: list[Tensor]) -> Tensor:
        return torch.cat([*routed, *shared])

    def key_bias(self) -> Float[Tensor, "cells"] | None:
        """See DenseLayer."""
        return self._bias(0)

    def up_bias(self) -> Float[Tensor, "cells"] | None:
        """See DenseLayer."""
        return self._bias(1)

    def _bias(self, which: int) -> Tensor | None:
        routed = [self._routed.key_bias(e, which) for e in self._experts]
        shared = [one.key_bias(which) for one in self._shared]
        if all(one is None for one in (*routed, *shared)):
            return None
        sizes = [self.cells.d_ff * self._groups] * len(routed) + [
            one.n_groups * self.cells.d_ff for one in self._shared
        ]
        like = self._routed.values(0)
        return torch.cat(
            [like.new_zeros(n) if one is None else one for one, n in zip([*routed, *shared], sizes, strict=True)]
        )

    def values(self) -> Float[Tensor, "cells d_model"]:
        """See DenseLayer."""
        return torch.cat(self.values_in_place())

    def value_weights(self) -> list[Tensor]:
        """The parameters that hold the values."""
        held: Tensor = getattr(self.experts, self._held.second)
        return [held, *(self.at(one.value).weight for one in self._layout.shared)]

    def values_in_place(self) -> list[Float[Tensor, "d_ff d_model"]]:
        """The values of each expert, and of the cells that all positions see, as views of those parameters."""
        return [*(self._routed.values(e) for e in self._experts), *(one.values() for one in self._shared)]

    def value_bias(self) -> Float[Tensor, "d_model"] | None:
        """See DenseLayer. Biases of experts are not in it: see `routed_bias`."""
        found = [bias for one in self._shared if (bias := one.bias()) is not None]
        return torch.stack(found).sum(0) if found else None

    def watch_bias(self, on_bias: OnCoefficients) -> Stop | None:
        """Report what experts' biases add to y, by routing weight, in each pass from now on; None if they have none."""
        if not self._held.second_bias:
            return None

        def told(_: Any, arguments: tuple[Any, ...], named: CallArguments) -> None:
            _, chosen, weights = (*arguments, *named.values())[:3]
            on_bias((weights[..., None] * self._routed.second_biases()[chosen]).sum(1) * self._held.scale)

        stop: Stop = self.experts.register_forward_pre_hook(told, with_kwargs=True).remove
        return stop

    @property
    def input_module(self) -> nn.Module:
        """See DenseLayer."""
        module: nn.Module = self.experts if self._layout.sums and not self._held.weighted_inputs else self._block
        return module

    @property
    def output_module(self) -> nn.Module:
        """See DenseLayer."""
        return self.output_modules[-1]

    @property
    def output_modules(self) -> tuple[nn.Module, ...]:
        """See DenseLayer."""
        return tuple(self.at(path) for path in self._layout.sums) or (self._block,)

    def watch(self, on_coefficients: OnCoefficients) -> Stop:
        """See DenseLayer. Cells of experts that a position is not routed to have the coefficient 0."""
        block: list[Tensor] = []
        return self._follow(partial(self._begin, block), partial(self._fill, block), lambda: on_coefficients(block[0]))

    def watch_experts(self, on_expert: OnExpert) -> Stop:
        """Report the coefficients expert by expert, of routed positions only, in ascending order of positions."""
        return self._follow(
            lambda states: None,
            lambda expert, positions, coefficients, _: on_expert(expert, positions, coefficients),
            lambda: None,
        )

    def watch_gated(self, on_gated: OnGated) -> Stop:
        """See DenseLayer. Gates of experts that a position is not routed to are not above 0."""
        d_ff = self.cells.d_ff
        blocks: list[Tensor] = []

        def begin(states: Tensor) -> None:
            size = len(states), self.cells.n_cells
            blocks[:] = [states.new_zeros(size, dtype=torch.float32), states.new_zeros(size, dtype=torch.bool)]

        def fill(expert: int, positions: Tensor, coefficients: Tensor, open_gates: MakeGates) -> None:
            cells = slice(expert * d_ff, (expert + 1) * d_ff)
            blocks[0][positions, cells] = coefficients.float()
            blocks[1][positions, cells] = open_gates()

        return self._follow(begin, fill, lambda: on_gated(*blocks), gates=True)

    def watch_gated_experts(self, on_expert: OnGatedExpert) -> Stop:
        """As `watch_experts`, with the signs of the gates."""
        return self._follow(
            lambda states: None,
            lambda expert, positions, coefficients, open_gates: on_expert(
                expert, positions, coefficients, open_gates()
            ),
            lambda: None,
            gates=True,
        )

    def change(self, change: Change) -> Stop:
        """See DenseLayer. The layer's output gets what the change is worth: (m' - m) times the values."""
        block: list[Tensor] = []

        def end() -> Tensor | None:
            changed = change(block[0])
            if changed is None:
                return None
            difference = changed - block[0]
            cells = difference.any(0).nonzero().squeeze(1)
            return difference[:, cells] @ self.values()[cells].to(difference.dtype)

        return self._follow(partial(self._begin, block), partial(self._fill, block), end)

    def _begin(self, block: list[Tensor], states: Tensor) -> None:
        # routing weights may be float32 where the model is not, and coefficients with them
        block[:] = [states.new_zeros(len(states), self.cells.n_cells, dtype=torch.float32)]

    def _fill(self, block: list[Tensor], expert: int, positions: Tensor, coefficients: Tensor, _: MakeGates) -> None:
        d_ff = self.cells.d_ff
        block[0][positions, expert * d_ff : (expert + 1) * d_ff] = coefficients.float()

    def _follow(self, begin: Begin, fill: Fill, end: End, *, gates: bool = False) -> Stop:
        """Report all parts of each pass; what ``end`` returns, once all have run, is added to the layer's output.

        Args:
            begin: told the states of a pass.
            fill: told of each expert.
            end: see above.
            gates: whether ``fill`` asks for the gates.
        """
        running: set[int] = set()
        n_parts = 1 + len(self._shared)

        def starts(part: int, states: Tensor) -> None:
            if not running or part in running:  # a new pass, perhaps after one that was broken off
                running.clear()
                begin(states)
            running.add(part)

        def ends(part: int) -> Tensor | None:
            running.add(n_parts + part)
            if len(running) < 2 * n_parts:
                return None
            running.clear()
            return end()

        routed = fill if self._groups == 1 else partial(_cut, fill, self._groups)
        stops = [self._routed.follow(partial(starts, 0), routed, partial(ends, 0))]
        first = self._groups * self._routed.n_experts
        for part, one in enumerate(self._shared, 1):
            stops.append(one.follow(partial(starts, part), partial(_from, fill, first), partial(ends, part), gates))
            first += one.n_groups

        def stop() -> None:
            for one in stops:
                one()

        return stop


def _cut(fill: Fill, groups: int, expert: int, positions: Tensor, coefficients: Tensor, open_gates: MakeGates) -> None:
    for group, part in enumerate(coefficients.chunk(groups, dim=1)):
        fill(expert * groups + group, positions, part, partial(_chunk, open_gates, groups, group))


def _chunk(open_gates: MakeGates, groups: int, group: int) -> Tensor:
    return open_gates().chunk(groups, dim=1)[group]


def _from(fill: Fill, first: int, group: int, positions: Tensor, coefficients: Tensor, open_gates: MakeGates) -> None:
    fill(first + group, positions, coefficients, open_gates)
