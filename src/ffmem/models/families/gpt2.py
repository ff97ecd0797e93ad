"""GPT-2: Conv1D weights, stored transposed; GELU; learned positions; tied unembedding."""

from typing import Any

from ffmem.models.base import AttentionLayout, Family, Layout


def _layout(config: Any) -> Layout:
    return Layout(
        backbone="transformer",
        layers="h",
        key="mlp.c_fc",
        value="mlp.c_proj",
        ff_norm="ln_2",
        attention=(
            AttentionLayout(
                module="attn",
                value="attn.c_attn",
                output="attn.c_proj",
                norm="ln_1",
                fused=(1, config.num_attention_heads),
            ),
        ),
        final_norm="ln_f",
    )


FAMILY = Family(
    name="gpt2",
    architectures={"GPT2LMHeadModel": "AutoModelForCausalLM"},
    layout=_layout,
    activation="activation_function",
)
