"""Falcon: attention and feed-forward layer in parallel behind one norm (7B, 11B) or two (40B), or in sequence (RW)."""

from typing import Any

from ffmem.models.base import Family, Layout, max_positions


def _layout(config: Any) -> Layout:
    n_norms = config.num_ln_in_parallel_attn or (2 if config.new_decoder_architecture else 1)
    parallel = bool(config.new_decoder_architecture or config.parallel_attn)
    return Layout(
        backbone="transformer",
        layers="h",
        key="mlp.dense_h_to_4h",
        value="mlp.dense_4h_to_h",
        ff_norm="post_attention_layernorm" if not parallel else "ln_mlp" if n_norms == 2 else "input_layernorm",
        attention="self_attention",
        final_norm="ln_f",
        parallel=parallel,
    )


FAMILY = Family(
    name="falcon",
    architectures={"FalconForCausalLM": "AutoModelForCausalLM"},
    layout=_layout,
    activation="activation",
    max_length=lambda config: None if config.alibi else max_positions(config),
)
