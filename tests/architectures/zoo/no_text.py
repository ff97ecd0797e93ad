"""What reads no text: images, sounds. Refused, and here so that it stays so; but the decoder of sounds writes text."""

from typing import Any

from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPVisionConfig,
    ViTConfig,
    ViTForImageClassification,
    WhisperConfig,
    WhisperForCausalLM,
    WhisperForConditionalGeneration,
)

from tests.architectures import D_FF, D_MODEL, SIZES, Architecture
from tests.architectures.keys import gelu
from tests.architectures.truth import Place, plain

_IMAGE = {"hidden_size": D_MODEL, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": D_FF}
_IMAGE |= {"image_size": 16, "patch_size": 8}
_WHISPER = {"d_model": D_MODEL, "max_source_positions": 16, "max_target_positions": 64, "num_mel_bins": 8}
_WHISPER |= {"decoder_start_token_id": 0, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 0}
for _stack in ("encoder", "decoder"):
    _WHISPER |= {f"{_stack}_layers": 2, f"{_stack}_attention_heads": 4, f"{_stack}_ffn_dim": D_FF}


def _none(_: Any) -> list[Place]:
    return []


def _clip(n: int) -> Any:
    text = CLIPTextConfig(**SIZES | {"intermediate_size": D_FF}, vocab_size=n)
    return CLIPModel(CLIPConfig(text_config=text.to_dict(), vision_config=CLIPVisionConfig(**_IMAGE).to_dict()))


ENTRIES = (
    Architecture(
        "vit", 2020, "google/vit-base-patch16-224", lambda _: ViTForImageClassification(ViTConfig(**_IMAGE)), _none,
        text=False,
    ),
    Architecture("clip", 2021, "openai/clip-vit-base-patch32", _clip, _none, text=False),
    Architecture(
        "whisper", 2022, "openai/whisper-tiny",
        lambda n: WhisperForConditionalGeneration(WhisperConfig(**_WHISPER, vocab_size=n)), _none, text=False,
        note="its encoder reads sound",
    ),
    Architecture(
        "whisper_decoder", 2022, "openai/whisper-tiny, as WhisperForCausalLM",
        lambda n: WhisperForCausalLM(WhisperConfig(**_WHISPER, vocab_size=n)),
        lambda m: [plain(layer, layer.fc2, layer.fc1, layer.fc2, gelu) for layer in m.model.decoder.layers],
        lambda m: m.model.decoder.layer_norm, note="the decoder alone, which is told nothing by an encoder",
    ),
)  # fmt: skip
