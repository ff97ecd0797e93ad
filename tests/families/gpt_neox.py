"""GPT-NeoX, and with its sub-layers one after the other."""

from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from tests.families import WIDE, Example

EXAMPLES = {
    "gpt_neox": Example(lambda n: GPTNeoXForCausalLM(GPTNeoXConfig(**WIDE, vocab_size=n))),
    "gpt_neox_sequential": Example(
        lambda n: GPTNeoXForCausalLM(GPTNeoXConfig(**WIDE, use_parallel_residual=False, vocab_size=n))
    ),
}
