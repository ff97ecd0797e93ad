"""BLOOM, and with the stream going on from the normed state; d_ff is no choice of its config."""

from transformers import BloomConfig, BloomForCausalLM

from tests.families import D_MODEL, SIZES, Example

_CONFIG = {name: size for name, size in SIZES.items() if name != "max_position_embeddings"}
_NORMED = {"apply_residual_connection_post_layernorm": True}

EXAMPLES = {
    "bloom": Example(lambda n: BloomForCausalLM(BloomConfig(**_CONFIG, vocab_size=n)), d_ff=4 * D_MODEL, longest=None),
    "bloom_normed_residual": Example(
        lambda n: BloomForCausalLM(BloomConfig(**_CONFIG, **_NORMED, vocab_size=n)), d_ff=4 * D_MODEL, longest=None
    ),
}
