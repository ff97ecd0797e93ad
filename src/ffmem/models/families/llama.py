"""Llama and what is built like it (SmolLM2, Mistral, Qwen): gated cells, RMSNorm, rotary positions.

They differ in their attention alone: Qwen 2 has biases there, Qwen 3 norms, Mistral may see a window only.
"""

from ffmem.models.base import AttentionLayout, Family, Layout

_LAYOUT = Layout(
    backbone="model",
    layers="layers",
    gate_key="mlp.gate_proj",
    up_key="mlp.up_proj",
    value="mlp.down_proj",
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
    name="llama",
    architectures={
        "LlamaForCausalLM": "AutoModelForCausalLM",
        "MistralForCausalLM": "AutoModelForCausalLM",
        "Qwen2ForCausalLM": "AutoModelForCausalLM",
        "Qwen3ForCausalLM": "AutoModelForCausalLM",
    },
    layout=lambda config: _LAYOUT,
    activation="hidden_act",
)
