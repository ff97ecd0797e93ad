"""Falcon: attention and feed-forward layer in parallel behind one norm (7B, 11B) or two (40B), or in sequence (RW)."""

from typing import Any

from ffmem.models.base import AttentionLayout, CallArguments, Family, Layout, max_positions


def _add_alibi_once(named: CallArguments) -> CallArguments:
    """ALiBi is in the mask already: computing weights step by step, transformers adds it a second time."""
    alibi = named.get("alibi")
    return named if alibi is None else named | {"alibi": alibi.new_zeros(alibi.shape)}


def _layout(config: Any) -> Layout:
    n_norms = config.num_ln_in_parallel_attn or (2 if config.new_decoder_architecture else 1)
    parallel = bool(config.new_decoder_architecture or config.parallel_attn)
    groups = config.num_attention_heads  # of queries, a key and a value each
    if config.new_decoder_architecture:
        groups = config.num_kv_heads
    elif config.multi_query:
        groups = 1
    return Layout(
        backbone="transformer",
        layers="h",
        key="mlp.dense_h_to_4h",
        value="mlp.dense_4h_to_h",
        ff_norm="post_attention_layernorm" if not parallel else "ln_mlp" if n_norms == 2 else "input_layernorm",
        attention=(
            AttentionLayout(
                module="self_attention",
                value="self_attention.query_key_value",
                output="self_attention.dense",
                norm="ln_attn" if parallel and n_norms == 2 else "input_layernorm",
                fused=(groups, 1),
                step_by_step=_add_alibi_once,
            ),
        ),
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
