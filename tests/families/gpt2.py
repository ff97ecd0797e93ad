"""GPT-2."""

from transformers import GPT2Config, GPT2LMHeadModel

from tests.families import CONTEXT, D_FF, D_MODEL, N_LAYERS, Example

_CONFIG = {"n_embd": D_MODEL, "n_inner": D_FF, "n_layer": N_LAYERS, "n_head": 4, "n_positions": CONTEXT}
_CONFIG |= {"bos_token_id": 0, "eos_token_id": 0}

EXAMPLES = {"gpt2": Example(lambda n: GPT2LMHeadModel(GPT2Config(**_CONFIG, vocab_size=n)), has_table=True)}
