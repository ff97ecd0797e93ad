"""Gemma 2: gated cells between two RMSNorms whose gain is 1 + weight; scaled embedding; final logits soft-capped."""

from typing import Any

from ffmem.models.base import Family, Layout


def _layout(config: Any) -> Layout:
    return Layout(
        backbone="model",
        layers="layers",
        gate_key="mlp.gate_proj",
        up_key="mlp.up_proj",
        value="mlp.down_proj",
        ff_norm="pre_feedforward_layernorm",
        post_ff_norm="post_feedforward_layernorm",
        attention="self_attn",
        final_norm="norm",
        placement="sandwich",
        norm="rmsnorm",
        norm_offset=1.0,
        softcap=config.final_logit_softcapping,
    )


FAMILY = Family(
    name="gemma2",
    architectures={"Gemma2ForCausalLM": "AutoModelForCausalLM"},
    layout=_layout,
    activation="hidden_activation",
)
