"""Gemma's decoders: norms on both sides of the feed-forward layer, and what Gemma 3n and 4 add to them."""

from dataclasses import replace
from typing import Any

from torch import Tensor
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3nForCausalLM,
    Gemma3nTextConfig,
    Gemma3TextConfig,
    Gemma4ForCausalLM,
    Gemma4TextConfig,
    GemmaConfig,
    GemmaForCausalLM,
)

from tests.architectures import GATED, WINDOW, Architecture
from tests.architectures.keys import Keys, gelu_tanh
from tests.architectures.truth import Place, glu, mixture


def _gemma(model: Any) -> list[Place]:
    return [glu(layer, layer.mlp, gelu_tanh) for layer in model.model.layers]


def _sandwich(model: Any) -> list[Place]:
    """The sum passes post_feedforward_layernorm, whose gain is 1 + weight."""
    return [
        glu(layer, layer.mlp, gelu_tanh, gain=1 + layer.post_feedforward_layernorm.weight, normed=True)
        for layer in model.model.layers
    ]


def _gemma3n(model: Any) -> list[Place]:
    """The first layer's gates lose all but what is far above their mean; the stream behind a layer is two streams (AltUp)."""
    first, second = model.model.layers
    place = glu(first, first.mlp, gelu_tanh, linear=False)
    assert place.keys is not None
    far = Keys(place.keys.rows, place.keys.biases, _far_above_the_mean)
    return [replace(place, keys=far), glu(second, second.mlp, gelu_tanh, linear=False)]


def _far_above_the_mean(gate: Tensor, up: Tensor) -> Tensor:
    """By more than 0.524 standard deviations: of normal numbers, three in ten are."""
    cut = gate.mean(-1, keepdim=True) + 0.5244005 * gate.std(-1, unbiased=False, keepdim=True)
    return gelu_tanh((gate - cut).clamp(min=0)) * up


def _gemma4(model: Any) -> list[Place]:
    """The gain is the norm's weight itself, and the whole stream is then multiplied by the layer's scalar."""
    return [
        glu(
            layer, layer.mlp, gelu_tanh, normed=True,
            gain=layer.post_feedforward_layernorm.weight * layer.layer_scalar,
        )
        for layer in model.model.layers
    ]  # fmt: skip


def _gemma4_inputs(model: Any) -> list[Place]:
    """A gated input of each layer is added behind it: it depends on the stream."""
    return [glu(layer, layer.mlp, gelu_tanh, linear=False) for layer in model.model.layers]


def _gemma4_experts(model: Any) -> list[Place]:
    """Two sums, each behind a norm of its own, then a norm of both: no cell has a fixed share in the stream."""
    places: list[Place] = []
    for layer in model.model.layers:
        places.append(glu(layer, layer.mlp, gelu_tanh, linear=False))
        places.append(mixture(layer, layer.experts, layer.experts, gelu_tanh, linear=False))
    return places


def _norm(model: Any) -> Any:
    return model.model.norm


_GEMMA3N = GATED | WINDOW | {"num_kv_shared_layers": 0, "hidden_size_per_layer_input": 8, "laurel_rank": 4}
_GEMMA3N |= {"altup_num_inputs": 2, "activation_sparsity_pattern": [0.7, 0.0], "intermediate_size": [24, 24]}
_GEMMA4 = GATED | WINDOW | {"global_head_dim": 8, "num_global_key_value_heads": 2}
_EXPERTS4 = {"enable_moe_block": True, "num_experts": 4, "top_k_experts": 2, "moe_intermediate_size": 12}


def _gemma3n_model(n: int) -> Gemma3nForCausalLM:
    return Gemma3nForCausalLM(Gemma3nTextConfig(**_GEMMA3N, vocab_size=n, vocab_size_per_layer_input=n))


def _gemma4_model(per_layer: int, **more: Any) -> Any:
    config = _GEMMA4 | {"hidden_size_per_layer_input": per_layer} | more
    return lambda n: Gemma4ForCausalLM(Gemma4TextConfig(**config, vocab_size=n, vocab_size_per_layer_input=n))


ENTRIES = (
    Architecture(
        "gemma", 2024, "google/gemma-2b", lambda n: GemmaForCausalLM(GemmaConfig(**GATED, vocab_size=n)), _gemma, _norm,
        note="a norm's gain is 1 + weight; embeddings are multiplied by the square root of d_model; tied",
    ),
    Architecture(
        "gemma2", 2024, "google/gemma-2-2b",
        lambda n: Gemma2ForCausalLM(Gemma2Config(**GATED, query_pre_attn_scalar=8, vocab_size=n)), _sandwich, _norm,
        note="soft caps of logits and of attention",
    ),
    Architecture(
        "gemma3", 2025, "google/gemma-3-1b-pt",
        lambda n: Gemma3ForCausalLM(Gemma3TextConfig(**GATED, **WINDOW, query_pre_attn_scalar=8, vocab_size=n)),
        _sandwich, _norm,
    ),
    Architecture(
        "gemma3n", 2025, "google/gemma-3n-E2B-it", _gemma3n_model, _gemma3n, _norm,
        note="AltUp: four streams; LAuReL beside attention; gates of some layers lose all but their largest; a soft cap",
    ),
    Architecture(
        "gemma4", 2026, "google/gemma-4-31B", _gemma4_model(0, final_logit_softcapping=30.0), _gemma4, _norm,
        note="layer_scalar, a buffer, multiplies the whole stream behind each layer; a norm's gain is its weight",
    ),
    Architecture(
        "gemma4_layer_inputs", 2026, "google/gemma-4-E2B", _gemma4_model(8), _gemma4_inputs, _norm,
        note="an input of each layer of its own, gated by the stream",
    ),
    Architecture(
        "gemma4_experts", 2026, "google/gemma-4-26B-A4B", _gemma4_model(0, **_EXPERTS4), _gemma4_experts, _norm,
        note="a dense layer and experts side by side, each behind a norm of its own",
    ),
)  # fmt: skip
