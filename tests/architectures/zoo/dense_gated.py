"""Decoders with gated cells: Llama and what came after it."""

from typing import Any

from transformers import (
    Cohere2Config,
    Cohere2ForCausalLM,
    CohereConfig,
    CohereForCausalLM,
    Ernie4_5Config,
    Ernie4_5ForCausalLM,
    Exaone4Config,
    Exaone4ForCausalLM,
    Glm4Config,
    Glm4ForCausalLM,
    GlmConfig,
    GlmForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    HeliumConfig,
    HeliumForCausalLM,
    HunYuanDenseV1Config,
    HunYuanDenseV1ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Ministral3Config,
    Ministral3ForCausalLM,
    MinistralConfig,
    MinistralForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Olmo2Config,
    Olmo2ForCausalLM,
    Olmo3Config,
    Olmo3ForCausalLM,
    OlmoConfig,
    OlmoForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    SeedOssConfig,
    SeedOssForCausalLM,
    SmolLM3Config,
    SmolLM3ForCausalLM,
    StableLmConfig,
    StableLmForCausalLM,
)

from tests.architectures import GATED, WINDOW, Architecture
from tests.architectures.truth import Place, fused, glu


def _mlp(model: Any) -> list[Place]:
    """down_proj(act(gate_proj(x)) * up_proj(x)), added to the stream as it is."""
    return [glu(layer, layer.mlp) for layer in model.model.layers]


def _multiplied(model: Any) -> list[Place]:
    """The same, and the sum is multiplied on its way into the stream."""
    factor = model.config.residual_multiplier
    return [glu(layer, layer.mlp, gain=factor) for layer in model.model.layers]


def _normed_behind(model: Any) -> list[Place]:
    """The same, and the sum passes a norm on its way into the stream: OLMo 2 and 3, EXAONE 4."""
    return [
        glu(layer, layer.mlp, gain=layer.post_feedforward_layernorm.weight, normed=True) for layer in model.model.layers
    ]


def _glm4(model: Any) -> list[Place]:
    """Norms before and behind."""
    return [
        fused(
            layer, layer.mlp, layer.mlp.gate_up_proj, layer.mlp.down_proj,
            gain=layer.post_mlp_layernorm.weight, normed=True,
        )
        for layer in model.model.layers
    ]  # fmt: skip


def _fused(model: Any) -> list[Place]:
    """gate_up_proj is one matrix."""
    return [fused(layer, layer.mlp, layer.mlp.gate_up_proj, layer.mlp.down_proj) for layer in model.model.layers]


def _norm(model: Any) -> Any:
    return model.model.norm


_MINISTRAL3 = {"rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0, "original_max_position_embeddings": 32}
_MINISTRAL3 |= {"beta_fast": 32.0, "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.1}
_GRANITE = {"embedding_multiplier": 3.0, "residual_multiplier": 0.4, "logits_scaling": 2.0, "attention_multiplier": 0.2}

ENTRIES = (
    Architecture(
        "llama", 2023, "meta-llama/Llama-3.2-1B",
        lambda n: LlamaForCausalLM(LlamaConfig(**GATED, vocab_size=n)), _mlp, _norm,
    ),
    Architecture(
        "mistral", 2023, "mistralai/Mistral-7B-v0.1",
        lambda n: MistralForCausalLM(MistralConfig(**GATED, sliding_window=4, vocab_size=n)), _mlp, _norm,
    ),
    Architecture(
        "ministral", 2024, "mistralai/Ministral-8B-Instruct-2410",
        lambda n: MinistralForCausalLM(MinistralConfig(**GATED, **WINDOW, vocab_size=n)), _mlp, _norm,
    ),
    Architecture(
        "ministral3", 2025, "mistralai/Ministral-3-3B-Base-2512",
        lambda n: Ministral3ForCausalLM(Ministral3Config(**GATED, rope_parameters=_MINISTRAL3, vocab_size=n)), _mlp, _norm,
    ),
    Architecture(
        "qwen2", 2024, "Qwen/Qwen2.5-0.5B",
        lambda n: Qwen2ForCausalLM(Qwen2Config(**GATED, **WINDOW, use_sliding_window=True, vocab_size=n)), _mlp, _norm,
    ),
    Architecture(
        "qwen3", 2025, "Qwen/Qwen3-0.6B", lambda n: Qwen3ForCausalLM(Qwen3Config(**GATED, vocab_size=n)), _mlp, _norm
    ),
    Architecture(
        "phi3", 2024, "microsoft/Phi-3-mini-4k-instruct",
        lambda n: Phi3ForCausalLM(Phi3Config(**GATED, vocab_size=n)), _fused, _norm,
        note="gate keys above up keys in one matrix, gate_up_proj; Phi-4 is the same class",
    ),
    Architecture(
        "olmo", 2024, "allenai/OLMo-1B-hf", lambda n: OlmoForCausalLM(OlmoConfig(**GATED, vocab_size=n)), _mlp, _norm,
        note="LayerNorms without weights or biases",
    ),
    Architecture(
        "olmo2", 2024, "allenai/OLMo-2-0425-1B",
        lambda n: Olmo2ForCausalLM(Olmo2Config(**GATED, vocab_size=n)), _normed_behind, _norm,
        note="no norm before attention or feed-forward layer, one behind each",
    ),
    Architecture(
        "olmo3", 2025, "allenai/Olmo-3-7B-Instruct",
        lambda n: Olmo3ForCausalLM(Olmo3Config(**GATED, **WINDOW, vocab_size=n)), _normed_behind, _norm,
        note="as OLMo 2",
    ),
    Architecture(
        "granite", 2024, "ibm-granite/granite-3.3-2b-instruct",
        lambda n: GraniteForCausalLM(GraniteConfig(**GATED, **_GRANITE, vocab_size=n)), _multiplied, _norm,
        note="residual_multiplier behind the values, embedding_multiplier, logits divided by logits_scaling",
    ),
    Architecture(
        "smollm3", 2025, "HuggingFaceTB/SmolLM3-3B",
        lambda n: SmolLM3ForCausalLM(SmolLM3Config(**GATED, no_rope_layers=[1, 0], vocab_size=n)), _mlp, _norm,
    ),
    Architecture(
        "cohere", 2024, "CohereLabs/c4ai-command-r-v01",
        lambda n: CohereForCausalLM(CohereConfig(**GATED, logit_scale=0.3, vocab_size=n)), _mlp, _norm,
        note="parallel; LayerNorms without biases; logits multiplied by logit_scale; tied",
    ),
    Architecture(
        "cohere2", 2024, "CohereLabs/c4ai-command-r7b-12-2024",
        lambda n: Cohere2ForCausalLM(Cohere2Config(**GATED, **WINDOW, logit_scale=0.3, vocab_size=n)), _mlp, _norm,
        note="as Cohere, with windows",
    ),
    Architecture(
        "stablelm", 2024, "stabilityai/stablelm-2-1_6b",
        lambda n: StableLmForCausalLM(StableLmConfig(**GATED, vocab_size=n)), _mlp, _norm,
        note="LayerNorms with biases",
    ),
    Architecture(
        "stablelm_parallel", 2024, "stabilityai/stablelm-2-12b",
        lambda n: StableLmForCausalLM(
            StableLmConfig(**GATED, use_parallel_residual=True, qk_layernorm=True, vocab_size=n)
        ), _mlp, _norm,
        note="parallel, both behind input_layernorm; post_attention_layernorm is None",
    ),
    Architecture(
        "glm", 2024, "zai-org/glm-4-9b-hf", lambda n: GlmForCausalLM(GlmConfig(**GATED, vocab_size=n)), _fused, _norm,
        note="gate_up_proj in one matrix",
    ),
    Architecture(
        "glm4", 2025, "zai-org/GLM-4-9B-0414",
        lambda n: Glm4ForCausalLM(Glm4Config(**GATED, vocab_size=n)), _glm4, _norm,
        note="gate_up_proj in one matrix; norms before and behind, post_attention_layernorm is the one before the MLP",
    ),
    Architecture(
        "exaone4", 2025, "LGAI-EXAONE/EXAONE-4.0-1.2B",
        lambda n: Exaone4ForCausalLM(Exaone4Config(**GATED, **WINDOW, vocab_size=n)), _normed_behind, _norm,
        note="as OLMo 2: norms only behind",
    ),
    Architecture(
        "ernie4_5", 2025, "baidu/ERNIE-4.5-0.3B-PT",
        lambda n: Ernie4_5ForCausalLM(Ernie4_5Config(**GATED, use_bias=True, vocab_size=n)), _mlp, _norm,
        note="biases everywhere if use_bias",
    ),
    Architecture(
        "hunyuan_dense", 2025, "tencent/Hunyuan-0.5B-Instruct",
        lambda n: HunYuanDenseV1ForCausalLM(HunYuanDenseV1Config(**GATED, vocab_size=n)), _mlp, _norm,
    ),
    Architecture(
        "seed_oss", 2025, "ByteDance-Seed/Seed-OSS-36B-Base",
        lambda n: SeedOssForCausalLM(SeedOssConfig(**GATED, mlp_bias=True, vocab_size=n)), _mlp, _norm,
    ),
    Architecture(
        "helium", 2025, "kyutai/helium-1-2b", lambda n: HeliumForCausalLM(HeliumConfig(**GATED, vocab_size=n)), _mlp, _norm
    ),
)  # fmt: skip
