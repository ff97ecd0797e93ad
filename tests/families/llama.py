"""Llama, with biases too, and what differs from it in its attention alone."""

from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from tests.families import GATED, WINDOW, Example

EXAMPLES = {
    "llama": Example(
        lambda n: LlamaForCausalLM(LlamaConfig(**GATED, vocab_size=n)), tokenizer="bytes with a BOS", gauge=-4.0
    ),
    "llama_biased": Example(lambda n: LlamaForCausalLM(LlamaConfig(**GATED, mlp_bias=True, vocab_size=n)), gauge=-1.0),
    "mistral": Example(
        lambda n: MistralForCausalLM(MistralConfig(**GATED, sliding_window=4, vocab_size=n)), gauge=-4.0
    ),
    "qwen2": Example(
        lambda n: Qwen2ForCausalLM(Qwen2Config(**GATED, **WINDOW, use_sliding_window=True, vocab_size=n)), gauge=0.25
    ),
    "qwen3": Example(lambda n: Qwen3ForCausalLM(Qwen3Config(**GATED, vocab_size=n)), gauge=-1.0),
}
