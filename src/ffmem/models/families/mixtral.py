"""Mixtral: every layer a mixture of gated experts, each position routed to a few of them; otherwise as Llama."""

from ffmem.models.base import AttentionLayout, Family, Layout

_LAYOUT = Layout(
    backbone="model",
    layers="layers",
    gate_key="mlp.experts.gate_up_proj",
    experts="mlp.experts",
    value="mlp.experts.down_proj",
    ff_norm="post_attention_layernorm",
    attention=(
        AttentionLayout(
            module="self_attn", value="self_attn.v_proj", output="self_attn.o_proj", norm="input_layernorm"
        ),
    ),
    final_norm="norm",
    norm="rmsnorm",
)

FAMILY = Family(
    name="mixtral",
    architectures={"MixtralForCausalLM": "AutoModelForCausalLM"},
    layout=lambda config: _LAYOUT,
    activation="hidden_act",
)
