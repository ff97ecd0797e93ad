"""The model of Baevski & Auli (2019), and with a final norm."""

from ffmem.models.wikilm import WikiLMConfig, WikiLMForCausalLM
from tests.families import WIDE, Example

_CONFIG = WIDE | {"cutoffs": [100, 250], "adaptive_factor": 2}

EXAMPLES = {
    "wikilm": Example(
        lambda n: WikiLMForCausalLM(WikiLMConfig(**_CONFIG, vocab_size=n)), tokenizer="bytes with a BOS", gauge=4.0
    ),
    "wikilm_final_norm": Example(lambda n: WikiLMForCausalLM(WikiLMConfig(**_CONFIG, final_norm=True, vocab_size=n))),
}
