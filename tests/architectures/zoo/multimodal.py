"""The text part of models that also read images, with their images' part beside it; and text encoders cut out of such."""

from typing import Any

from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma4Config,
    Gemma4ForConditionalGeneration,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    InternVLConfig,
    InternVLForConditionalGeneration,
    Llama4Config,
    Llama4ForConditionalGeneration,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    PaliGemmaConfig,
    PaliGemmaForConditionalGeneration,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen3_5Config,
    Qwen3_5ForConditionalGeneration,
    Qwen3_5MoeConfig,
    Qwen3_5MoeForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLMoeConfig,
    Qwen3VLMoeForConditionalGeneration,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
)

from tests.architectures import D_FF, D_MODEL, GATED, SIZES, WINDOW, Architecture
from tests.architectures.keys import Act, gelu_tanh, quick_gelu, silu
from tests.architectures.truth import Place, glu, mixture, plain
from tests.architectures.zoo.hybrids import qwen_experts
from tests.architectures.zoo.mixtures import llama4_experts


def _language_model(model: Any, act: Act = silu) -> list[Place]:
    return [glu(layer, layer.mlp, act) for layer in model.model.language_model.layers]


def _text_model(model: Any) -> list[Place]:
    return [glu(layer, layer.mlp) for layer in model.model.text_model.layers]


def _gemma3(model: Any) -> list[Place]:
    return [
        glu(layer, layer.mlp, gelu_tanh, gain=1 + layer.post_feedforward_layernorm.weight, normed=True)
        for layer in model.model.language_model.layers
    ]


def _gemma4(model: Any) -> list[Place]:
    return [
        glu(
            layer, layer.mlp, gelu_tanh, normed=True,
            gain=layer.post_feedforward_layernorm.weight * layer.layer_scalar,
        )
        for layer in model.model.language_model.layers
    ]  # fmt: skip


def _qwen3_vl_moe(model: Any) -> list[Place]:
    return [mixture(layer, layer.mlp, layer.mlp.experts) for layer in model.model.language_model.layers]


def _llama4(model: Any) -> list[Place]:
    first, second = model.language_model.model.layers
    return [
        glu(first, first.feed_forward),
        llama4_experts(second, second.feed_forward),
    ]


def _clip_text(model: Any) -> list[Place]:
    return [plain(layer, layer.mlp, layer.mlp.fc1, layer.mlp.fc2, quick_gelu) for layer in model.encoder.layers]


def _norm(model: Any) -> Any:
    return model.model.language_model.norm


_IMAGE = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 20}
_IMAGE |= {"image_size": 16, "patch_size": 8}
_SIGLIP, _CLIP, _PIXTRAL = (
    {"model_type": name, **_IMAGE} for name in ("siglip_vision_model", "clip_vision_model", "pixtral")
)
_QWEN_IMAGE = {"depth": 1, "num_heads": 2, "hidden_size": 16, "intermediate_size": 20, "out_hidden_size": D_MODEL}
_QWEN_IMAGE |= {"patch_size": 8, "num_position_embeddings": 16, "deepstack_visual_indexes": [0]}
_QWEN2_IMAGE = {"depth": 1, "num_heads": 2, "embed_dim": 16, "hidden_size": D_MODEL, "patch_size": 8}
_QWEN25_IMAGE = {"depth": 1, "num_heads": 2, "hidden_size": 16, "intermediate_size": 20, "out_hidden_size": D_MODEL}
_QWEN25_IMAGE |= {"patch_size": 8, "window_size": 32, "fullatt_block_indexes": [0]}
_THREE = {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]}}
"""Positions in time, height and width."""
_QWEN = {name: value for name, value in GATED.items() if name != "head_dim"} | _THREE
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 12}
_BOTH = GATED | {"layer_types": ["linear_attention", "full_attention"], "linear_key_head_dim": 8}
_BOTH |= {"linear_value_head_dim": 8, "linear_num_key_heads": 2, "linear_num_value_heads": 4}
_LLAMA4 = GATED | {"num_local_experts": 4, "num_experts_per_tok": 1, "intermediate_size_mlp": 16}
_LLAMA4 |= {"interleave_moe_layer_step": 2}
_LLAMA4_IMAGE = _IMAGE | {"vision_output_dim": 16, "projector_input_dim": 16, "projector_output_dim": 16}
_LLAMA4_IMAGE |= {"intermediate_size": 64}  # four pixels are one
_GEMMA4 = GATED | WINDOW | {"global_head_dim": 8, "num_global_key_value_heads": 2, "hidden_size_per_layer_input": 0}
_GEMMA4_IMAGE = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2}
_GEMMA4_IMAGE |= {"head_dim": 8, "intermediate_size": 20, "position_embedding_size": 16}


def _image_tokens(n: int, *names: str) -> dict[str, int]:
    """Ids behind those of the tokenizer, as such models have them for images."""
    return {name: n + number for number, name in enumerate(names)}


def _qwen(model: Any, config: Any, text: dict[str, Any], vision: dict[str, Any]) -> Any:
    names = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")

    def make(n: int) -> Any:
        sized = text | {"vocab_size": n + len(names)}
        return model(config(text_config=sized, vision_config=vision, **_image_tokens(n, *names)))

    return make


def _tower(model: Any, config: Any, text: dict[str, Any], vision: dict[str, Any], *names: str, **more: Any) -> Any:
    """A model of a text and a vision config, with the names that it has for the tokens of images."""

    def make(n: int) -> Any:
        sized = text | {"vocab_size": n + len(names)}
        return model(config(text_config=sized, vision_config=vision, **_image_tokens(n, *names), **more))

    return make


def _gemma3_model(n: int) -> Any:
    make = _tower(
        Gemma3ForConditionalGeneration, Gemma3Config, GATED | WINDOW | {"query_pre_attn_scalar": 8}, _SIGLIP,
        "boi_token_index", "eoi_token_index", "image_token_index", mm_tokens_per_image=4,
    )  # fmt: skip
    return make(n)


# Gemma3nForConditionalGeneration is left out: its images' part is a model of the package timm. Its text part is in gemmas.py.
ENTRIES = (
    Architecture(
        "gemma3_images", 2025, "google/gemma-3-4b-pt", _gemma3_model, _gemma3, _norm,
        note="config.text_config has the sizes; layers are in model.language_model",
    ),
    Architecture(
        "gemma4_images", 2026, "google/gemma-4-31B-it",
        _tower(Gemma4ForConditionalGeneration, Gemma4Config, _GEMMA4, _GEMMA4_IMAGE,
               "boi_token_id", "eoi_token_id", "image_token_id", "video_token_id", "audio_token_id", audio_config=None),
        _gemma4, _norm,
    ),
    Architecture(
        "qwen2_vl", 2024, "Qwen/Qwen2-VL-2B-Instruct",
        _qwen(Qwen2VLForConditionalGeneration, Qwen2VLConfig, _QWEN, _QWEN2_IMAGE), _language_model, _norm,
        note="positions of three kinds, all the same in text",
    ),
    Architecture(
        "qwen2_5_vl", 2025, "Qwen/Qwen2.5-VL-3B-Instruct",
        _qwen(Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLConfig, _QWEN, _QWEN25_IMAGE), _language_model, _norm,
    ),
    Architecture(
        "qwen3_vl", 2025, "Qwen/Qwen3-VL-2B-Instruct",
        _qwen(Qwen3VLForConditionalGeneration, Qwen3VLConfig, GATED | _THREE, _QWEN_IMAGE), _language_model, _norm,
    ),
    Architecture(
        "qwen3_vl_moe", 2025, "Qwen/Qwen3-VL-30B-A3B-Instruct",
        _qwen(Qwen3VLMoeForConditionalGeneration, Qwen3VLMoeConfig, GATED | _THREE | _EXPERTS, _QWEN_IMAGE),
        _qwen3_vl_moe, _norm,
    ),
    Architecture(
        "qwen3_5_images", 2026, "Qwen/Qwen3.5-4B", _qwen(Qwen3_5ForConditionalGeneration, Qwen3_5Config, _BOTH, _QWEN_IMAGE),
        _language_model, _norm,
    ),
    Architecture(
        "qwen3_5_moe_images", 2026, "Qwen/Qwen3.5-35B-A3B",
        _qwen(Qwen3_5MoeForConditionalGeneration, Qwen3_5MoeConfig,
              _BOTH | _EXPERTS | {"shared_expert_intermediate_size": 16}, _QWEN_IMAGE),
        lambda model: [qwen_experts(layer) for layer in model.model.language_model.layers], _norm,
    ),
    Architecture(
        "mistral3", 2025, "mistralai/Mistral-Small-3.1-24B-Base-2503",
        _tower(Mistral3ForConditionalGeneration, Mistral3Config, {"model_type": "mistral", **GATED}, _PIXTRAL,
               "image_token_index"),
        _language_model, _norm,
    ),
    Architecture(
        "llama4_images", 2025, "meta-llama/Llama-4-Scout-17B-16E-Instruct",
        _tower(Llama4ForConditionalGeneration, Llama4Config, _LLAMA4, _LLAMA4_IMAGE,
               "boi_token_index", "eoi_token_index", "image_token_index"),
        _llama4, lambda model: model.language_model.model.norm,
        note="the text part is a whole causal model: language_model.model.layers",
    ),
    Architecture(
        "llava", 2023, "llava-hf/llava-1.5-7b-hf",
        _tower(LlavaForConditionalGeneration, LlavaConfig, {"model_type": "llama", **GATED}, _CLIP, "image_token_index"),
        _language_model, _norm,
    ),
    Architecture(
        "llava_onevision", 2024, "llava-hf/llava-onevision-qwen2-0.5b-ov-hf",
        _tower(LlavaOnevisionForConditionalGeneration, LlavaOnevisionConfig, {"model_type": "qwen2", **GATED}, _SIGLIP,
               "image_token_index", "video_token_index"),
        _language_model, _norm,
    ),
    Architecture(
        "paligemma", 2024, "google/paligemma-3b-pt-224",
        _tower(PaliGemmaForConditionalGeneration, PaliGemmaConfig, {"model_type": "gemma", **GATED},
               _SIGLIP | {"projection_dim": D_MODEL}, "image_token_index", projection_dim=D_MODEL, hidden_size=D_MODEL),
        lambda model: _language_model(model, gelu_tanh), _norm, note="sees its whole prompt",
    ),
    Architecture(
        "internvl", 2025, "OpenGVLab/InternVL3-1B-hf",
        _tower(InternVLForConditionalGeneration, InternVLConfig, {"model_type": "qwen2", **GATED},
               _IMAGE | {"model_type": "internvl_vision", "image_size": [16, 16], "patch_size": [8, 8]}, "image_token_id"),
        _language_model, _norm,
    ),
    Architecture(
        "idefics3", 2024, "HuggingFaceM4/Idefics3-8B-Llama3",
        _tower(Idefics3ForConditionalGeneration, Idefics3Config, {"model_type": "llama", **GATED}, _IMAGE, "image_token_id"),
        _text_model, lambda model: model.model.text_model.norm, note="the text part is called text_model",
    ),
    Architecture(
        "smolvlm", 2025, "HuggingFaceTB/SmolVLM2-500M-Video-Instruct",
        _tower(SmolVLMForConditionalGeneration, SmolVLMConfig, {"model_type": "llama", **GATED}, _IMAGE, "image_token_id"),
        _text_model, lambda model: model.model.text_model.norm,
    ),
    Architecture(
        "clip_text", 2021, "openai/clip-vit-large-patch14",
        lambda n: CLIPTextModel(CLIPTextConfig(**SIZES | {"intermediate_size": D_FF}, vocab_size=n)), _clip_text,
        note="a causal encoder of sentences; x sigmoid(1.702 x)",
    ),
)  # fmt: skip
