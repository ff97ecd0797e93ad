"""BLOOM: ALiBi, so inputs have no longest length; the residual sum lies inside its MLP module, behind the values."""

from typing import Any

from ffmem.errors import InputError
from ffmem.models.base import AttentionLayout, Family, Layout


def _layout(config: Any) -> Layout:
    if config.slow_but_exact and config.pretraining_tp > 1:
        raise InputError(
            "slow_but_exact is true in the config of this BLOOM: it multiplies slices of the value matrix, and drops b",
            "Expected false, with which the whole matrix is multiplied",
            'Write "slow_but_exact": false into its config.json',
        )
    return Layout(
        backbone="transformer",
        layers="h",
        key="mlp.dense_h_to_4h",
        value="mlp.dense_4h_to_h",
        ff_norm="post_attention_layernorm",
        attention=(
            AttentionLayout(
                module="self_attention",
                value="self_attention.query_key_value",
                output="self_attention.dense",
                norm="input_layernorm",
                fused=(config.num_attention_heads, 1),
            ),
        ),
        final_norm="ln_f",
        placement="shared" if config.apply_residual_connection_post_layernorm else "pre",
    )


FAMILY = Family(
    name="bloom",
    architectures={"BloomForCausalLM": "AutoModelForCausalLM"},
    layout=_layout,
    activation="gelu_pytorch_tanh",
    max_length=lambda config: None,
)
