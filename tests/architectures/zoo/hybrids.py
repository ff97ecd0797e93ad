"""Decoders in which recurrent layers, or convolutions, stand beside attention; and those that have nothing else."""

from typing import Any

import torch
from transformers import (
    BambaConfig,
    BambaForCausalLM,
    FalconH1Config,
    FalconH1ForCausalLM,
    GraniteMoeHybridConfig,
    GraniteMoeHybridForCausalLM,
    JambaConfig,
    JambaForCausalLM,
    Lfm2Config,
    Lfm2ForCausalLM,
    Lfm2MoeConfig,
    Lfm2MoeForCausalLM,
    Mamba2Config,
    Mamba2ForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MiniMaxConfig,
    MiniMaxForCausalLM,
    NemotronHConfig,
    NemotronHForCausalLM,
    Qwen3_5ForCausalLM,
    Qwen3_5MoeForCausalLM,
    Qwen3_5MoeTextConfig,
    Qwen3_5TextConfig,
    Qwen3NextConfig,
    Qwen3NextForCausalLM,
    RecurrentGemmaConfig,
    RecurrentGemmaForCausalLM,
    RwkvConfig,
    RwkvForCausalLM,
)

from tests.architectures import D_FF, D_MODEL, GATED, SIZES, Architecture
from tests.architectures.keys import Keys, gated, gelu_tanh, relu2, silu, ungated
from tests.architectures.truth import Dense, Mixture, Place, Shared, fused, glu, mixture, plain, shared_mlp
from tests.architectures.zoo.mixtures import granite_shared


def _mlp(model: Any) -> list[Place]:
    return [glu(layer, layer.mlp) for layer in model.model.layers]


def _feed_forward(model: Any) -> list[Place]:
    return [glu(layer, layer.feed_forward) for layer in model.model.layers]


def qwen_experts(layer: Any) -> Place:
    """Qwen3-Next's and Qwen3.5's mixture, with a shared expert that a sigmoid gates."""
    block = layer.mlp
    gate = lambda x: torch.sigmoid(x @ block.shared_expert_gate.weight.T)  # noqa: E731
    return mixture(layer, block, block.experts, shared=[shared_mlp(block.shared_expert, gate)])


def _falcon_h1(model: Any) -> list[Place]:
    """The sum is multiplied behind the value matrix; the multiplier of the gate's input is within the coefficient."""
    return [
        Dense(
            layer, layer.feed_forward.down_proj, gain=model.config.mlp_multipliers[1],
            value=layer.feed_forward.down_proj, reads=layer.feed_forward.gate_proj,
            keys=gated(layer.feed_forward.gate_proj, layer.feed_forward.up_proj, silu, model.config.mlp_multipliers[0]),
        )
        for layer in model.model.layers
    ]  # fmt: skip


def _jamba(model: Any) -> list[Place]:
    """The second and the fourth layer have experts."""
    first, second, third, fourth = model.model.layers
    places: list[Place] = []
    for without, with_experts in ((first, second), (third, fourth)):
        places.append(glu(without, without.feed_forward))
        places.append(mixture(with_experts, with_experts.feed_forward, with_experts.feed_forward.experts))
    return places


def _granite(model: Any) -> list[Place]:
    return [
        mixture(
            layer, layer.block_sparse_moe, layer.block_sparse_moe.experts,
            shared=[granite_shared(layer.shared_mlp)], beside=layer.shared_mlp,
            gain=model.config.residual_multiplier,
        )
        for layer in model.model.layers
    ]  # fmt: skip


def _granite_dense(model: Any) -> list[Place]:
    return [
        fused(
            layer,
            layer.shared_mlp,
            layer.shared_mlp.input_linear,
            layer.shared_mlp.output_linear,
            gain=model.config.residual_multiplier,
        )
        for layer in model.model.layers
    ]


def _w(layer: Any) -> Place:
    part = layer.feed_forward
    return Dense(layer, part, value=part.w2, reads=part.w1, keys=gated(part.w1, part.w3, silu))


def _lfm2_moe(model: Any) -> list[Place]:
    first, second = model.model.layers
    return [
        _w(first),
        mixture(second, second.feed_forward, second.feed_forward.experts),
    ]


def _minimax(model: Any) -> list[Place]:
    """The stream goes on from the normed state, and both of its parts are multiplied."""
    factor = model.config.mlp_beta_factor
    return [mixture(layer, layer.mlp, layer.mlp.experts, gain=factor) for layer in model.model.layers]


def _nemotron_h(model: Any) -> list[Place]:
    """Each layer is one of a mixer, attention, an MLP, or experts: the second and the fourth have cells."""
    _, mlp, _, experts = model.model.layers
    shared = experts.mixer.shared_experts
    return [
        plain(mlp, mlp.mixer, mlp.mixer.up_proj, mlp.mixer.down_proj, relu2),
        Mixture(
            experts, experts.mixer, experts=experts.mixer.experts, n_experts=4,
            keys=_squared_keys, values=lambda module, expert: module.down_proj[expert].T,
            shared=[Shared(shared.down_proj, ungated(shared.up_proj, relu2))],
        ),
    ]  # fmt: skip


def _squared_keys(module: Any, expert: int) -> Keys:
    rows = module.up_proj[expert]
    return Keys((rows,), (rows.new_zeros(len(rows)),), relu2)


def _none(_: Any) -> list[Place]:
    return []


def _norm(model: Any) -> Any:
    return model.model.norm


def _final_layernorm(model: Any) -> Any:
    return model.model.final_layernorm


_BOTH = ["linear_attention", "full_attention"]
_DELTA = GATED | {"layer_types": _BOTH, "linear_key_head_dim": 8, "linear_value_head_dim": 8}
_DELTA |= {"linear_num_key_heads": 2, "linear_num_value_heads": 4}
_QWEN_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 12}
_QWEN_EXPERTS |= {"shared_expert_intermediate_size": 16}
_MAMBA2 = {"mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_chunk_size": 8}
_BAMBA = GATED | _MAMBA2 | {"attn_layer_indices": [1]}
_FALCON = GATED | _MAMBA2 | {"mamba_d_ssm": 64, "mlp_multipliers": [0.7, 0.4], "lm_head_multiplier": 0.3}
_FALCON |= {"embedding_multiplier": 3.0, "ssm_out_multiplier": 0.6, "attention_out_multiplier": 0.8}
_GRANITE = GATED | _MAMBA2 | {"layer_types": _BOTH, "shared_intermediate_size": 16, "residual_multiplier": 0.4}
_GRANITE |= {"embedding_multiplier": 3.0, "logits_scaling": 2.0, "num_experts_per_tok": 2}
_JAMBA = GATED | {"num_hidden_layers": 4, "attn_layer_period": 2, "attn_layer_offset": 1, "num_experts": 4}
_JAMBA |= {"mamba_d_state": 4, "mamba_dt_rank": 4, "use_mamba_kernels": False}
_LFM2 = SIZES | {"num_key_value_heads": 2, "layer_types": ["conv", "full_attention"], "intermediate_size": 36}
_LFM2_MOE = _LFM2 | {"num_dense_layers": 1, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 12}
_MINIMAX = GATED | {"layer_types": _BOTH, "num_local_experts": 4, "num_experts_per_tok": 2, "block_size": 8}
_MINIMAX |= {"mlp_alpha_factor": 1.5, "mlp_beta_factor": 0.6, "full_attn_alpha_factor": 1.2}
_NEMOTRON = GATED | {"mamba_num_heads": 4, "mamba_head_dim": 16, "ssm_state_size": 8, "n_groups": 2, "chunk_size": 8}
_NEMOTRON |= {"n_routed_experts": 4, "moe_intermediate_size": 12, "moe_shared_expert_intermediate_size": 16}
_NEMOTRON |= {"layers_block_type": ["linear_attention", "mlp", "full_attention", "moe"], "num_hidden_layers": 4}
_RECURRENT = SIZES | {
    "intermediate_size": 2 * D_FF,
    "block_types": ["recurrent", "attention"],
    "num_key_value_heads": 1,
}
_MAMBA = {"hidden_size": D_MODEL, "num_hidden_layers": 2, "state_size": 4, "pad_token_id": 1, "eos_token_id": 0}

ENTRIES = (
    Architecture(
        "qwen3_next", 2025, "Qwen/Qwen3-Next-80B-A3B-Instruct",
        lambda n: Qwen3NextForCausalLM(Qwen3NextConfig(**_DELTA, **_QWEN_EXPERTS, vocab_size=n)),
        lambda model: [qwen_experts(layer) for layer in model.model.layers], _norm,
        note="gated delta nets in the place of attention; a norm's gain is 1 + weight",
    ),
    Architecture(
        "qwen3_5", 2026, "Qwen/Qwen3.5-4B",
        lambda n: Qwen3_5ForCausalLM(Qwen3_5TextConfig(**_DELTA, vocab_size=n)), _mlp, _norm,
        note="as Qwen3-Next, without experts",
    ),
    Architecture(
        "qwen3_5_moe", 2026, "Qwen/Qwen3.5-35B-A3B",
        lambda n: Qwen3_5MoeForCausalLM(Qwen3_5MoeTextConfig(**_DELTA, **_QWEN_EXPERTS, vocab_size=n)),
        lambda model: [qwen_experts(layer) for layer in model.model.layers], _norm,
    ),
    Architecture(
        "jamba", 2024, "ai21labs/AI21-Jamba2-3B", lambda n: JambaForCausalLM(JambaConfig(**_JAMBA, vocab_size=n)),
        _jamba, _final_layernorm, note="Mamba layers have feed-forward layers as attention layers do",
    ),
    Architecture(
        "bamba", 2024, "ibm-ai-platform/Bamba-9B-v2", lambda n: BambaForCausalLM(BambaConfig(**_BAMBA, vocab_size=n)),
        _feed_forward, _final_layernorm,
    ),
    Architecture(
        "falcon_h1", 2025, "tiiuae/Falcon-H1-0.5B-Base",
        lambda n: FalconH1ForCausalLM(FalconH1Config(**_FALCON, vocab_size=n)), _falcon_h1, _final_layernorm,
        note="multipliers of gate, of the sum, of embeddings and of logits; Mamba and attention side by side",
    ),
    Architecture(
        "recurrent_gemma", 2024, "google/recurrentgemma-2b",
        lambda n: RecurrentGemmaForCausalLM(RecurrentGemmaConfig(**_RECURRENT, vocab_size=n)),
        lambda m: [glu(b, b.mlp_block, gelu_tanh) for b in m.model.layers],
        lambda model: model.model.final_norm,
        note="intermediate_size is twice the number of cells; a soft cap; a norm's gain is 1 + weight",
    ),
    Architecture(
        "granite_hybrid", 2025, "ibm-granite/granite-4.0-h-tiny",
        lambda n: GraniteMoeHybridForCausalLM(GraniteMoeHybridConfig(**_GRANITE, num_local_experts=4, vocab_size=n)),
        _granite, _norm, note="experts and shared_mlp side by side, both times residual_multiplier",
    ),
    Architecture(
        "granite_hybrid_dense", 2025, "ibm-granite/granite-4.0-h-1b",
        lambda n: GraniteMoeHybridForCausalLM(GraniteMoeHybridConfig(**_GRANITE, num_local_experts=0, vocab_size=n)),
        _granite_dense, _norm, note="no experts: shared_mlp alone",
    ),
    Architecture(
        "lfm2", 2025, "LiquidAI/LFM2-350M",
        lambda n: Lfm2ForCausalLM(Lfm2Config(**_LFM2, block_multiple_of=8, vocab_size=n)),
        lambda m: [_w(layer) for layer in m.model.layers],
        lambda model: model.model.embedding_norm,
        note="gate, up and value matrix are called w1, w3, w2; the final norm embedding_norm; two thirds of "
        "intermediate_size are cells; no config names the activation",
    ),
    Architecture(
        "lfm2_moe", 2025, "LiquidAI/LFM2-8B-A1B",
        lambda n: Lfm2MoeForCausalLM(Lfm2MoeConfig(**_LFM2_MOE, vocab_size=n)), _lfm2_moe,
        lambda model: model.model.embedding_norm,
    ),
    Architecture(
        "minimax", 2025, "MiniMaxAI/MiniMax-Text-01-hf",
        lambda n: MiniMaxForCausalLM(MiniMaxConfig(**_MINIMAX, vocab_size=n)), _minimax, _norm,
        note="o = alpha r + beta FF(r) with r normed: the stream goes on from the normed state",
    ),
    Architecture(
        "nemotron_h", 2025, "nvidia/NVIDIA-Nemotron-Nano-9B-v2",
        lambda n: NemotronHForCausalLM(NemotronHConfig(**_NEMOTRON, vocab_size=n)), _nemotron_h,
        lambda model: model.model.norm_f,
        note="each layer has one of Mamba, attention, MLP, experts; experts are ungated, with squared ReLU",
    ),
    Architecture(
        "rwkv", 2023, "RWKV/rwkv-4-169m-pile",
        lambda n: RwkvForCausalLM(RwkvConfig(hidden_size=D_MODEL, num_hidden_layers=2, context_length=64, vocab_size=n)),
        _none, note="recurrent; what stands for the feed-forward layer mixes positions and gates its output",
    ),
    Architecture(
        "mamba", 2024, "state-spaces/mamba-130m-hf", lambda n: MambaForCausalLM(MambaConfig(**_MAMBA, vocab_size=n)),
        _none, note="recurrent: no feed-forward layer",
    ),
    Architecture(
        "mamba2", 2024, "mistralai/Mamba-Codestral-7B-v0.1",
        lambda n: Mamba2ForCausalLM(Mamba2Config(**_MAMBA, num_heads=4, head_dim=16, n_groups=2, vocab_size=n)),
        _none, note="recurrent: no feed-forward layer",
    ),
)  # fmt: skip
