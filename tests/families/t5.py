"""T5: with ReLU cells, with gated ones, and with tied embeddings, whose logits are scaled."""

from transformers import T5Config, T5ForConditionalGeneration

from tests.families import D_FF, D_MODEL, N_LAYERS, Example

_CONFIG = {"d_model": D_MODEL, "d_ff": D_FF, "d_kv": 8, "num_layers": N_LAYERS, "num_heads": 4}
_CONFIG |= {"decoder_start_token_id": 0, "pad_token_id": 1, "eos_token_id": 0, "relative_attention_num_buckets": 8}


def _t5(d_vocab: int, tied: bool = False, **more: str) -> T5ForConditionalGeneration:
    return T5ForConditionalGeneration(T5Config(**_CONFIG, **more, tie_word_embeddings=tied, vocab_size=d_vocab))


EXAMPLES = {
    "t5": Example(_t5, longest=None),
    "t5_gated": Example(lambda n: _t5(n, feed_forward_proj="gated-gelu"), longest=None),
    "t5_scaled": Example(lambda n: _t5(n, tied=True), longest=None),
}
