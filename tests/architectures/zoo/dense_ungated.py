"""Decoders whose cells have one key: GPT-2 and its kind, and the few newer ones."""

from typing import Any

from transformers import (
    ApertusConfig,
    ApertusForCausalLM,
    ArceeConfig,
    ArceeForCausalLM,
    BioGptConfig,
    BioGptForCausalLM,
    BloomConfig,
    BloomForCausalLM,
    CodeGenConfig,
    CodeGenForCausalLM,
    FalconConfig,
    FalconForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTBigCodeConfig,
    GPTBigCodeForCausalLM,
    GPTJConfig,
    GPTJForCausalLM,
    GPTNeoConfig,
    GPTNeoForCausalLM,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    MptConfig,
    MptForCausalLM,
    NemotronConfig,
    NemotronForCausalLM,
    OpenAIGPTConfig,
    OpenAIGPTLMHeadModel,
    OPTConfig,
    OPTForCausalLM,
    PersimmonConfig,
    PersimmonForCausalLM,
    PhiConfig,
    PhiForCausalLM,
    Starcoder2Config,
    Starcoder2ForCausalLM,
    XGLMConfig,
    XGLMForCausalLM,
)

from tests.architectures import D_FF, D_MODEL, GATED, SIZES, Architecture
from tests.architectures.keys import gelu, gelu_tanh, relu, relu2
from tests.architectures.truth import Place, plain


def _gpt(model: Any, conv1d: bool = False) -> list[Place]:
    """c_proj(act(c_fc(x))): the input of c_proj."""
    return [
        plain(layer, layer.mlp, layer.mlp.c_fc, layer.mlp.c_proj, gelu_tanh, conv1d) for layer in model.transformer.h
    ]


def _squared(model: Any) -> list[Place]:
    """down_proj(relu(up_proj(x)) ** 2)."""
    return [plain(layer, layer.mlp, layer.mlp.up_proj, layer.mlp.down_proj, relu2) for layer in model.model.layers]


def _xielu(model: Any) -> list[Place]:
    """The activation is the layer's own: it has parameters."""
    return [
        plain(layer, layer.mlp, layer.mlp.up_proj, layer.mlp.down_proj, layer.mlp.act_fn)
        for layer in model.model.layers
    ]


def _opt(model: Any) -> list[Place]:
    """The feed-forward layer is no module of its own, and positions are flattened before it."""
    return [plain(layer, layer.fc2, layer.fc1, layer.fc2, relu) for layer in model.model.decoder.layers]


def _opt_350m(model: Any) -> list[Place]:
    """The norm stands behind the residual sum."""
    return [plain(layer, layer.fc2, layer.fc1, layer.fc2, relu, linear=False) for layer in model.model.decoder.layers]


def _norm(model: Any) -> Any:
    return model.model.norm


def _ln_f(model: Any) -> Any:
    return model.transformer.ln_f


def _falcon(**more: Any) -> Any:
    config = SIZES | {"ffn_hidden_size": D_FF} | more
    return lambda n: FalconForCausalLM(FalconConfig(**config, vocab_size=n))


def _falcon_truth(model: Any) -> list[Place]:
    """In parallel layers the attention's output is added to the module's own output, in place."""
    return [
        plain(layer, layer.mlp, layer.mlp.dense_h_to_4h, layer.mlp.dense_4h_to_h, gelu) for layer in model.transformer.h
    ]


_WIDE = SIZES | {"intermediate_size": D_FF}
_GPT = {"n_embd": D_MODEL, "n_layer": 2, "n_head": 4, "n_positions": 128, "bos_token_id": 0, "eos_token_id": 0}
_OPT = {"hidden_size": D_MODEL, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": D_FF, "pad_token_id": 1}
_OPT |= {"max_position_embeddings": 128, "bos_token_id": 0, "eos_token_id": 0, "word_embed_proj_dim": D_MODEL}
_NEO = SIZES | {"attention_types": [[["global", "local"], 1]], "num_layers": 2, "num_heads": 4, "window_size": 4}
_XGLM = {"d_model": D_MODEL, "ffn_dim": D_FF, "num_layers": 2, "attention_heads": 4, "max_position_embeddings": 128}

ENTRIES = (
    Architecture(
        "gpt2", 2019, "openai-community/gpt2",
        lambda n: GPT2LMHeadModel(GPT2Config(**_GPT, n_inner=D_FF, vocab_size=n)),
        lambda model: _gpt(model, conv1d=True), _ln_f,
    ),
    Architecture(
        "gpt1", 2018, "openai-community/openai-gpt",
        lambda n: OpenAIGPTLMHeadModel(OpenAIGPTConfig(**_GPT, vocab_size=n)),
        lambda m: [plain(b, b.mlp, b.mlp.c_fc, b.mlp.c_proj, gelu_tanh, True, linear=False) for b in m.transformer.h],
        lambda model: model.lm_head,
        note="norms behind the residual sums, and none before the unembedding; a layer returns a list",
    ),
    Architecture(
        "gpt_neo", 2021, "EleutherAI/gpt-neo-125m",
        lambda n: GPTNeoForCausalLM(GPTNeoConfig(**_NEO, intermediate_size=D_FF, vocab_size=n)), _gpt, _ln_f,
    ),
    Architecture(
        "gpt_neox", 2022, "EleutherAI/pythia-70m", lambda n: GPTNeoXForCausalLM(GPTNeoXConfig(**_WIDE, vocab_size=n)),
        lambda m: [plain(b, b.mlp, b.mlp.dense_h_to_4h, b.mlp.dense_4h_to_h, gelu) for b in m.gpt_neox.layers],
        lambda model: model.gpt_neox.final_layer_norm,
        note="parallel, each branch behind a norm of its own",
    ),
    Architecture(
        "gpt_neox_sequential", 2022, "CarperAI/stable-vicuna-13b-delta",
        lambda n: GPTNeoXForCausalLM(GPTNeoXConfig(**_WIDE, use_parallel_residual=False, vocab_size=n)),
        lambda m: [plain(b, b.mlp, b.mlp.dense_h_to_4h, b.mlp.dense_4h_to_h, gelu) for b in m.gpt_neox.layers],
        lambda model: model.gpt_neox.final_layer_norm,
    ),
    Architecture(
        "gptj", 2021, "EleutherAI/gpt-j-6b",
        lambda n: GPTJForCausalLM(GPTJConfig(**_GPT, n_inner=D_FF, rotary_dim=4, vocab_size=n)),
        lambda m: [plain(b, b.mlp, b.mlp.fc_in, b.mlp.fc_out, gelu_tanh) for b in m.transformer.h], _ln_f,
        note="parallel behind one norm; the unembedding has a bias",
    ),
    Architecture(
        "codegen", 2022, "Salesforce/codegen-350M-mono",
        lambda n: CodeGenForCausalLM(CodeGenConfig(**_GPT, n_inner=D_FF, n_ctx=128, rotary_dim=4, vocab_size=n)),
        lambda m: [plain(b, b.mlp, b.mlp.fc_in, b.mlp.fc_out, gelu_tanh) for b in m.transformer.h], _ln_f,
        note="as GPT-J",
    ),
    Architecture("opt", 2022, "facebook/opt-125m", lambda n: OPTForCausalLM(OPTConfig(**_OPT, vocab_size=n)), _opt,
                 lambda model: model.model.decoder.final_layer_norm),
    Architecture(
        "opt_350m", 2022, "facebook/opt-350m",
        lambda n: OPTForCausalLM(
            OPTConfig(**_OPT | {"word_embed_proj_dim": 16}, do_layer_norm_before=False, vocab_size=n)
        ),
        _opt_350m, lambda model: model.model.decoder.project_out,
        note="norms behind the residual sums; project_in and project_out; no norm before the unembedding",
    ),
    Architecture(
        "bloom", 2022, "bigscience/bloom-560m",
        lambda n: BloomForCausalLM(
            BloomConfig(hidden_size=D_MODEL, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0, vocab_size=n)
        ),
        lambda m: [
            plain(b, b.mlp.dense_4h_to_h, b.mlp.dense_h_to_4h, b.mlp.dense_4h_to_h, gelu_tanh) for b in m.transformer.h
        ],
        _ln_f,
        note="the module mlp adds the stream itself",
    ),
    Architecture("falcon", 2023, "tiiuae/falcon-7b", _falcon(), _falcon_truth, _ln_f),
    Architecture(
        "falcon_40b", 2023, "tiiuae/falcon-40b", _falcon(new_decoder_architecture=True, num_kv_heads=2),
        _falcon_truth, _ln_f, note="parallel, each branch behind a norm of its own: ln_attn, ln_mlp",
    ),
    Architecture(
        "falcon_sequential", 2023, "tiiuae/falcon-rw-1b",
        _falcon(parallel_attn=False, multi_query=False, alibi=True, bias=True), _falcon_truth, _ln_f,
    ),
    Architecture(
        "phi", 2023, "microsoft/phi-2", lambda n: PhiForCausalLM(PhiConfig(**_WIDE, vocab_size=n)),
        lambda m: [plain(b, b.mlp, b.mlp.fc1, b.mlp.fc2, gelu_tanh) for b in m.model.layers],
        lambda model: model.model.final_layernorm,
    ),
    Architecture(
        "mpt", 2023, "mosaicml/mpt-7b",
        lambda n: MptForCausalLM(MptConfig(d_model=D_MODEL, n_heads=4, n_layers=2, max_seq_len=128, vocab_size=n)),
        lambda m: [plain(b, b.ffn.down_proj, b.ffn.up_proj, b.ffn.down_proj, gelu) for b in m.transformer.blocks],
        lambda model: model.transformer.norm_f,
        note="the module ffn adds the stream itself; LayerNorms without biases; ALiBi; the config has no hidden_act",
    ),
    Architecture(
        "gpt_bigcode", 2023, "bigcode/starcoderbase-1b",
        lambda n: GPTBigCodeForCausalLM(GPTBigCodeConfig(**_GPT, n_inner=D_FF, vocab_size=n)), _gpt, _ln_f,
        note="GPT-2's names with nn.Linear in the place of Conv1D: StarCoder 1",
    ),
    Architecture(
        "starcoder2", 2024, "bigcode/starcoder2-3b",
        lambda n: Starcoder2ForCausalLM(Starcoder2Config(**_WIDE, num_key_value_heads=2, sliding_window=4, vocab_size=n)),
        lambda m: [plain(b, b.mlp, b.mlp.c_fc, b.mlp.c_proj, gelu_tanh) for b in m.model.layers], _norm,
    ),
    Architecture(
        "xglm", 2022, "facebook/xglm-564M", lambda n: XGLMForCausalLM(XGLMConfig(**_XGLM, eos_token_id=0, vocab_size=n)),
        lambda m: [plain(b, b.fc2, b.fc1, b.fc2, gelu) for b in m.model.layers], lambda model: model.model.layer_norm,
        note="final_layer_norm of a layer is the norm before its feed-forward part",
    ),
    Architecture(
        "biogpt", 2022, "microsoft/biogpt", lambda n: BioGptForCausalLM(BioGptConfig(**_WIDE, vocab_size=n)),
        lambda m: [plain(b, b.fc2, b.fc1, b.fc2, gelu) for b in m.biogpt.layers], lambda model: model.biogpt.layer_norm,
        note="as XGLM; its unembedding is called output_projection",
    ),
    Architecture(
        "persimmon", 2023, "adept/persimmon-8b-base",
        lambda n: PersimmonForCausalLM(PersimmonConfig(**_WIDE, vocab_size=n)),
        lambda m: [plain(b, b.mlp, b.mlp.dense_h_to_4h, b.mlp.dense_4h_to_h, relu2) for b in m.model.layers],
        lambda model: model.model.final_layernorm, note="squared ReLU",
    ),
    Architecture(
        "nemotron", 2024, "nvidia/Minitron-4B-Base",
        lambda n: NemotronForCausalLM(NemotronConfig(**GATED, mlp_bias=True, vocab_size=n)), _squared, _norm,
        note="squared ReLU; LayerNorm1P: the gain is 1 + weight, with a bias",
    ),
    Architecture(
        "arcee", 2025, "arcee-ai/AFM-4.5B",
        lambda n: ArceeForCausalLM(ArceeConfig(**GATED, mlp_bias=True, vocab_size=n)), _squared, _norm,
        note="squared ReLU; the first matrix is called up_proj",
    ),
    Architecture(
        "apertus", 2025, "swiss-ai/Apertus-8B-2509",
        lambda n: ApertusForCausalLM(ApertusConfig(**GATED, vocab_size=n)), _xielu, _norm,
        note="xIELU, an activation with parameters of each layer's own; the first matrix is called up_proj",
    ),
)  # fmt: skip
