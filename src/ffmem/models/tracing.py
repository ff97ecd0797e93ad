"""The states around every feed-forward layer, by hooks that go when the pass is over."""

from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from ffmem.models.transformer import LayerTrace, Transformer


def trace(
    model: Transformer,
    token_ids: Int[Tensor, "batch positions"],
    attention_mask: Int[Tensor, "batch positions"] | None = None,
) -> tuple[LayerTrace, ...]:
    """The states around every feed-forward layer, for small inputs.

    Cost: about 6 x batch x positions x d_model and batch x positions x cells numbers a layer.
    """
    seen: list[dict[str, Tensor]] = [{} for _ in range(model.facts.n_layers)]

    def keep(layer: int, coefficients: Tensor) -> None:
        seen[layer]["coefficients"] = coefficients.detach().clone()

    handles: list[Any] = []
    try:
        for layer in range(model.facts.n_layers):
            handles += _hook_layer(model, layer, seen[layer])
        with torch.no_grad(), model.watch_coefficients(keep):
            model.forward(token_ids, attention_mask)
    finally:
        for handle in handles:
            handle.remove()
    return tuple(_assemble(model, layer, states, token_ids.shape[0]) for layer, states in enumerate(seen))


def _hook_layer(model: Transformer, place: int, states: dict[str, Tensor]) -> list[Any]:
    layer, layout = model.layer(place), model.layout(place)

    def keep_input(name: str) -> Any:
        def hook(_: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
            states[name] = (arguments[0] if arguments else named["hidden_states"]).detach().clone()

        return hook

    def keep_output(name: str) -> Any:
        def hook(_: Any, __: Any, output: Any) -> None:
            states[name] = (output[0] if isinstance(output, tuple) else output).detach().clone()

        return hook

    inputs = [(layer.module, "layer_input"), (layer.input_module, "ff_input")]
    if layout.placement != "post":
        inputs.append((layer.at(layout.ff_norm), "norm_input"))
    outputs = [(layer.module, "layer_output"), (layer.output_module, "ff_output")]
    if layout.post_ff_norm:
        outputs.append((layer.at(layout.post_ff_norm), "ff_update"))
    if layout.parallel:
        outputs.append((layer.at(layout.attention), "attention_output"))
    handles = [module.register_forward_pre_hook(keep_input(name), with_kwargs=True) for module, name in inputs]
    return handles + [module.register_forward_hook(keep_output(name)) for module, name in outputs]


def _assemble(model: Transformer, layer: int, states: dict[str, Tensor], n_rows: int) -> LayerTrace:
    coefficients = states.pop("coefficients")
    # some models flatten batch and positions before the feed-forward layer
    shaped = {
        name: model.own_positions(layer, state.view(n_rows, -1, state.shape[-1])) for name, state in states.items()
    }
    layout = model.layout(layer)
    if layout.parallel:
        residual = shaped["layer_input"] + shaped["attention_output"]
    elif layout.placement in ("post", "shared"):
        residual = shaped["ff_input"]
    else:
        residual = shaped["norm_input"]
    return LayerTrace(
        layer_input=shaped["layer_input"],
        residual=residual,
        ff_input=shaped["ff_input"],
        coefficients=coefficients,
        ff_output=shaped["ff_output"],
        ff_update=shaped.get("ff_update", shaped["ff_output"]),
        layer_output=shaped["layer_output"],
    )
