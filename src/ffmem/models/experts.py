"""What a mixture is made of: the experts that positions are routed to, and the cells beside them that all positions see."""

from collections.abc import Callable, Iterable
from functools import cached_property, partial
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ffmem.models.base import Layout, SharedCells
from ffmem.models.feed_forward import Stop, at, columns, rows
from ffmem.models.present import present

OnExpert = Callable[[int, Int[Tensor, "routed"], Float[Tensor, "routed d_ff"]], None]
"""Takes the number of an expert, the positions that are routed to it (of the flattened batch), and its coefficients."""
OnGatedExpert = Callable[[int, Int[Tensor, "routed"], Float[Tensor, "routed d_ff"], Bool[Tensor, "routed d_ff"]], None]
"""Takes the same, and where the gate is above 0."""
MakeGates = Callable[[], Bool[Tensor, "routed d_ff"]]
Fill = Callable[[int, Int[Tensor, "routed"], Float[Tensor, "routed d_ff"], MakeGates], None]
"""Takes what `OnExpert` takes, and what gives where the gates are above 0, for those who ask."""
Begin = Callable[[Tensor], None]
End = Callable[[], Tensor | None]


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

    @cached_property
    def n_experts(self) -> int:
        """How many there are; asked once, since to ask is to bring their weights where these are streamed."""
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

    def _open(self, products: Tensor, some: Tensor | slice) -> Bool[Tensor, "positions d_ff"]:
        """Where gates are above 0, from the products with all keys."""
        halves = self._held.halves
        gates = products.chunk(2, dim=-1)[0] if halves is None else products[..., slice(*halves[0])]
        return gates[some] > 0

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

    def follow(self, begin: Begin, fill: Fill, end: End) -> Stop:
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
                products = self._first(hidden[positions], expert)
                activated = self.activate(products)
                weight = weights[positions, routes, None]
                ascending = positions.argsort()
                coefficients = activated * weight if scale == 1 else activated * weight * scale
                open_gates = partial(self._open, products, ascending)
                fill(expert, positions[ascending], coefficients[ascending], open_gates)
                update = self._second(activated, expert) * weight
                output.index_add_(0, positions, update.to(output.dtype))
            added = end()
            return output if added is None else output + (added / scale).to(output.dtype)

        def with_weights(*arguments: Tensor, **named: Tensor) -> Tensor:
            with present(self._module, alone=True):
                return forward(*arguments, **named)

        before = vars(self._module).get("forward")
        self._module.forward = with_weights
        if before is None:
            return lambda: delattr(self._module, "forward")
        return lambda: setattr(self._module, "forward", before)

    def _follow_all(self, begin: Begin, fill: Fill, end: End) -> Stop:
        """Where every expert is given all positions, already multiplied with their routing weights."""

        def before(_: Any, arguments: tuple[Any, ...]) -> None:
            states = arguments[0].view(self.n_experts, -1, arguments[0].shape[-1])
            begin(states[0])
            with present(self._module, alone=True):
                for expert, given in enumerate(states):
                    positions = given.any(-1).nonzero().squeeze(1)
                    products = self._first(given[positions], expert)
                    open_gates = partial(self._open, products, slice(None))
                    fill(expert, positions, self.activate(products) * self._held.scale, open_gates)

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


class SharedExperts:
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

    def follow(self, begin: Begin, fill: Fill, end: End, gates: bool = False) -> Stop:
        """Report each pass, group by group; what ``end`` returns is added to the output."""
        weight: list[Tensor] = []
        opened: list[Tensor] = []

        def before_keys(_: Any, arguments: tuple[Any, ...]) -> None:
            states = arguments[0].flatten(0, -2)
            begin(states)
            weight[:] = [states.new_full((1, 1), self._where.scale)]
            if self._where.gate:
                gate = self._at(self._where.gate)
                with present(gate):
                    products = nn.functional.linear(states, gate.weight, gate.bias)
                weight[:] = [torch.sigmoid(products) * self._where.scale]

        def before_values(_: Any, arguments: tuple[Any, ...]) -> None:
            coefficients = arguments[0].flatten(0, -2) * weight[0]
            positions = torch.arange(len(coefficients), device=coefficients.device)
            for group in range(self.n_groups):
                some = slice(group * self._d_ff, (group + 1) * self._d_ff)
                fill(group, positions, coefficients[:, some], partial(_columns, opened, some))

        def after_keys(_: Any, __: Any, products: Tensor) -> None:
            found = products.flatten(0, -2)
            found = found if self._where.halves is None else found[:, slice(*self._where.halves[0])]
            opened[:] = [found > 0]  # at once: what follows may write to them

        def after_values(_: Any, __: Any, output: Tensor) -> Tensor | None:
            added = end()
            return None if added is None else output + (added / weight[0]).to(output.dtype).view(output.shape)

        keys, values = self._key(0), self._at(self._where.value)
        hooks = [
            keys.register_forward_pre_hook(before_keys),
            values.register_forward_pre_hook(before_values),
            values.register_forward_hook(after_values),
        ]
        if gates:
            hooks.append(keys.register_forward_hook(after_keys))
        return partial(_remove, hooks)


def _columns(held: list[Tensor], some: slice) -> Tensor:
    return held[0][:, some]


def _remove(hooks: Iterable[Any]) -> None:
    for hook in hooks:
        hook.remove()
