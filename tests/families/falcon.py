"""Falcon: 7B's layers, 40B's, 11B's, RW's, and 7B's with ALiBi."""

from transformers import FalconConfig, FalconForCausalLM

from tests.families import D_FF, SIZES, Example

_CONFIG = SIZES | {"ffn_hidden_size": D_FF}
_NEW = {"new_decoder_architecture": True, "num_kv_heads": 2}
_SEQUENTIAL = {"parallel_attn": False, "multi_query": False, "alibi": True, "bias": True}

EXAMPLES = {
    "falcon": Example(lambda n: FalconForCausalLM(FalconConfig(**_CONFIG, vocab_size=n))),
    "falcon_two_norms": Example(lambda n: FalconForCausalLM(FalconConfig(**_CONFIG, **_NEW, vocab_size=n))),
    "falcon_one_norm": Example(
        lambda n: FalconForCausalLM(FalconConfig(**_CONFIG, **_NEW, num_ln_in_parallel_attn=1, vocab_size=n))
    ),
    "falcon_sequential": Example(
        lambda n: FalconForCausalLM(FalconConfig(**_CONFIG, **_SEQUENTIAL, vocab_size=n)), longest=None
    ),
    "falcon_alibi": Example(
        lambda n: FalconForCausalLM(FalconConfig(**_CONFIG, alibi=True, vocab_size=n)), longest=None
    ),
}
