"""Llama and what is built like it (SmolLM2): gated cells, RMSNorm, rotary positions, no biases."""

from ffmem.models.base import Family, Layout

_LAYOUT = Layout(
    backbone="model",
    layers="layers",
    gate_key="mlp.gate_proj",
    up_key="mlp.up_proj",
    value="mlp.down_proj",
    ff_norm="post_attention_layernorm",
    attention="self_attn",
    final_norm="norm",
    norm="rmsnorm",
)

FAMILY = Family(
    name="llama",
    architectures={"LlamaForCausalLM": "AutoModelForCausalLM"},
    layout=lambda config: _LAYOUT,
    activation="hidden_act",
)
