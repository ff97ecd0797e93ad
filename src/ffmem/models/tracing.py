"""The states around every feed-forward layer, by hooks that go when the pass is over."""

from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from ffmem.models.base import LayerTrace, Transformer


def trace(
    model: Transformer,
    token_ids: Int[Tensor, "batch positions"],
    attention_mask: Int[Tensor, "batch positions"] | None = None,
) -> tuple[LayerTrace, ...]:
    """The states around every feed-forward layer, for small inputs.

    Cost: about 6 x batch x positions x d_model and batch x positions x d_ff numbers a layer.
    """
    seen: list[dict[str, Tensor]] = [{} for _ in range(model.facts.n_layers)]
    handles: list[Any] = []
    try:
        for layer in range(model.facts.n_layers):
            handles += _hook_layer(model, layer, seen[layer])
        with torch.no_grad():
            model.forward(token_ids, attention_mask)
    finally:
        for handle in handles:
            handle.remove()
    batch, positions = token_ids.shape
    return tuple(_assemble(model, states, (batch, positions)) for states in seen)


def _hook_layer(model: Transformer, layer: int, states: dict[str, Tensor]) -> list[Any]:
    layout = model.layout

    def keep_input(name: str) -> Any:
        def hook(_: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
            states[name] = (arguments[0] if arguments else named["hidden_states"]).detach().clone()

        return hook

    def keep_output(name: str) -> Any:
        def hook(_: Any, __: Any, output: Any) -> None:
            states[name] = (output[0] if isinstance(output, tuple) else output).detach().clone()

        return hook

    inputs = {"": "layer_input", layout.key or layout.gate_key: "ff_input", layout.value: "coefficients"}
    if layout.placement != "post":
        inputs[layout.ff_norm] = "norm_input"
    outputs = {"": "layer_output", layout.value: "ff_output"}
    if layout.post_ff_norm:
        outputs[layout.post_ff_norm] = "ff_update"
    if layout.parallel:
        outputs[layout.attention] = "attention_output"
    handles = [model.at(layer, p).register_forward_pre_hook(keep_input(n), with_kwargs=True) for p, n in inputs.items()]
    return handles + [model.at(layer, p).register_forward_hook(keep_output(n)) for p, n in outputs.items()]


def _assemble(model: Transformer, states: dict[str, Tensor], shape: tuple[int, int]) -> LayerTrace:
    states = {name: state.view(*shape, state.shape[-1]) for name, state in states.items()}
    if model.layout.parallel:
        residual = states["layer_input"] + states["attention_output"]
    elif model.layout.placement in ("post", "shared"):
        residual = states["ff_input"]
    else:
        residual = states["norm_input"]
    return LayerTrace(
        residual=residual,
        ff_input=states["ff_input"],
        coefficients=states["coefficients"],
        ff_output=states["ff_output"],
        ff_update=states.get("ff_update", states["ff_output"]),
        layer_output=states["layer_output"],
    )
