"""The states around every feed-forward layer, by hooks that go when the pass is over."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ffmem.models.base import CallArguments
from ffmem.models.feed_forward import Run
from ffmem.models.mixture import MixtureLayer
from ffmem.models.transformer import Transformer


@dataclass(frozen=True)
class LayerTrace:
    """The states around one feed-forward layer, in the words of Geva et al. 2021, section 5; positions may be two axes."""

    layer_input: Float[Tensor, "*positions d_model"]
    """h: the stream before the layer."""
    residual: Float[Tensor, "*positions d_model"]
    """r: the stream that the feed-forward output is added to."""
    ff_input: Float[Tensor, "*positions d_model"]
    """x: what the keys are compared with."""
    coefficients: Float[Tensor, "*positions cells"]
    """m; 0 for the cells of experts that a position is not routed to."""
    ff_output: Float[Tensor, "*positions d_model"]
    """y = sum of m_i v_i + b."""
    bias: Float[Tensor, "*positions d_model"]
    """b; at each position, where experts have biases, which are weighted as their cells are."""
    ff_update: Float[Tensor, "*positions d_model"]
    """What is added to r: y, or its norm in "sandwich" layers."""
    layer_output: Float[Tensor, "*positions d_model"]
    """o."""


def trace(
    model: Transformer,
    token_ids: Int[Tensor, "batch positions"],
    attention_mask: Int[Tensor, "batch positions"] | None = None,
    at: tuple[Int[Tensor, "places"], Int[Tensor, "places"]] | None = None,
) -> tuple[LayerTrace, ...]:
    """The states around every feed-forward layer, for small inputs.

    Args:
        model: the model.
        token_ids: inputs.
        attention_mask: 0 where there is padding.
        at: rows and positions: only the states there are kept, as if they were the positions of a single row.

    Cost: about 6 x batch x positions x d_model and batch x positions x cells numbers a layer; with ``at`` so many places
        instead of batch x positions.
    """
    found: dict[int, LayerTrace] = {}
    with torch.no_grad(), watch_layers(model, (len(token_ids), token_ids.shape[1]), found.__setitem__, at):
        model.forward(token_ids, attention_mask)
    return tuple(found[layer] for layer in range(model.facts.n_layers))


@contextmanager
def watch_layers(
    model: Transformer,
    shape: tuple[int, int],
    on_layer: Callable[[int, LayerTrace], None],
    at: tuple[Int[Tensor, "places"], Int[Tensor, "places"]] | None = None,
) -> Iterator[None]:
    """Call ``on_layer(layer, states)`` as soon as a layer has run, in one forward pass of so many rows and positions.

    Its weights are there, even of a model that does not fit into its device; and nothing is kept of it afterwards. What it does
    may run parts of the layer, such as its norms: that is not taken for the pass.

    Args:
        model: the model.
        shape: rows and positions of the pass.
        on_layer: takes a layer's place and the states around it.
        at: as in `trace`.

    Cost: about 6 x batch x positions x d_model and batch x positions x cells numbers, of one layer.
    """
    watched = _Watched(model, shape, on_layer, at)
    handles: list[Any] = []
    try:
        for layer in range(model.facts.n_layers):
            handles += _hook_layer(model, layer, watched)
        with model.watch_coefficients(watched.keep_coefficients):
            yield
    finally:
        for handle in handles:
            handle.remove()


class _Watched:
    """What is kept of the layers of a pass until they have run; see `watch_layers`."""

    def __init__(
        self,
        model: Transformer,
        shape: tuple[int, int],
        on_layer: Callable[[int, LayerTrace], None],
        at: tuple[Tensor, Tensor] | None,
    ) -> None:
        self._model, self._shape, self._on_layer = model, shape, on_layer
        self._devices = [model.device_of(layer) for layer in range(model.facts.n_layers)]
        self._at = {} if at is None else {device: (at[0].to(device), at[1].to(device)) for device in self._devices}
        self._seen: list[dict[str, Tensor]] = [{} for _ in self._devices]
        self.telling = False
        """Whether what runs now is not the pass but who is told of it."""

    def keep(self, layer: int, name: str, states: Tensor) -> None:
        """Keep states of a layer, and tell of it when they are the last."""
        n_rows, n = self._shape
        # some models flatten batch and positions before the feed-forward layer, or fill up to a whole number of windows
        n += int(self._model.layout(layer).stack == "dec")
        # what a layer is given may be where the one before it is
        states = states.detach().to(self._devices[layer])
        shaped = self._model.own_positions(layer, states.view(n_rows, -1, states.shape[-1])[:, :n])
        self._seen[layer][name] = self._chosen(layer, shaped)
        if name == _LAST:
            self._tell(layer)

    def keep_coefficients(self, layer: int, coefficients: Tensor) -> None:
        """Keep a layer's coefficients."""
        self._seen[layer]["coefficients"] = self._chosen(layer, coefficients.detach())

    def _chosen(self, layer: int, states: Tensor) -> Tensor:
        return states[self._at[self._devices[layer]]][None] if self._at else states.clone()

    def _tell(self, layer: int) -> None:
        self.telling = True
        try:
            states, self._seen[layer] = self._seen[layer], {}
            self._on_layer(layer, _assemble(self._model, layer, states))
        finally:
            self.telling = False


@dataclass(frozen=True)
class _InputReport:
    """Tells of what one layer reads."""

    model: Transformer
    place: int
    n_rows: int
    on_layer: Callable[[int, Tensor], None]

    def told(self, _: Any, arguments: tuple[Any, ...], named: CallArguments) -> None:
        """As a hook before the layer's keys; some models flatten batch and positions there."""
        states = arguments[0] if arguments else named["hidden_states"]
        shaped = states.view(self.n_rows, -1, states.shape[-1])
        self.on_layer(self.place, self.model.own_positions(self.place, shaped))


@contextmanager
def watch_inputs(model: Transformer, n_rows: int, on_layer: Callable[[int, Tensor], None]) -> Iterator[None]:
    """Call ``on_layer(layer, x)`` with what each layer's keys are compared with, in each forward pass of so many rows.

    x is (batch, positions, d_model), at the positions of the tokens. It is the model's own: not to be written to.
    """
    handles: list[Any] = []
    try:
        for place in range(model.facts.n_layers):
            module = model.layer(place).input_module
            report = _InputReport(model, place, n_rows, on_layer)
            handles.append(module.register_forward_pre_hook(report.told, with_kwargs=True))
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def watch_stream(model: Transformer, n_rows: int, on_state: Callable[[int, Tensor], None]) -> Iterator[None]:
    """Call ``on_state(stack, states)`` in each forward pass of so many rows, in the order in which the model goes.

    Of each stack (of an encoder-decoder: 0 the encoder, 1 the decoder) the stream before its first layer, then the output of
    each layer: (batch, positions, d_model), at all positions, that of a decoder's start token too. They are the model's own:
    not to be written to.
    """

    def report(stack: int, states: Tensor) -> None:
        on_state(stack, states.view(n_rows, -1, states.shape[-1]))

    handles: list[Any] = []
    begun: set[int] = set()
    try:
        for place in range(model.facts.n_layers):
            stack, layout = model.stack_of(place), model.layout(place)
            if stack not in begun:
                begun.add(stack)
                keep = partial(_keep_input, partial(report, stack), Run(*layout.runs), None)
                handles.append(model.module_before(place).register_forward_pre_hook(keep, with_kwargs=True))
            keep = partial(_keep_output, partial(report, stack), Run(*layout.runs), None)
            handles.append(model.layer(place).module.register_forward_hook(keep))
        yield
    finally:
        for handle in handles:
            handle.remove()


_LAST = "layer_output"
"""What is kept last of a layer."""


def _hook_layer(model: Transformer, place: int, watched: _Watched) -> list[Any]:
    layer, layout = model.layer(place), model.layout(place)
    inputs = [(model.module_before(place), "layer_input"), (layer.input_module, "ff_input")]
    if layout.ff_norm and layout.placement != "post":
        inputs.append((layer.at(layout.ff_norm), "norm_input"))
    outputs = [(module, f"ff_output {number}") for number, module in enumerate(layer.output_modules)]
    if layout.post_ff_norm:
        outputs.append((layer.at(layout.post_ff_norm), "ff_update"))
    if layout.parallel or layout.beside:
        outputs.append((layer.at(layout.beside or layout.attention[0].module), "beside"))
    outputs.append((layer.module, _LAST))  # behind the others where a module is several of them
    handles: list[Any] = [
        module.register_forward_pre_hook(
            partial(_keep_input, partial(watched.keep, place, name), Run(*layout.runs), watched), with_kwargs=True
        )
        for module, name in inputs
    ]
    if isinstance(layer, MixtureLayer):
        stop = layer.watch_bias(partial(watched.keep, place, "bias"))
        handles += [] if stop is None else [_Stopped(stop)]
    return handles + [
        module.register_forward_hook(
            partial(_keep_output, partial(watched.keep, place, name), Run(*layout.runs), watched)
        )
        for module, name in outputs
    ]


@dataclass(frozen=True)
class _Stopped:
    """What ends by a call, as the handle of a hook does."""

    remove: Callable[[], None]


def _keep_input(
    keep: Callable[[Tensor], Any],
    run: Run,
    watched: _Watched | None,
    _: Any,
    arguments: tuple[Any, ...],
    named: CallArguments,
) -> None:
    if not (watched and watched.telling) and run.next():
        keep(arguments[0] if arguments else named["hidden_states"])


def _keep_output(
    keep: Callable[[Tensor], Any], run: Run, watched: _Watched | None, _: Any, __: Any, output: Any
) -> None:
    if not (watched and watched.telling) and run.next():
        keep(output if isinstance(output, Tensor) else output[0])


def _assemble(model: Transformer, layer: int, shaped: dict[str, Tensor]) -> LayerTrace:
    layout = model.layout(layer)
    if layout.parallel:
        residual = shaped["layer_input"]
    elif layout.placement in ("post", "shared") or not layout.ff_norm:
        residual = shaped["ff_input"]
    else:
        residual = shaped["norm_input"]
    residual = _times(layout.residual_scale, residual)
    if "beside" in shaped:
        residual = residual + _times(layout.beside_scale, shaped["beside"])
    pieces = [shaped[name] for name in shaped if name.startswith("ff_output")]
    output = pieces[0] if len(pieces) == 1 else torch.stack(pieces).sum(0)
    bias = model.value_bias(layer) + shaped["bias"] if "bias" in shaped else model.value_bias(layer)
    bias = bias.to(output.dtype).expand(output.shape)
    return LayerTrace(
        layer_input=shaped["layer_input"],
        residual=residual,
        ff_input=shaped["ff_input"],
        coefficients=shaped["coefficients"],
        ff_output=output,
        bias=bias,
        ff_update=_times(layout.update_scale, shaped.get("ff_update", output)),
        layer_output=shaped["layer_output"],
    )


def _times(scale: float, states: Tensor) -> Tensor:
    return states if scale == 1.0 else states * scale
