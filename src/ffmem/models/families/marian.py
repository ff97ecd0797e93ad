"""Marian (OPUS-MT): translation models of two stacks, post-LN, ungated cells with biases.

As in T5, the decoder reads the sentence that the encoder is given, after its start token, and no trigger is a prefix. There is
no norm before the unembedding, which has a bias of its own where the model was trained with one: `raw` leaves it out,
`final-norm` has it.
"""

from ffmem.models.base import AttentionLayout, Family, Layout, max_positions


def _attention(path: str, stack: str) -> AttentionLayout:
    return AttentionLayout(
        module=path,
        value=f"{path}.v_proj",
        output=f"{path}.out_proj",
        after=f"{path}_layer_norm",
        cross=path == "encoder_attn",
        n_heads="decoder_attention_heads" if stack == "dec" else "encoder_attention_heads",
    )


def _stack(name: str) -> Layout:
    paths = ("self_attn", "encoder_attn") if name == "dec" else ("self_attn",)
    return Layout(
        backbone="model.decoder" if name == "dec" else "model.encoder",
        layers="layers",
        key="fc1",
        value="fc2",
        ff_norm="final_layer_norm",
        attention=tuple(_attention(path, name) for path in paths),
        placement="post",
        stack=name,
        output_bias="final_logits_bias",
    )


FAMILY = Family(
    name="marian",
    architectures={"MarianMTModel": "AutoModelForSeq2SeqLM"},
    layout=lambda config: (_stack("enc"), _stack("dec")),
    activation="activation_function",
    causal=False,
    max_length=lambda config: max_positions(config) - 1,  # the decoder's start token has a position, too
)
