"""One attention sub-layer of a loaded model: its matrices, a watch on its states, and other weights put in their place."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from ffmem.errors import ModelError
from ffmem.models.base import AttentionLayout, CallArguments, Layout
from ffmem.models.feed_forward import Run, at, rows


@dataclass(frozen=True)
class AttentionStates:
    """What one attention sub-layer saw and gave in a forward pass. Tensors are the model's own: not to be written to."""

    weights: Float[Tensor, "batch heads queries keys"]
    """alpha: each row adds up to 1, or to less where some goes to a sink; 0 where a query may not look."""
    values: Float[Tensor, "batch keys kv_heads d_head"]
    """v = x W_V + b_V. With grouped queries a value is shared by heads / kv_heads heads, one after the other."""
    stream: Float[Tensor, "batch queries d_model"]
    """What the output is added to."""
    output: Float[Tensor, "batch queries d_model"]
    """y = sum over heads and sources of alpha v W_O, plus b_O."""


OnAttention = Callable[["AttentionLayer", AttentionStates], None]
ChangeWeights = Callable[["AttentionLayer", Float[Tensor, "batch keys heads d_head"]], dict[tuple[int, int], Tensor]]
"""Takes a sub-layer and its values, one for each head; gives other weights, (queries, keys), for some rows of the batch and
heads: those that it names as (row, head)."""

ChangeHeads = Callable[
    ["AttentionLayer", Float[Tensor, "batch queries heads d_head"]], Float[Tensor, "batch queries heads d_head"]
]
"""Takes a sub-layer and what its heads have mixed of their values; gives what goes into W_O in its place."""


class AttentionLayer:
    """An attention sub-layer of several heads.

    Args:
        module: the Transformer layer that it is in.
        layout: of the layer.
        part: of the sub-layer.
        place: of the layer among all.
        layer_name: as `LayerCells.name` has it.
        config: the model's config.
    """

    def __init__(
        self, module: nn.Module, layout: Layout, part: AttentionLayout, place: int, layer_name: str, config: Any
    ) -> None:
        self._module, self._layout, self.part = module, layout, part
        self.place, self.cross = place, part.cross
        self.name = f"{layer_name}.cross" if part.cross else layer_name
        """"L3"; of a decoder's layer "dec.L3", and "dec.L3.cross" where the sources are the encoder's states."""
        self.stack = layout.stack
        self.placement = layout.placement
        self.n_heads: int = part.heads or getattr(config, part.n_heads)
        n_rows = rows(self._at(part.output)).shape[0]
        if n_rows % self.n_heads:
            raise ModelError(
                f"W_O of {self.name} has {n_rows} rows, which {self.n_heads} heads cannot share",
                "Expected the same number of rows for each head",
                "This model departs from its family: see docs/how-to/add-a-family.md",
            )
        self.d_head = n_rows // self.n_heads

    def _at(self, path: str) -> Any:
        return at(self._module, path)

    def output_matrix(self) -> Float[Tensor, "heads d_head d_model"]:
        """W_O, the rows of each head together; with the multiplier of the output in it."""
        whole = self._scaled(rows(self._at(self.part.output)))
        return whole.view(self.n_heads, self.d_head, whole.shape[1])

    def output_bias(self) -> Float[Tensor, "d_model"] | None:
        """b_O, which belongs to no source; None if there is none."""
        bias: Tensor | None = self._at(self.part.output).bias
        return None if bias is None else self._scaled(bias)

    def _scaled(self, output: Tensor) -> Tensor:
        return output if self.part.scale == 1.0 else output * self.part.scale

    def value_bias(self) -> Float[Tensor, "kv_heads d_head"] | None:
        """b_V; None if there is none, or it cannot be told from values since a norm stands behind it."""
        if self.part.value_axes == "batch keys heads outputs":
            return None
        bias: Tensor | None = self._at(self.part.value).bias
        return None if bias is None else self._split(bias)

    def value_matrix(self) -> Float[Tensor, "d_model kv_heads d_head"]:
        """W_V, the columns of each head together; with the multiplier of values in it.

        Raises:
            ModelError: a norm stands behind it, so that values are no linear map of what attention reads.
        """
        if self.part.value_axes == "batch keys heads outputs":
            raise ModelError(
                f"a norm stands behind W_V of {self.name}",
                "Expected values that are a linear map of what attention reads",
                "Use another model",
            )
        return self._split(rows(self._at(self.part.value)))

    @property
    def norm_before(self) -> Any | None:
        """The norm that the sub-layer reads the stream through; None if it reads the stream itself."""
        return self._at(self.part.norm) if self.part.norm and self.placement != "shared" else None

    @property
    def norm_after(self) -> Any | None:
        """In "post" layers the norm of the residual sum, in "sandwich" layers that of the output; otherwise None."""
        return self._at(self.part.after) if self.part.after else None

    def _split(self, values: Float[Tensor, "*batch outputs"]) -> Float[Tensor, "*batch kv_heads d_head"]:
        """The value heads in the outputs of W_V, which may hold queries and keys as well."""
        batch = values.shape[:-1]
        values = values if self.part.value_scale == 1.0 else values * self.part.value_scale
        if self.part.fused is None:
            return values.view(*batch, -1, self.d_head)
        groups, n_values = self.part.fused
        own = values.view(*batch, groups, -1)[..., -n_values * self.d_head :]
        return own.reshape(*batch, groups * n_values, self.d_head)

    def _by_key(self, output: Tensor) -> Float[Tensor, "batch keys outputs"]:
        """What the module of W_V gives, a row for each key."""
        if self.part.value_axes == "batch keys outputs":
            return output
        return output.squeeze(1) if self.part.value_axes == "batch 1 keys outputs" else output.flatten(-2)

    def watch(self, on_states: OnAttention) -> list[Callable[[], None]]:
        """Report the states from now on, until what is returned is called. The model must run with "eager" attention."""
        seen: dict[str, Tensor] = {}
        turns = {name: Run(*self._layout.runs) for name in ("weights", "values", "stream", "output")}

        def arrived() -> None:
            if seen.keys() == {"weights", "values", "stream", "output"}:
                states = AttentionStates(**seen)
                seen.clear()
                on_states(self, states)

        def keep_values(_: Any, __: Any, output: Tensor) -> None:
            if turns["values"].next():
                seen["values"] = self._split(self._by_key(output))

        def keep_output(_: Any, __: Any, output: Tensor) -> None:
            if turns["output"].next():
                seen["output"] = self._scaled(output)
                arrived()

        def keep_weights(_: Any, __: Any, output: tuple[Any, ...] | list[Any]) -> None:
            if not turns["weights"].next():
                return
            if output[-1] is None:
                raise ModelError(
                    f"{self.name} gives no attention weights",
                    'Expected an attention that computes them ("eager")',
                    "Use a model of one of the families in docs/reference/families.md",
                )
            seen["weights"] = output[-1]
            arrived()

        def keep_stream(_: Any, arguments: tuple[Any, ...], named: CallArguments) -> None:
            if turns["stream"].next():
                stream = arguments[0] if arguments else named["hidden_states"]
                seen["stream"] = stream if self.part.stream_scale == 1.0 else stream * self.part.stream_scale

        part = self.part
        # the stream goes on from what the norm before reads, or, where that is normed already, from what attention reads
        source = self._at(part.norm) if self.norm_before is not None else self._at(part.module)
        return [
            source.register_forward_pre_hook(keep_stream, with_kwargs=True).remove,
            self._at(part.value).register_forward_hook(keep_values).remove,
            self._at(part.output).register_forward_hook(keep_output).remove,
            self._at(part.module).register_forward_hook(keep_weights).remove,
        ]

    def correct(self) -> list[Callable[[], None]]:
        """Mend what the family's way to compute weights step by step does wrong, until what is returned is called."""
        mend = self.part.step_by_step
        if mend is None:
            return []

        def mended(_: Any, arguments: tuple[Any, ...], named: CallArguments) -> tuple[Any, Any]:
            return arguments, mend(named)

        return [self._at(self.part.module).register_forward_pre_hook(mended, with_kwargs=True).remove]

    def change(self, change: ChangeWeights) -> list[Callable[[], None]]:
        """Let ``change`` decide the weights from now on, until what is returned is called."""
        seen: list[Tensor] = []
        mine, puts = Run(*self._layout.runs), Run(*self._layout.runs)

        def keep_values(_: Any, __: Any, output: Tensor) -> None:
            if mine.next():
                seen[:] = [self._split(self._by_key(output))]

        def put(_: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
            if not puts.next():
                return None
            values = self.expand(seen.pop())
            changed = change(self, values)
            if not changed:
                return None
            mixed = arguments[0].clone().view(*arguments[0].shape[:2], self.n_heads, self.d_head)
            for (row, head), weights in changed.items():
                mixed[row, :, head] = weights.to(values.dtype) @ values[row, :, head]
            return (mixed.flatten(-2),)

        return [
            self._at(self.part.value).register_forward_hook(keep_values).remove,
            self._at(self.part.output).register_forward_pre_hook(put).remove,
        ]

    def change_heads(self, change: ChangeHeads) -> list[Callable[[], None]]:
        """Let ``change`` decide what goes into W_O from now on, until what is returned is called."""
        mine = Run(*self._layout.runs)

        def put(_: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
            if not mine.next():
                return None
            mixed = arguments[0].view(*arguments[0].shape[:2], self.n_heads, self.d_head)
            return (change(self, mixed).flatten(-2),)

        return [self._at(self.part.output).register_forward_pre_hook(put).remove]

    def expand(self, values: Float[Tensor, "*batch kv_heads d_head"]) -> Float[Tensor, "*batch heads d_head"]:
        """A value for each head: with grouped queries, heads one after the other share one."""
        times = self.n_heads // values.shape[-2]
        return values if times == 1 else values.repeat_interleave(times, dim=-2)


@contextmanager
def change_attention(layers: Iterable[AttentionLayer], change: ChangeWeights) -> Iterator[None]:
    """Let ``change(layer, values)`` decide the weights of some sub-layers, in each forward pass of the model."""
    with hooked(stop for layer in layers for stop in layer.change(change)):
        yield


@contextmanager
def hooked(stops: Iterable[Callable[[], None]]) -> Iterator[None]:
    """What was hooked stays so until the end, whatever happens."""
    called = list(stops)
    try:
        yield
    finally:
        for stop in called:
            stop()


@contextmanager
def step_by_step(module: Any, layers: Iterable[AttentionLayer], *, asked: bool = False) -> Iterator[None]:
    """Let a model compute attention weights as such for a while, in all its sub-layers.

    Args:
        module: the model.
        layers: its sub-layers.
        asked: ask for the weights in its config, too: some classes give none without.
    """
    configs = {id(part.config): part.config for part in module.modules() if hasattr(part, "config")}
    # set on the configs, since the method for it passes over families that were written before it
    before = {key: config._attn_implementation for key, config in configs.items()}
    told = {key: bool(getattr(config, "output_attentions", False)) for key, config in configs.items()}
    try:
        for config in configs.values():
            config._attn_implementation = "eager"
            if asked:
                config.output_attentions = True
        with hooked(stop for layer in layers for stop in layer.correct()):
            yield
    finally:
        for key, config in configs.items():
            if asked:
                config.output_attentions = told[key]
            config._attn_implementation = before[key]
