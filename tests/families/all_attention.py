"""The model of Sukhbaatar et al. (2019): as many memories in the attention of each head as other models have in a layer."""

from ffmem.models.all_attention import AllAttentionConfig, AllAttentionForCausalLM
from tests.families import D_FF, WIDE, Example

_CONFIG = WIDE | {"cutoffs": [100, 250], "adaptive_factor": 2}

EXAMPLES = {
    "all_attention": Example(
        lambda n: AllAttentionForCausalLM(AllAttentionConfig(**_CONFIG, vocab_size=n)),
        tokenizer="bytes with a BOS",
        d_ff=_CONFIG["num_attention_heads"] * D_FF,
    ),
}
