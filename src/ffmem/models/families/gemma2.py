"""Gemma 2 and 3: gated cells between two RMSNorms whose gain is 1 + weight; scaled embedding; soft-capped logits."""

from typing import Any

from ffmem.errors import InputError
from ffmem.models.base import AttentionLayout, Family, Layout


def _layout(config: Any) -> Layout:
    if getattr(config, "use_bidirectional_attention", False):  # Gemma 3 has the field, Gemma 2 has not
        raise InputError(
            "use_bidirectional_attention is true in the config of this Gemma 3: a position sees those to its right",
            "Expected a causal language model, whose triggers are prefixes",
            "Use the language model that this encoder was made from",
        )
    return Layout(
        backbone="model",
        layers="layers",
        gate_key="mlp.gate_proj",
        up_key="mlp.up_proj",
        value="mlp.down_proj",
        ff_norm="pre_feedforward_layernorm",
        post_ff_norm="post_feedforward_layernorm",
        attention=(
            AttentionLayout(
                module="self_attn",
                value="self_attn.v_proj",
                output="self_attn.o_proj",
                norm="input_layernorm",
                after="post_attention_layernorm",
            ),
        ),
        final_norm="norm",
        placement="sandwich",
        norm="rmsnorm",
        norm_offset=1.0,
        softcap=config.final_logit_softcapping,
    )


FAMILY = Family(
    name="gemma2",
    architectures={"Gemma2ForCausalLM": "AutoModelForCausalLM", "Gemma3ForCausalLM": "AutoModelForCausalLM"},
    layout=_layout,
    activation="hidden_activation",
)
