"""Mixtral."""

from transformers import MixtralConfig, MixtralForCausalLM

from tests.families import EXPERTS, Example

EXAMPLES = {
    "mixtral": Example(lambda n: MixtralForCausalLM(MixtralConfig(**EXPERTS, num_local_experts=4, vocab_size=n)))
}
