"""GPT-J."""

from transformers import GPTJConfig, GPTJForCausalLM

from tests.families import D_FF, SIZES, Example

EXAMPLES = {
    "gptj": Example(
        lambda n: GPTJForCausalLM(GPTJConfig(**SIZES, n_inner=D_FF, rotary_dim=4, vocab_size=n)),
        has_table=True,
        last_bits=True,
    )
}
