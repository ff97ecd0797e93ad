"""Architectures that fewer people use, for what is odd about them."""

from typing import Any

from torch import Tensor
from transformers import (
    AfmoeConfig,
    AfmoeForCausalLM,
    BitNetConfig,
    BitNetForCausalLM,
    CTRLConfig,
    CTRLLMHeadModel,
    CwmConfig,
    CwmForCausalLM,
    DiffLlamaConfig,
    DiffLlamaForCausalLM,
    DogeConfig,
    DogeForCausalLM,
    Dots1Config,
    Dots1ForCausalLM,
    Glm4MoeLiteConfig,
    Glm4MoeLiteForCausalLM,
    HyperCLOVAXConfig,
    HyperCLOVAXForCausalLM,
    HYV3Config,
    HYV3ForCausalLM,
    Jais2Config,
    Jais2ForCausalLM,
    KimiLinearConfig,
    KimiLinearForCausalLM,
    MegatronBertConfig,
    MegatronBertForMaskedLM,
    MiMoV2FlashConfig,
    MiMoV2FlashForCausalLM,
    MiniCPM3Config,
    MiniCPM3ForCausalLM,
    ModernBertDecoderConfig,
    ModernBertDecoderForCausalLM,
    NanoChatConfig,
    NanoChatForCausalLM,
    OlmoHybridConfig,
    OlmoHybridForCausalLM,
    PLBartConfig,
    PLBartForConditionalGeneration,
    RemBertConfig,
    RemBertForMaskedLM,
    RobertaPreLayerNormConfig,
    RobertaPreLayerNormForMaskedLM,
    SolarOpenConfig,
    SolarOpenForCausalLM,
    VaultGemmaConfig,
    VaultGemmaForCausalLM,
)

from tests.architectures import D_FF, D_MODEL, GATED, WINDOW, Architecture
from tests.architectures.keys import Keys, gated, gelu_tanh, relu, relu2
from tests.architectures.truth import Dense, Place, glu, mixture, plain, shared_mlp
from tests.architectures.zoo.encoder_decoders import BART, post
from tests.architectures.zoo.encoders import MODERN, PIECES, WIDE, bert_layers, esm_layers, modernbert_layers
from tests.architectures.zoo.mixtures import DEEPSEEK, DEEPSEEK_LATENT, LATENT, first_dense


def _mlp(model: Any) -> list[Place]:
    return [glu(layer, layer.mlp) for layer in model.model.layers]


def _squared(model: Any) -> list[Place]:
    return [plain(layer, layer.mlp, layer.mlp.up_proj, layer.mlp.down_proj, relu2) for layer in model.model.layers]


def _bitnet(model: Any) -> list[Place]:
    """A norm stands between activations and values: what it gives are the coefficients."""

    def place(layer: Any) -> Place:
        mlp = layer.mlp
        plain_keys = gated(mlp.gate_proj, mlp.up_proj, relu2)

        def combine(gate: Tensor, up: Tensor) -> Tensor:
            normed: Tensor = mlp.ffn_sub_norm(plain_keys.combine(gate, up))
            return normed

        keys = Keys(plain_keys.rows, plain_keys.biases, combine)
        return Dense(layer, mlp, value=mlp.down_proj, reads=mlp.gate_proj, keys=keys)

    return [place(layer) for layer in model.model.layers]


def _minicpm3(model: Any) -> list[Place]:
    factor = model.config.scale_depth / model.config.num_hidden_layers**0.5
    return [glu(layer, layer.mlp, gain=factor) for layer in model.model.layers]


def _hyperclovax(model: Any) -> list[Place]:
    factor = model.config.residual_multiplier
    return [glu(layer, layer.mlp, gain=factor * layer.post_norm2.weight, normed=True) for layer in model.model.layers]


def _afmoe(model: Any) -> list[Place]:
    """Norms behind the dense layer and the mixture alike."""
    first, second = model.model.layers
    return [
        glu(first, first.mlp, gain=first.post_mlp_layernorm.weight, normed=True),
        mixture(
            second, second.mlp, second.mlp.experts, shared=[shared_mlp(second.mlp.shared_experts)],
            gain=second.post_mlp_layernorm.weight, normed=True,
        ),
    ]  # fmt: skip


def _olmo_hybrid(model: Any) -> list[Place]:
    """Recurrent layers have their norms before, attention layers behind."""
    recurrent, attention = model.model.layers
    return [
        glu(recurrent, recurrent.mlp),
        glu(attention, attention.mlp, gain=attention.post_feedforward_layernorm.weight, normed=True),
    ]


def _solar(model: Any) -> list[Place]:
    return [
        mixture(layer, layer.mlp, layer.mlp.experts, shared=[shared_mlp(layer.mlp.shared_experts)])
        for layer in model.model.layers
    ]


def _mimo(model: Any) -> list[Place]:
    first, second = model.model.layers
    return [glu(first, first.mlp), mixture(second, second.mlp, second.mlp.experts)]


def _norm(model: Any) -> Any:
    return model.model.norm


_SPARSE = {"mlp_layer_types": ["dense", "sparse"]}
_MINICPM = {name: size for name, size in GATED.items() if name != "head_dim"} | LATENT | {"num_key_value_heads": 4}
_MINICPM |= {"scale_emb": 3, "dim_model_base": 16}
_CLOVA = GATED | {"embedding_multiplier": 3.0, "residual_multiplier": 0.4, "logits_scaling": 2.0, "use_post_norm": True}
_CTRL = {"n_embd": D_MODEL, "n_layer": 2, "n_head": 4, "n_positions": 128, "dff": D_FF}
_AFMOE = GATED | WINDOW | {"moe_intermediate_size": 12, "num_experts": 4, "num_experts_per_tok": 2, "route_scale": 1.5}
_HY = GATED | _SPARSE | {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 12}
_MIMO = GATED | WINDOW | _SPARSE | {"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 12}
_OLMO = GATED | {"layer_types": ["linear_attention", "full_attention"], "linear_key_head_dim": 8}
_OLMO |= {"linear_value_head_dim": 8, "linear_num_key_heads": 4, "linear_num_value_heads": 4}
_LATENT_SPARSE = {name: size for name, size in DEEPSEEK_LATENT.items() if name != "first_k_dense_replace"} | _SPARSE
_KIMI = _LATENT_SPARSE | {"layer_types": ["linear_attention", "full_attention"], "q_lora_rank": None}
_KIMI |= {"linear_head_dim": 8, "linear_num_heads": 4, "num_local_experts": 4}

ENTRIES = (
    Architecture(
        "nanochat", 2025, "karpathy/nanochat-d32", lambda n: NanoChatForCausalLM(NanoChatConfig(**WIDE, vocab_size=n)),
        lambda m: [plain(layer, layer.mlp, layer.mlp.fc1, layer.mlp.fc2, relu2) for layer in m.model.layers], _norm,
        note="RMS norms without weights; a soft cap; squared ReLU",
    ),
    Architecture(
        "vaultgemma", 2025, "google/vaultgemma-1b",
        lambda n: VaultGemmaForCausalLM(VaultGemmaConfig(**GATED, **WINDOW, query_pre_attn_scalar=8, vocab_size=n)),
        lambda m: [glu(layer, layer.mlp, gelu_tanh) for layer in m.model.layers], _norm,
        note="Gemma 2 without the norms behind",
    ),
    Architecture(
        "jais2", 2025, "inceptionai/Jais-2-8B-Chat", lambda n: Jais2ForCausalLM(Jais2Config(**GATED, vocab_size=n)),
        _squared, _norm, note="squared ReLU, biases, LayerNorms",
    ),
    Architecture(
        "doge", 2025, "SmallDoge/Doge-20M", lambda n: DogeForCausalLM(DogeConfig(**GATED, vocab_size=n)), _mlp, _norm,
        note="the stream itself is multiplied, entry by entry, before the sum is added",
    ),
    Architecture(
        "minicpm3", 2024, "openbmb/MiniCPM3-4B",
        lambda n: MiniCPM3ForCausalLM(MiniCPM3Config(**_MINICPM, vocab_size=n)), _minicpm3, _norm,
        note="sums times scale_depth / sqrt(layers); the normed state is divided before the unembedding; latent attention",
    ),
    Architecture(
        "bitnet", 2025, "microsoft/bitnet-b1.58-2B-4T-bf16",
        lambda n: BitNetForCausalLM(BitNetConfig(**GATED, vocab_size=n)), _bitnet, _norm,
        note="a norm over the cells stands before the value matrix",
    ),
    Architecture(
        "cwm", 2025, "facebook/cwm", lambda n: CwmForCausalLM(CwmConfig(**GATED, **WINDOW, vocab_size=n)), _mlp, _norm,
    ),
    Architecture(
        "hyperclovax", 2025, "naver-hyperclovax/HyperCLOVAX-SEED-Think-14B",
        lambda n: HyperCLOVAXForCausalLM(HyperCLOVAXConfig(**_CLOVA, vocab_size=n)), _hyperclovax, _norm,
        note="norms behind, then residual_multiplier; logits multiplied by logits_scaling, which Granite divides by",
    ),
    Architecture(
        "diffllama", 2024, "kajuma/DiffLlama-0.3B-handcut",
        lambda n: DiffLlamaForCausalLM(DiffLlamaConfig(**GATED, vocab_size=n)), _mlp, _norm,
    ),
    Architecture(
        "modernbert_decoder", 2025, "jhu-clsp/ettin-decoder-17m",
        lambda n: ModernBertDecoderForCausalLM(ModernBertDecoderConfig(**MODERN, vocab_size=n)),
        lambda model: modernbert_layers(model.model.layers), lambda model: model.model.final_norm,
        tokenizer="word pieces", note="a decoder whose head is a masked language model's",
    ),
    Architecture(
        "ctrl", 2019, "Salesforce/ctrl", lambda n: CTRLLMHeadModel(CTRLConfig(**_CTRL, vocab_size=n)),
        lambda m: [plain(layer, layer.ffn, layer.ffn[0], layer.ffn[2], relu) for layer in m.transformer.h],
        lambda model: model.transformer.layernorm, note="the feed-forward layer is an nn.Sequential",
    ),
    Architecture(
        "dots1", 2025, "rednote-hilab/dots.llm1.base",
        lambda n: Dots1ForCausalLM(Dots1Config(**DEEPSEEK, vocab_size=n)), first_dense, _norm,
    ),
    Architecture(
        "glm4_moe_lite", 2026, "zai-org/GLM-4.7-Flash",
        lambda n: Glm4MoeLiteForCausalLM(Glm4MoeLiteConfig(**_LATENT_SPARSE, vocab_size=n)), first_dense, _norm,
    ),
    Architecture(
        "hy_v3", 2026, "tencent/Hy3-preview", lambda n: HYV3ForCausalLM(HYV3Config(**_HY, vocab_size=n)), first_dense, _norm,
    ),
    Architecture(
        "afmoe", 2025, "arcee-ai/Trinity-Mini", lambda n: AfmoeForCausalLM(AfmoeConfig(**_AFMOE, vocab_size=n)),
        _afmoe, _norm, note="norms on both sides of a mixture",
    ),
    Architecture(
        "solar_open", 2025, "upstage/Solar-Open-100B",
        lambda n: SolarOpenForCausalLM(
            SolarOpenConfig(**{k: v for k, v in DEEPSEEK.items() if k != "first_k_dense_replace"}, vocab_size=n)
        ),
        _solar, _norm,
    ),
    Architecture(
        "mimo_v2_flash", 2025, "XiaomiMiMo/MiMo-V2-Flash",
        lambda n: MiMoV2FlashForCausalLM(MiMoV2FlashConfig(**_MIMO, v_head_dim=4, vocab_size=n)), _mimo, _norm,
    ),
    Architecture(
        "olmo_hybrid", 2026, "allenai/Olmo-Hybrid-7B",
        lambda n: OlmoHybridForCausalLM(OlmoHybridConfig(**_OLMO, vocab_size=n)), _olmo_hybrid, _norm,
        note="layers of one stack differ: norms before in recurrent ones, behind in those with attention",
    ),
    Architecture(
        "kimi_linear", 2025, "moonshotai/Kimi-Linear-48B-A3B-Instruct",
        lambda n: KimiLinearForCausalLM(KimiLinearConfig(**_KIMI, vocab_size=n)), first_dense, _norm,
    ),
    Architecture(
        "megatron_bert", 2019, "nvidia/megatron-bert-uncased-345m",
        lambda n: MegatronBertForMaskedLM(MegatronBertConfig(**PIECES, vocab_size=n)),
        lambda model: esm_layers(model.bert.encoder.layer), lambda model: model.bert.encoder.ln,
        tokenizer="word pieces", note="BERT's names with the norms before",
    ),
    Architecture(
        "roberta_prelayernorm", 2021, "andreasmadsen/efficient_mlm_m0.40",
        lambda n: RobertaPreLayerNormForMaskedLM(RobertaPreLayerNormConfig(**WIDE, vocab_size=n)),
        lambda model: esm_layers(model.roberta_prelayernorm.encoder.layer),
        lambda model: model.roberta_prelayernorm.LayerNorm,
        note="the norm before is within the module of the keys, intermediate",
    ),
    Architecture(
        "rembert", 2020, "google/rembert",
        lambda n: RemBertForMaskedLM(
            RemBertConfig(**PIECES, input_embedding_size=12, output_embedding_size=20, vocab_size=n)
        ),
        lambda model: bert_layers(model.rembert.encoder.layer), lambda model: model.cls, tokenizer="word pieces",
        note="embedding and unembedding have sizes of their own",
    ),
    Architecture(
        "plbart", 2021, "uclanlp/plbart-base", lambda n: PLBartForConditionalGeneration(PLBartConfig(**BART, vocab_size=n)),
        post, lambda model: model.lm_head, note="as BART",
    ),
)  # fmt: skip
