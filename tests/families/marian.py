"""Marian: the decoder's start token takes a position of the table."""

from transformers import MarianConfig, MarianMTModel

from tests.families import CONTEXT, D_FF, D_MODEL, N_LAYERS, Example

_CONFIG = {"d_model": D_MODEL, "decoder_start_token_id": 1, "pad_token_id": 1, "eos_token_id": 0}
_CONFIG |= {"forced_eos_token_id": 0, "max_position_embeddings": CONTEXT, "activation_function": "relu"}
for _stack in ("encoder", "decoder"):
    _CONFIG |= {f"{_stack}_layers": N_LAYERS, f"{_stack}_attention_heads": 4, f"{_stack}_ffn_dim": D_FF}

EXAMPLES = {
    "marian": Example(
        lambda n: MarianMTModel(MarianConfig(**_CONFIG, vocab_size=n)), longest=CONTEXT - 1, has_table=True
    )
}
