"""Phi."""

from transformers import PhiConfig, PhiForCausalLM

from tests.families import WIDE, Example

EXAMPLES = {"phi": Example(lambda n: PhiForCausalLM(PhiConfig(**WIDE, vocab_size=n)))}
