"""Qwen 3 MoE: mixtures of gated experts in all layers, or in those that the config names; the others as Llama's."""

from ffmem.models.base import AttentionLayout, Family, Layout

_LAYOUT = Layout(
    backbone="model",
    layers="layers",
    gate_key="mlp.gate_proj",
    up_key="mlp.up_proj",
    value="mlp.down_proj",
    experts="mlp.experts",
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
    name="qwen3_moe",
    architectures={"Qwen3MoeForCausalLM": "AutoModelForCausalLM"},
    layout=lambda config: _LAYOUT,
    activation="hidden_act",
)
