"""OPT, and with the norms behind the sums and a narrower embedding."""

from transformers import OPTConfig, OPTForCausalLM

from tests.families import D_FF, D_MODEL, SIZES, Example

_CONFIG = SIZES | {"ffn_dim": D_FF}

EXAMPLES = {
    "opt": Example(
        lambda n: OPTForCausalLM(OPTConfig(**_CONFIG, word_embed_proj_dim=D_MODEL, vocab_size=n)),
        tokenizer="bytes with a BOS",
        has_table=True,
        gauge=4.0,
    ),
    "opt_post_ln": Example(
        lambda n: OPTForCausalLM(
            OPTConfig(**_CONFIG, word_embed_proj_dim=16, do_layer_norm_before=False, vocab_size=n)
        ),
        has_table=True,
        gauge=0.25,
    ),
}
