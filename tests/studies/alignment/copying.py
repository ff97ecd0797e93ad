"""Translation models that copy: each row of their only cross-attention looks at one source position, by weights set by hand."""

from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import MarianConfig, MarianMTModel, PreTrainedTokenizerFast

from ffmem.models.families.marian import FAMILY
from ffmem.models.transformer import Transformer

WORDS = ["one", "two", "three", "four", "five"]
SPECIAL = ["<pad>", "</s>", "<unk>"]
POSITIONS = 12
D_MODEL = len(SPECIAL) + len(WORDS) + POSITIONS
"""A dimension for each token, and one for each position."""


def word_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.WordLevel({token: n for n, token in enumerate(SPECIAL + WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", unk_token="<unk>", pad_token="<pad>")


def copy_model(back: int) -> Transformer:
    """A model whose decoder looks, in row t, at source position t - back: 0 at what it predicts, 1 at what it was given.

    States are a one for the token and a one for the position, normed. Self-attention and feed-forward layers add nothing.
    """
    n_tokens = D_MODEL - POSITIONS
    config = MarianConfig(
        vocab_size=n_tokens, d_model=D_MODEL, encoder_layers=1, decoder_layers=1, encoder_attention_heads=1,
        decoder_attention_heads=1, encoder_ffn_dim=2, decoder_ffn_dim=2, activation_function="relu",
        max_position_embeddings=POSITIONS, pad_token_id=0, eos_token_id=1, forced_eos_token_id=1, decoder_start_token_id=1,
    )  # fmt: skip
    model: Any = MarianMTModel(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "layer_norm" not in name:
                parameter.zero_()
        model.model.shared.weight.copy_(torch.eye(n_tokens, D_MODEL))
        for stack in (model.model.encoder, model.model.decoder):
            stack.embed_positions.weight.copy_(torch.eye(POSITIONS, D_MODEL).roll(n_tokens, dims=1))
        attention = model.model.decoder.layers[0].encoder_attn
        for position in range(POSITIONS):
            attention.k_proj.weight[position, n_tokens + position] = 10.0
            if position + back < POSITIONS:
                attention.q_proj.weight[position, n_tokens + position + back] = 10.0
        attention.v_proj.weight.copy_(torch.eye(D_MODEL))
        attention.out_proj.weight.copy_(torch.eye(D_MODEL))
    return Transformer("copy", FAMILY, model.eval(), word_tokenizer())
