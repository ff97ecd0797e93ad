"""Decoders with mixtures of experts; those that also have recurrent layers are among the hybrids."""

from typing import Any

import torch
from torch import Tensor
from transformers import (
    DeepseekV2Config,
    DeepseekV2ForCausalLM,
    DeepseekV3Config,
    DeepseekV3ForCausalLM,
    Ernie4_5_MoeConfig,
    Ernie4_5_MoeForCausalLM,
    FlexOlmoConfig,
    FlexOlmoForCausalLM,
    Glm4MoeConfig,
    Glm4MoeForCausalLM,
    GptOssConfig,
    GptOssForCausalLM,
    GraniteMoeConfig,
    GraniteMoeForCausalLM,
    GraniteMoeSharedConfig,
    GraniteMoeSharedForCausalLM,
    HunYuanMoEV1Config,
    HunYuanMoEV1ForCausalLM,
    Llama4ForCausalLM,
    Llama4TextConfig,
    MiniMaxM2Config,
    MiniMaxM2ForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    OlmoeConfig,
    OlmoeForCausalLM,
    PhimoeConfig,
    PhimoeForCausalLM,
    Qwen2MoeConfig,
    Qwen2MoeForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)

from tests.architectures import GATED, WINDOW, Architecture
from tests.architectures.keys import Keys, halves, quick_gelu, silu, stacked
from tests.architectures.truth import Mixture, Place, Shared, glu, mixture, shared_mlp


def _mixtral(model: Any) -> list[Place]:
    """Experts alone, under the name mlp."""
    return [mixture(layer, layer.mlp, layer.mlp.experts) for layer in model.model.layers]


def _qwen3_moe(model: Any) -> list[Place]:
    """The layer in the middle has no experts."""
    first, middle, last = model.model.layers
    return [
        mixture(first, first.mlp, first.mlp.experts),
        glu(middle, middle.mlp),
        mixture(last, last.mlp, last.mlp.experts),
    ]


def _qwen2_moe(model: Any) -> list[Place]:
    """A shared expert, which a number of each position's own gates: the sigmoid of one row's product with x."""
    first, second = model.model.layers
    block = second.mlp
    gate = lambda x: torch.sigmoid(x @ block.shared_expert_gate.weight.T)  # noqa: E731
    return [
        glu(first, first.mlp),
        mixture(second, block, block.experts, shared=[shared_mlp(block.shared_expert, gate)]),
    ]


def first_dense(model: Any) -> list[Place]:
    """The first layer has no experts; the others have some that all positions share."""
    first, *others = model.model.layers
    return [
        glu(first, first.mlp),
        *(
            mixture(layer, layer.mlp, layer.mlp.experts, shared=[shared_mlp(layer.mlp.shared_experts)])
            for layer in others
        ),
    ]


def _hunyuan(model: Any) -> list[Place]:
    return [
        mixture(layer, layer.mlp, layer.mlp.experts, shared=[shared_mlp(layer.mlp.shared_mlp)])
        for layer in model.model.layers
    ]


def _granite(model: Any) -> list[Place]:
    """What experts give is multiplied on its way into the stream."""
    factor = model.config.residual_multiplier
    return [
        mixture(layer, layer.block_sparse_moe, layer.block_sparse_moe.experts, gain=factor)
        for layer in model.model.layers
    ]


def granite_shared(mlp: Any) -> Shared:
    """Granite's cells beside experts: gate above up in input_linear."""
    return Shared(mlp.output_linear, halves(mlp.input_linear, silu))


def _granite_shared(model: Any) -> list[Place]:
    """The shared cells are a module beside the experts: no module holds both."""
    return [
        mixture(
            layer, layer.block_sparse_moe, layer.block_sparse_moe.experts,
            shared=[granite_shared(layer.shared_mlp)], beside=layer.shared_mlp,
            gain=model.config.residual_multiplier,
        )
        for layer in model.model.layers
    ]  # fmt: skip


def _flex_olmo(model: Any) -> list[Place]:
    """OLMo 2's norm behind."""
    return [
        mixture(
            layer, layer.mlp, layer.mlp.experts, gain=layer.post_feedforward_layernorm.weight, normed=True
        )
        for layer in model.model.layers
    ]  # fmt: skip


def _gpt_oss(model: Any) -> list[Place]:
    """Gate and up keys take turns, both are clamped, 1 is added to up, and experts have biases that are weighed too."""

    def combine(gate: Tensor, up: Tensor) -> Tensor:
        return (up.clamp(-7.0, 7.0) + 1) * quick_gelu(gate.clamp(max=7.0))

    def keys(experts: Any, expert: int) -> Keys:
        rows, bias = experts.gate_up_proj[expert].T, experts.gate_up_proj_bias[expert]
        return Keys((rows[0::2], rows[1::2]), (bias[0::2], bias[1::2]), combine)

    return [
        Mixture(
            layer, layer.mlp, experts=layer.mlp.experts, n_experts=4, keys=keys,
            values=lambda experts, expert: experts.down_proj[expert],
            biases=lambda experts, expert: experts.down_proj_bias[expert],
        )
        for layer in model.model.layers
    ]  # fmt: skip


def _llama4(model: Any) -> list[Place]:
    """The second layer has experts, which read x times their score: the score goes through the activation."""
    first, second = model.model.layers
    return [
        glu(first, first.feed_forward),
        llama4_experts(second, second.feed_forward),
    ]


def llama4_experts(layer: Any, block: Any) -> Place:
    """Llama 4's mixture: also of the model that sees."""

    return Mixture(
        layer, block, experts=block.experts, n_experts=4, scaled_inputs=True,
        keys=lambda experts, expert: stacked(experts.gate_up_proj[expert].T, silu),
        values=lambda experts, expert: experts.down_proj[expert], shared=[shared_mlp(block.shared_expert)],
    )  # fmt: skip


def _norm(model: Any) -> Any:
    return model.model.norm


_FEW = GATED | {"num_experts_per_tok": 2}
_LOCAL = _FEW | {"num_local_experts": 4}
_NUMBERED = _FEW | {"num_experts": 4}
_QWEN2 = _NUMBERED | {"moe_intermediate_size": 12, "shared_expert_intermediate_size": 16, "mlp_only_layers": [0]}
_QWEN3 = _NUMBERED | {
    "moe_intermediate_size": 12,
    "mlp_only_layers": [1],
    "num_hidden_layers": 3,
    "norm_topk_prob": True,
}
_GRANITE = _LOCAL | {"embedding_multiplier": 3.0, "residual_multiplier": 0.4, "logits_scaling": 2.0}
LATENT = {"kv_lora_rank": 8, "q_lora_rank": 8, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8}
DEEPSEEK = _FEW | {
    "n_routed_experts": 4,
    "n_shared_experts": 2,
    "first_k_dense_replace": 1,
    "moe_intermediate_size": 12,
}
DEEPSEEK |= {"n_group": 2, "topk_group": 1, "routed_scaling_factor": 1.5}
DEEPSEEK_LATENT = {name: size for name, size in DEEPSEEK.items() if name != "head_dim"} | LATENT
DEEPSEEK_LATENT |= {"num_key_value_heads": 4}
_ERNIE = GATED | {"moe_k": 2, "moe_num_experts": 4, "moe_num_shared_experts": 2, "moe_intermediate_size": 12}
_LLAMA4 = _LOCAL | {"num_experts_per_tok": 1, "intermediate_size_mlp": 16, "interleave_moe_layer_step": 2}

ENTRIES = (
    Architecture(
        "mixtral", 2023, "mistralai/Mixtral-8x7B-v0.1",
        lambda n: MixtralForCausalLM(MixtralConfig(**_LOCAL, vocab_size=n)), _mixtral, _norm,
    ),
    Architecture(
        "qwen3_moe", 2025, "Qwen/Qwen3-30B-A3B",
        lambda n: Qwen3MoeForCausalLM(Qwen3MoeConfig(**_QWEN3, vocab_size=n)), _qwen3_moe, _norm,
    ),
    Architecture(
        "qwen2_moe", 2024, "Qwen/Qwen1.5-MoE-A2.7B",
        lambda n: Qwen2MoeForCausalLM(Qwen2MoeConfig(**_QWEN2, vocab_size=n)), _qwen2_moe, _norm,
        note="the shared expert's sum is multiplied by sigmoid(shared_expert_gate(x)) behind its value matrix",
    ),
    Architecture(
        "phimoe", 2024, "microsoft/Phi-3.5-MoE-instruct",
        lambda n: PhimoeForCausalLM(PhimoeConfig(**_LOCAL, lm_head_bias=True, vocab_size=n)), _mixtral, _norm,
        note="LayerNorms with biases; the unembedding may have a bias",
    ),
    Architecture(
        "olmoe", 2024, "allenai/OLMoE-1B-7B-0924",
        lambda n: OlmoeForCausalLM(OlmoeConfig(**_NUMBERED, vocab_size=n)), _mixtral, _norm,
        note="routing weights do not add up to 1",
    ),
    Architecture(
        "flex_olmo", 2025, "allenai/FlexOlmo-7x7B-1T",
        lambda n: FlexOlmoForCausalLM(FlexOlmoConfig(**_NUMBERED, vocab_size=n)), _flex_olmo, _norm,
        note="experts with a norm behind them and none before",
    ),
    Architecture(
        "deepseek_v2", 2024, "deepseek-ai/DeepSeek-V2-Lite",
        lambda n: DeepseekV2ForCausalLM(
            DeepseekV2Config(**DEEPSEEK_LATENT, topk_method="group_limited_greedy", vocab_size=n)
        ),
        first_dense, _norm, note="latent attention; shared experts are one MLP, ungated",
    ),
    Architecture(
        "deepseek_v3", 2024, "deepseek-ai/DeepSeek-V3",
        lambda n: DeepseekV3ForCausalLM(DeepseekV3Config(**DEEPSEEK_LATENT, num_mtp_layers=0, vocab_size=n)),
        first_dense, _norm, note="latent attention; sigmoid routing, with a buffer that decides on the choice alone",
    ),
    Architecture(
        "glm4_moe", 2025, "zai-org/GLM-4.5-Air",
        lambda n: Glm4MoeForCausalLM(Glm4MoeConfig(**DEEPSEEK, num_mtp_layers=0, vocab_size=n)), first_dense, _norm,
        note="DeepSeek V3's mixture",
    ),
    Architecture(
        "ernie4_5_moe", 2025, "baidu/ERNIE-4.5-21B-A3B-PT",
        lambda n: Ernie4_5_MoeForCausalLM(Ernie4_5_MoeConfig(**_ERNIE, use_bias=True, vocab_size=n)), first_dense, _norm,
        note="shared experts may have biases",
    ),
    Architecture(
        "hunyuan_moe", 2025, "tencent/Hunyuan-A13B-Instruct",
        lambda n: HunYuanMoEV1ForCausalLM(HunYuanMoEV1Config(**GATED, num_experts=4, moe_topk=2, vocab_size=n)),
        _hunyuan, _norm, note="shared cells under the name shared_mlp",
    ),
    Architecture(
        "granite_moe", 2024, "ibm-granite/granite-3.1-1b-a400m-instruct",
        lambda n: GraniteMoeForCausalLM(GraniteMoeConfig(**_GRANITE, vocab_size=n)), _granite, _norm,
        note="residual_multiplier behind the experts; the module is called block_sparse_moe",
    ),
    Architecture(
        "granite_moe_shared", 2025, "ibm-research/moe-7b-1b-active-shared-experts",
        lambda n: GraniteMoeSharedForCausalLM(
            GraniteMoeSharedConfig(**_GRANITE, shared_intermediate_size=16, vocab_size=n)
        ),
        _granite_shared, _norm, note="shared_mlp stands beside block_sparse_moe; gate above up in input_linear",
    ),
    Architecture(
        "gpt_oss", 2025, "openai/gpt-oss-20b",
        lambda n: GptOssForCausalLM(GptOssConfig(**_LOCAL, **WINDOW, vocab_size=n)), _gpt_oss, _norm,
        note="weights are (experts, inputs, outputs); gate and up take turns; clamps; biases of experts",
    ),
    Architecture(
        "llama4", 2025, "meta-llama/Llama-4-Scout-17B-16E",
        lambda n: Llama4ForCausalLM(Llama4TextConfig(**_LLAMA4, attention_chunk_size=8, vocab_size=n)), _llama4, _norm,
        note="weights are (experts, inputs, outputs); the score multiplies the experts' input; the block returns a tuple",
    ),
    Architecture(
        "minimax_m2", 2025, "MiniMaxAI/MiniMax-M2",
        lambda n: MiniMaxM2ForCausalLM(MiniMaxM2Config(**_LOCAL, rotary_dim=4, vocab_size=n)), _mixtral, _norm,
        note="sigmoid routing with a buffer that decides on the choice alone",
    ),
)  # fmt: skip
