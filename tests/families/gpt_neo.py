"""GPT-Neo with a window in every second layer."""

from transformers import GPTNeoConfig, GPTNeoForCausalLM

from tests.families import WIDE, Example

_CONFIG = WIDE | {"window_size": 4, "attention_types": [[["global"], 1], [["local", "global"], 1]]}

EXAMPLES = {
    "gpt_neo": Example(
        lambda n: GPTNeoForCausalLM(GPTNeoConfig(**_CONFIG, vocab_size=n)), has_table=True, last_bits=True
    )
}
