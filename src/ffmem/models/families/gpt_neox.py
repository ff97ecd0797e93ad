"""GPT-NeoX (Pythia): attention and feed-forward layer in parallel, or in sequence where the config says so."""

from typing import Any

from ffmem.models.base import AttentionLayout, Family, Layout


def _layout(config: Any) -> Layout:
    return Layout(
        backbone="gpt_neox",
        layers="layers",
        key="mlp.dense_h_to_4h",
        value="mlp.dense_4h_to_h",
        ff_norm="post_attention_layernorm",
        attention=(
            AttentionLayout(
                module="attention",
                value="attention.query_key_value",
                output="attention.dense",
                norm="input_layernorm",
                fused=(config.num_attention_heads, 1),
            ),
        ),
        final_norm="final_layer_norm",
        parallel=config.use_parallel_residual,
    )


FAMILY = Family(
    name="gpt_neox",
    architectures={"GPTNeoXForCausalLM": "AutoModelForCausalLM"},
    layout=_layout,
    activation="hidden_act",
)
