"""Models that look like Llama by their names and compute something else: what each changes, and what is true of it then."""

from collections.abc import Callable
from dataclasses import dataclass
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, MixtralConfig, MixtralForCausalLM

SIZES = {"hidden_size": 32, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4}
SIZES |= {"num_key_value_heads": 2, "max_position_embeddings": 128, "bos_token_id": 0, "eos_token_id": 0}
Forward = Callable[..., Any]


@dataclass(frozen=True)
class Mutant:
    """A model, changed."""

    change: Callable[[Any], None]
    """Of the model, in place."""
    truth: Callable[[Any], dict[str, Any]] | None = None
    """What must be found, by name of a fact of layer 1, if it is not refused; None: it must be refused."""
    config: dict[str, Any] | None = None


def llama(**more: Any) -> Any:
    """A tiny Llama with norms and biases that are not trivial."""
    torch.manual_seed(5)
    return drawn(LlamaForCausalLM(LlamaConfig(**SIZES | more, vocab_size=402)))


def mixtral() -> Any:
    """A tiny Mixtral."""
    torch.manual_seed(5)
    return drawn(MixtralForCausalLM(MixtralConfig(**SIZES, num_local_experts=4, num_experts_per_tok=2, vocab_size=402)))


def drawn(model: Any) -> Any:
    """With every parameter drawn anew."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.3)
            else:
                parameter.normal_(std=0.2)
    return model.eval().requires_grad_(False)


def on_each(part: str, forward: Forward, only: int | None = None) -> Callable[[Any], None]:
    """Puts another forward into a part of each layer, or of one."""

    def change(model: Any) -> None:
        for number, layer in enumerate(model.model.layers):
            if only is None or number == only:
                module = layer.get_submodule(part) if part else layer
                module.forward = MethodType(forward, module)

    return change


def layer_forward(add: Callable[[Any, Tensor], Tensor], normed: bool = True) -> Forward:
    """A layer whose feed-forward part is written out."""

    def forward(self: Any, hidden_states: Tensor, **named: Any) -> Tensor:
        attended, _ = self.self_attn(hidden_states=self.input_layernorm(hidden_states), **named)
        return add(self, hidden_states + attended)

    return forward


def swapped(self: Any, x: Tensor) -> Any:
    return self.down_proj(self.act_fn(self.up_proj(x)) * self.gate_proj(x))


def without_bias(self: Any, x: Tensor) -> Any:
    return nn.functional.linear(self.act_fn(self.gate_proj(x)) * self.up_proj(x), self.down_proj.weight)


def bias_taken_off(self: Any, x: Tensor) -> Any:
    return self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x)) - self.down_proj.bias


def gelu_mlp(self: Any, x: Tensor) -> Any:
    return self.down_proj(nn.functional.gelu(self.gate_proj(x)) * self.up_proj(x))


def clamped(self: Any, x: Tensor) -> Any:
    return self.down_proj(self.act_fn(self.gate_proj(x)).clamp(max=0.4) * self.up_proj(x))


def scaled_gate(self: Any, x: Tensor) -> Any:
    return self.down_proj(self.act_fn(self.gate_proj(x) * 1.07) * self.up_proj(x))


def scaled_output(factor: float) -> Forward:
    def forward(self: Any, x: Tensor) -> Any:
        return factor * self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x))

    return forward


def rolled(self: Any, x: Tensor) -> Any:
    return self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x).roll(1, -1))


def leaking(self: Any, x: Tensor) -> Any:
    return self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x)) + 0.05 * x


def mixed_positions(self: Any, x: Tensor) -> Any:
    m = self.act_fn(self.gate_proj(x)) * self.up_proj(x)
    return self.down_proj(m + 0.1 * m.roll(1, 1))


def plus_one(self: Any, states: Tensor) -> Tensor:
    scale = torch.rsqrt(states.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)
    return (1 + self.weight) * states * scale


def head_before_norm(model: Any) -> None:
    """The logits see the stream without its final norm."""
    model.model.norm.forward = MethodType(lambda self, states: states, model.model.norm)


def logits_times(change: Callable[[Tensor], Tensor]) -> Callable[[Any], None]:
    def put(model: Any) -> None:
        def forward(self: Any, x: Tensor) -> Tensor:
            return change(nn.functional.linear(x, self.weight))

        model.lm_head.forward = MethodType(forward, model.lm_head)

    return put


def norms_plus_one(model: Any) -> None:
    for module in model.modules():
        if type(module).__name__ == "LlamaRMSNorm":
            module.forward = MethodType(plus_one, module)


def one_norm_plus_one(model: Any) -> None:
    norm = model.model.layers[1].post_attention_layernorm
    norm.forward = MethodType(plus_one, norm)


def shared_layer(model: Any) -> None:
    """Two layers are one module."""
    model.model.layers[2] = model.model.layers[1]


def weights_squared(model: Any) -> None:
    """The routing weights of a mixture are squared before they are used: no matter to memories."""
    for layer in model.model.layers:
        experts, own = layer.mlp.experts, type(layer.mlp.experts).forward
        experts.forward = MethodType(
            lambda self, x, chosen, weights, own=own: own(self, x, chosen, weights**2), experts
        )


def experts_swapped(model: Any) -> None:
    def forward(self: Any, x: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
        output = torch.zeros_like(x)
        for position in range(len(x)):
            for expert, weight in zip(chosen[position].tolist(), weights[position], strict=True):
                up, gate = (self.gate_up_proj[expert] @ x[position]).chunk(2)
                output[position] += weight * (self.down_proj[expert] @ (self.act_fn(gate) * up))
        return output

    for layer in model.model.layers:
        layer.mlp.experts.forward = MethodType(forward, layer.mlp.experts)


def experts_with_a_residue(model: Any) -> None:
    def forward(self: Any, x: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
        return type(self).forward(self, x, chosen, weights) + 0.02 * x

    for layer in model.model.layers:
        layer.mlp.experts.forward = MethodType(forward, layer.mlp.experts)
