"""A feed-forward layer of experts, of which each position sees a few, and of cells beside them that all positions see."""

from collections.abc import Callable, Iterable
from functools import partial
from math import gcd
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ffmem.errors import ModelError
from ffmem.ids import LayerCells
from ffmem.models.base import CallArguments, Layout, SharedCells
from ffmem.models.feed_forward import Change, OnCoefficients, Stop, at, columns, rows

OnExpert = Callable[[int, Int[Tensor, "routed"], Float[Tensor, "routed d_ff"]], None]
"""Takes the number of an expert, the positions that are routed to it (of the flattened batch), and its coefficients."""
Begin = Callable[[Tensor], None]
End = Callable[[], Tensor | None]


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
        self._shared = [_Shared(module, one, size) for one in layout.shared]
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
        return self._stack([self._routed.values(e) for e in self._experts], [one.values() for one in self._shared])

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
        return self._follow(lambda states: None, on_expert, lambda: None)

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

    def _fill(self, block: list[Tensor], expert: int, positions: Tensor, coefficients: Tensor) -> None:
        d_ff = self.cells.d_ff
        block[0][positions, expert * d_ff : (expert + 1) * d_ff] = coefficients.float()

    def _follow(self, begin: Begin, fill: OnExpert, end: End) -> Stop:
        """Report all parts of each pass; what ``end`` returns, once all have run, is added to the layer's output."""
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
            stops.append(one.follow(partial(starts, part), partial(_from, fill, first), partial(ends, part)))
            first += one.n_groups

        def stop() -> None:
            for one in stops:
                one()

        return stop


def _remove(hooks: Iterable[Any]) -> None:
    for hook in hooks:
        hook.remove()


def _cut(fill: OnExpert, groups: int, expert: int, positions: Tensor, coefficients: Tensor) -> None:
    for group, part in enumerate(coefficients.chunk(groups, dim=1)):
        fill(expert * groups + group, positions, part)


def _from(fill: OnExpert, first: int, group: int, positions: Tensor, coefficients: Tensor) -> None:
    fill(first + group, positions, coefficients)


class StackedExperts:
    """The experts that positions are routed to: one module with the weights of all.

    Args:
        module: that one.
        layout: of the layer.
    """

    def __init__(self, module: Any, layout: Layout) -> None:
        self._module, self._held = module, layout.stacked

    def _weight(self, name: str, expert: int) -> Float[Tensor, "outputs inputs"]:
        weight: Tensor = getattr(self._module, name)[expert]
        return weight.T if self._held.transposed else weight

    @property
    def n_experts(self) -> int:
        """How many there are."""
        return len(getattr(self._module, self._held.second))

    def keys(self, expert: int, which: int) -> Float[Tensor, "d_ff d_model"]:
        """The rows of an expert's first matrix that are gate keys, or up keys."""
        return self._half(self._weight(self._held.first, expert), which)

    def _half(self, outputs: Tensor, which: int) -> Tensor:
        if not self._held.gated:
            return outputs
        return outputs.chunk(2)[which] if self._held.halves is None else outputs[slice(*self._held.halves[which])]

    def key_bias(self, expert: int, which: int) -> Float[Tensor, "d_ff"] | None:
        """The same of its bias."""
        if not self._held.first_bias:
            return None
        return self._half(getattr(self._module, self._held.first_bias)[expert], which)

    def values(self, expert: int) -> Float[Tensor, "d_ff d_model"]:
        """The values of an expert, a row each."""
        return self._weight(self._held.second, expert).T

    def second_biases(self) -> Float[Tensor, "experts d_model"]:
        """What each expert adds to its output."""
        found: Tensor = getattr(self._module, self._held.second_bias)
        return found

    def activate(self, products: Float[Tensor, "*positions outputs"]) -> Float[Tensor, "*positions d_ff"]:
        """The activations, from the products with all keys."""
        if self._held.activate is not None:
            return self._held.activate(self._module, products)  # type: ignore[no-any-return]
        gate, up = products.chunk(2, dim=-1)
        return self._module.act_fn(gate) * up  # type: ignore[no-any-return]

    def _first(self, states: Tensor, expert: int) -> Tensor:
        if not self._held.transposed:
            products = nn.functional.linear(states, getattr(self._module, self._held.first)[expert])
        else:
            products = states @ getattr(self._module, self._held.first)[expert]
        return products + getattr(self._module, self._held.first_bias)[expert] if self._held.first_bias else products

    def _second(self, activated: Tensor, expert: int) -> Tensor:
        if not self._held.transposed:
            output = nn.functional.linear(activated, getattr(self._module, self._held.second)[expert])
        else:
            output = activated @ getattr(self._module, self._held.second)[expert]
        return output + self.second_biases()[expert] if self._held.second_bias else output

    def follow(self, begin: Begin, fill: OnExpert, end: End) -> Stop:
        """Report each pass, expert by expert; what ``end`` returns is added to the output."""
        if self._held.weighted_inputs:
            return self._follow_all(begin, fill, end)
        scale = self._held.scale

        def forward(
            hidden: Float[Tensor, "positions d_model"],
            chosen: Int[Tensor, "positions routes"],
            weights: Float[Tensor, "positions routes"],
        ) -> Float[Tensor, "positions d_model"]:
            """Computes the experts as their own loop does, since no module of theirs sees single coefficients."""
            begin(hidden)
            output = torch.zeros_like(hidden)
            for expert in torch.unique(chosen).tolist():
                if expert >= self.n_experts:  # where a position is sent to fewer experts than others
                    continue
                # by route, then position, as the experts' own loop has them: the order of rows decides the last bits
                routes, positions = (expert == chosen.T).nonzero(as_tuple=True)
                activated = self.activate(self._first(hidden[positions], expert))
                weight = weights[positions, routes, None]
                ascending = positions.argsort()
                coefficients = activated * weight
                fill(expert, positions[ascending], (coefficients if scale == 1 else coefficients * scale)[ascending])
                update = self._second(activated, expert) * weight
                output.index_add_(0, positions, update.to(output.dtype))
            added = end()
            return output if added is None else output + (added / scale).to(output.dtype)

        before = vars(self._module).get("forward")
        self._module.forward = forward
        if before is None:
            return lambda: delattr(self._module, "forward")
        return lambda: setattr(self._module, "forward", before)

    def _follow_all(self, begin: Begin, fill: OnExpert, end: End) -> Stop:
        """Where every expert is given all positions, already multiplied with their routing weights."""

        def before(_: Any, arguments: tuple[Any, ...]) -> None:
            states = arguments[0].view(self.n_experts, -1, arguments[0].shape[-1])
            begin(states[0])
            for expert, given in enumerate(states):
                positions = given.any(-1).nonzero().squeeze(1)
                fill(expert, positions, self.activate(self._first(given[positions], expert)) * self._held.scale)

        def after(_: Any, arguments: tuple[Any, ...], output: Tensor) -> Tensor | None:
            added = end()
            if added is None:
                return None
            n_positions = len(output) // self.n_experts
            output = output.clone()  # the experts' outputs are added up behind this
            output[:n_positions] += (added / self._held.scale).to(output.dtype)
            return output

        hooks = self._module.register_forward_pre_hook(before), self._module.register_forward_hook(after)
        return partial(_remove, hooks)


class _Shared:
    """Cells that every position sees, as so many groups of the size of an expert."""

    def __init__(self, module: nn.Module, where: SharedCells, d_ff: int) -> None:
        self._at, self._where, self._d_ff = partial(at, module), where, d_ff
        self.n_groups = rows(self._at(where.value)).shape[0] // d_ff

    def keys(self, which: int) -> Tensor:
        """Gate keys, or up keys."""
        return self._half(columns(self._key(which)), which)

    def key_bias(self, which: int) -> Tensor | None:
        """The same of the biases."""
        bias: Tensor | None = self._key(which).bias
        return None if bias is None else self._half(bias, which)

    def _key(self, which: int) -> Any:
        return self._at((self._where.gate_key, self._where.up_key)[which] or self._where.gate_key)

    def _half(self, outputs: Tensor, which: int) -> Tensor:
        return outputs if self._where.halves is None else outputs[slice(*self._where.halves[which])]

    def values(self) -> Tensor:
        """The values, a row each."""
        return rows(self._at(self._where.value))

    def bias(self) -> Tensor | None:
        """What is added to the sum of the values."""
        bias: Tensor | None = self._at(self._where.value).bias
        return None if bias is None else bias * self._where.scale

    def follow(self, begin: Begin, fill: OnExpert, end: End) -> Stop:
        """Report each pass, group by group; what ``end`` returns is added to the output."""
        weight: list[Tensor] = []

        def before_keys(_: Any, arguments: tuple[Any, ...]) -> None:
            states = arguments[0].flatten(0, -2)
            begin(states)
            weight[:] = [states.new_full((1, 1), self._where.scale)]
            if self._where.gate:
                gate = self._at(self._where.gate)
                products = nn.functional.linear(states, gate.weight, gate.bias)
                weight[:] = [torch.sigmoid(products) * self._where.scale]

        def before_values(_: Any, arguments: tuple[Any, ...]) -> None:
            coefficients = arguments[0].flatten(0, -2) * weight[0]
            positions = torch.arange(len(coefficients), device=coefficients.device)
            for group in range(self.n_groups):
                fill(group, positions, coefficients[:, group * self._d_ff : (group + 1) * self._d_ff])

        def after_values(_: Any, __: Any, output: Tensor) -> Tensor | None:
            added = end()
            return None if added is None else output + (added / weight[0]).to(output.dtype).view(output.shape)

        keys, values = self._key(0), self._at(self._where.value)
        hooks = (
            keys.register_forward_pre_hook(before_keys),
            values.register_forward_pre_hook(before_values),
            values.register_forward_hook(after_values),
        )
        return partial(_remove, hooks)
