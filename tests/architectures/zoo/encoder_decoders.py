"""Encoder-decoders of text, and encoders that were cut out of them."""

from typing import Any

from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BlenderbotConfig,
    BlenderbotForConditionalGeneration,
    BlenderbotSmallConfig,
    BlenderbotSmallForConditionalGeneration,
    LEDConfig,
    LEDForConditionalGeneration,
    LongT5Config,
    LongT5ForConditionalGeneration,
    M2M100Config,
    M2M100ForConditionalGeneration,
    MarianConfig,
    MarianMTModel,
    MBartConfig,
    MBartForConditionalGeneration,
    MT5Config,
    MT5EncoderModel,
    MT5ForConditionalGeneration,
    PegasusConfig,
    PegasusForConditionalGeneration,
    SwitchTransformersConfig,
    SwitchTransformersForConditionalGeneration,
    T5Config,
    T5EncoderModel,
    T5ForConditionalGeneration,
    T5GemmaConfig,
    T5GemmaForConditionalGeneration,
    T5GemmaModuleConfig,
    UMT5Config,
    UMT5ForConditionalGeneration,
)

from tests.architectures import D_FF, D_MODEL, GATED, Architecture
from tests.architectures.keys import Act, gated, gelu, gelu_tanh, relu, ungated
from tests.architectures.truth import Dense, Mixture, Place, glu, plain


def _t5_part(block: Any, number: int, decoder: bool = False) -> Place:
    """ReLU cells with one key, or gated ones."""
    part = block.layer[number].DenseReluDense
    if hasattr(part, "wi"):
        return plain(block, part, part.wi, part.wo, relu, decoder=decoder)
    keys = gated(part.wi_0, part.wi_1, gelu_tanh)
    return Dense(block, part, value=part.wo, reads=part.wi_0, keys=keys, decoder=decoder)


def _t5_encoder(stack: Any) -> list[Place]:
    return [_t5_part(block, 1) for block in stack.block]


def _t5(model: Any) -> list[Place]:
    """The feed-forward part is the second layer of an encoder's block, the third of a decoder's."""
    return [
        *_t5_encoder(model.encoder),
        *(_t5_part(block, 2, decoder=True) for block in model.decoder.block),
    ]


def _pre(model: Any, act: Act = gelu) -> list[Place]:
    """BART's names with the norms before: mBART, Pegasus, M2M100, Blenderbot."""
    return [
        *(plain(layer, layer.fc2, layer.fc1, layer.fc2, act) for layer in model.model.encoder.layers),
        *(plain(layer, layer.fc2, layer.fc1, layer.fc2, act, decoder=True) for layer in model.model.decoder.layers),
    ]


def _post_stack(layers: Any, act: Act, decoder: bool = False) -> list[Place]:
    return [plain(layer, layer.fc2, layer.fc1, layer.fc2, act, linear=False, decoder=decoder) for layer in layers]


def post(model: Any, act: Act = gelu) -> list[Place]:
    """BART and Marian: the norms stand behind the residual sums."""
    return [*_post_stack(model.model.encoder.layers, act), *_post_stack(model.model.decoder.layers, act, decoder=True)]


def _led(model: Any, act: Act = gelu) -> list[Place]:
    return [*_post_stack(model.led.encoder.layers, act), *_post_stack(model.led.decoder.layers, act, decoder=True)]


def _switch_layer(block: Any, part: int, decoder: bool = False) -> Place:
    """Each position is sent to one expert, as a one-hot row and a weight; experts are modules of their own."""
    mlp = block.layer[part].mlp
    return Mixture(
        block, mlp, experts=mlp.experts, n_experts=4, one_hot=True, decoder=decoder,
        keys=lambda experts, expert: ungated(experts[f"expert_{expert}"].wi, relu),
        values=lambda experts, expert: experts[f"expert_{expert}"].wo.weight.T,
    )  # fmt: skip


def _switch(model: Any) -> list[Place]:
    """The first block of each stack is dense, the second has experts."""
    (first, second), (third, fourth) = model.encoder.block, model.decoder.block
    return [
        plain(first, first.layer[1].mlp, first.layer[1].mlp.wi, first.layer[1].mlp.wo, relu),
        _switch_layer(second, 1),
        plain(third, third.layer[2].mlp, third.layer[2].mlp.wi, third.layer[2].mlp.wo, relu, decoder=True),
        _switch_layer(fourth, 2, decoder=True),
    ]


def _t5gemma(model: Any) -> list[Place]:
    """Gemma 2's layers in two stacks."""
    stacks = ((model.model.encoder.layers, False), (model.model.decoder.layers, True))
    return [
        glu(
            layer, layer.mlp, gelu_tanh, decoder=decoder, normed=True,
            gain=1 + layer.post_feedforward_layernorm.weight,
        )
        for layers, decoder in stacks
        for layer in layers
    ]  # fmt: skip


def _final_layer_norm(model: Any) -> Any:
    return model.decoder.final_layer_norm


def _layer_norm(model: Any) -> Any:
    return model.model.decoder.layer_norm


def _head(model: Any) -> Any:
    return model.lm_head


_T5 = {"d_model": D_MODEL, "d_ff": D_FF, "d_kv": 8, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0}
_T5 |= {"pad_token_id": 1, "eos_token_id": 0, "relative_attention_num_buckets": 8}
_GATED_T5 = _T5 | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
BART = {"d_model": D_MODEL, "decoder_start_token_id": 0, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 0}
BART |= {"forced_eos_token_id": 0, "max_position_embeddings": 128, "scale_embedding": True}
for _stack in ("encoder", "decoder"):
    BART |= {f"{_stack}_layers": 2, f"{_stack}_attention_heads": 4, f"{_stack}_ffn_dim": D_FF}
_M2M = {name: value for name, value in BART.items() if name != "forced_eos_token_id"}
_LED = {name: value for name, value in BART.items() if name not in ("max_position_embeddings", "scale_embedding")}
_LED |= {"max_encoder_position_embeddings": 128, "max_decoder_position_embeddings": 128, "attention_window": 4}
_SWITCH = _T5 | {"num_experts": 4, "num_sparse_encoder_layers": 1, "num_sparse_decoder_layers": 1}
_SWITCH |= {"num_decoder_layers": 2}


def _t5gemma_model(n: int) -> Any:
    stack = T5GemmaModuleConfig(**GATED, query_pre_attn_scalar=8, sliding_window=4, vocab_size=n)
    config = T5GemmaConfig(encoder=stack, decoder=stack.to_dict(), vocab_size=n)
    config.decoder_start_token_id = 0
    return T5GemmaForConditionalGeneration(config)


ENTRIES = (
    Architecture(
        "t5", 2019, "google-t5/t5-small", lambda n: T5ForConditionalGeneration(T5Config(**_T5, vocab_size=n)),
        _t5, _final_layer_norm, note="tied: the final state is divided by the square root of d_model",
    ),
    Architecture(
        "t5_gated", 2022, "google/flan-t5-small",
        lambda n: T5ForConditionalGeneration(T5Config(**_GATED_T5, vocab_size=n)), _t5, _final_layer_norm,
    ),
    Architecture(
        "mt5", 2020, "google/mt5-small", lambda n: MT5ForConditionalGeneration(MT5Config(**_GATED_T5, vocab_size=n)),
        _t5, _final_layer_norm,
    ),
    Architecture(
        "umt5", 2023, "google/umt5-small", lambda n: UMT5ForConditionalGeneration(UMT5Config(**_GATED_T5, vocab_size=n)),
        _t5, _final_layer_norm, note="a bias of positions in each layer, not in the first alone",
    ),
    Architecture(
        "t5_encoder", 2019, "sentence-transformers/sentence-t5-base",
        lambda n: T5EncoderModel(T5Config(**_T5, vocab_size=n)), lambda model: _t5_encoder(model.encoder),
        note="its config says is_encoder_decoder may be false, and it takes no decoder_input_ids",
    ),
    Architecture(
        "mt5_encoder", 2020, "an encoder of mT5", lambda n: MT5EncoderModel(MT5Config(**_GATED_T5, vocab_size=n)),
        lambda model: _t5_encoder(model.encoder),
    ),
    Architecture(
        "long_t5", 2021, "google/long-t5-local-base",
        lambda n: LongT5ForConditionalGeneration(LongT5Config(**_T5, local_radius=7, vocab_size=n)),
        _t5, _final_layer_norm, note="the encoder sees windows",
    ),
    Architecture(
        "t5gemma", 2025, "google/t5gemma-s-s-prefixlm", _t5gemma_model, _t5gemma, lambda model: model.model.decoder.norm,
        note="Gemma 2's layers in two stacks, a soft cap",
    ),
    Architecture(
        "switch", 2022, "google/switch-base-8",
        lambda n: SwitchTransformersForConditionalGeneration(SwitchTransformersConfig(**_SWITCH, vocab_size=n)),
        _switch, _final_layer_norm, note="experts are modules of their own, ungated; one a position, up to a capacity",
    ),
    Architecture(
        "bart", 2019, "facebook/bart-base",
        lambda n: BartForConditionalGeneration(BartConfig(**BART, vocab_size=n)), post, _head,
        note="no final norm; final_logits_bias, a buffer",
    ),
    # BartForSequenceClassification (facebook/bart-large-mnli) is left out: it shifts its input for the decoder itself, and
    # fails where the two are not of one length, so that it cannot be given the same tokens behind a start token.
    Architecture(
        "mbart", 2020, "facebook/mbart-large-50",
        lambda n: MBartForConditionalGeneration(MBartConfig(**BART, vocab_size=n)), _pre, _layer_norm,
    ),
    Architecture(
        "pegasus", 2019, "google/pegasus-xsum",
        lambda n: PegasusForConditionalGeneration(PegasusConfig(**BART, vocab_size=n)), _pre, _layer_norm,
    ),
    Architecture(
        "m2m100", 2020, "facebook/nllb-200-distilled-600M",
        lambda n: M2M100ForConditionalGeneration(M2M100Config(**_M2M, vocab_size=n)),
        lambda model: _pre(model, relu), _layer_norm,
        note="NLLB is the same class",
    ),
    Architecture(
        "blenderbot", 2020, "facebook/blenderbot-400M-distill",
        lambda n: BlenderbotForConditionalGeneration(BlenderbotConfig(**BART, vocab_size=n)), _pre, _layer_norm,
    ),
    Architecture(
        "blenderbot_small", 2020, "facebook/blenderbot_small-90M",
        lambda n: BlenderbotSmallForConditionalGeneration(BlenderbotSmallConfig(**BART, vocab_size=n)), post, _head,
    ),
    Architecture(
        "marian", 2018, "Helsinki-NLP/opus-mt-en-de",
        lambda n: MarianMTModel(MarianConfig(**BART | {"decoder_start_token_id": 1}, vocab_size=n)), post, _head,
    ),
    Architecture(
        "led", 2020, "allenai/led-base-16384",
        lambda n: LEDForConditionalGeneration(LEDConfig(**_LED, vocab_size=n)), _led, _head,
        note="the encoder pads its input itself to whole windows",
    ),
)  # fmt: skip
