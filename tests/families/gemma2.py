"""Gemma 2, and Gemma 3 with windows."""

from transformers import Gemma2Config, Gemma2ForCausalLM, Gemma3ForCausalLM, Gemma3TextConfig

from tests.families import GATED, WINDOW, Example

_CONFIG = GATED | {"query_pre_attn_scalar": 8}

EXAMPLES = {
    "gemma2": Example(
        lambda n: Gemma2ForCausalLM(Gemma2Config(**_CONFIG, vocab_size=n)), tokenizer="bytes with a BOS", gauge=-1.0
    ),
    "gemma3": Example(lambda n: Gemma3ForCausalLM(Gemma3TextConfig(**_CONFIG, **WINDOW, vocab_size=n)), gauge=-4.0),
}
