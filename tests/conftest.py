"""Tiny random models of every family with tokenizers of their own, a small corpus, indexes; nothing is downloaded."""

import os
import random
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import ffmem
from ffmem import Index, IndexOptions, RunOptions
from tests.server.browser import chromium, serve, tab  # noqa: F401 (fixtures of every folder)

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
torch.set_num_threads(1)  # it was imported before OMP_NUM_THREADS was set; tests run beside each other
if not torch.cuda.is_available():
    # Triton's interpreter runs a GPU's loops here. It looks once, when triton is imported, as models of transformers do.
    os.environ["TRITON_INTERPRET"] = "1"
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what it runs in the background so, and the programs that tests stop with Ctrl-C would be deaf to it too.
    signal.signal(signal.SIGINT, signal.default_int_handler)

TEXT = (
    "the quick brown fox jumps over the lazy dog while rivers and stones and windows wait for winter letters. "
    "Soldiers, teachers and musicians of the old village write about silver engines in the morning market! "
    "naïve café 日本語 😀 — “quoted” (1,234.5)\n\tdef f(x): return x**2\n"
)
D_MODEL, D_FF, N_LAYERS, CONTEXT = 32, 48, 3, 64

FAMILIES = ("gpt2", "opt", "llama", "gpt_neox", "gemma2", "bert", "mixtral", "qwen3_moe", "t5")
VARIANTS = (
    *FAMILIES,
    *("gpt_neox_sequential", "opt_post_ln", "llama_biased", "bert_headless", "t5_gated", "t5_scaled"),
    *("mistral", "qwen2", "qwen3", "gemma3", "gpt_neo", "gptj", "phi"),
    *("bloom", "bloom_normed_residual"),
    *("falcon", "falcon_two_norms", "falcon_one_norm", "falcon_sequential", "falcon_alibi"),
    *("roberta", "roberta_headless"),
    *("wikilm", "wikilm_final_norm"),
    "marian",
)


def byte_level_tokenizer(bos_by_itself: bool) -> object:
    """Byte-level BPE, as GPT-2 has; with a BOS before each text or not."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<s>", "<pad>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([TEXT] * 3, trainer)
    if bos_by_itself:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", pad_token="<pad>")


def word_piece_tokenizer() -> object:
    """Lower-casing WordPiece, as BERT has."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(
        [TEXT] * 3, trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {
        "unk_token": "[UNK]",
        "pad_token": "[PAD]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    }
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def model_from_config(variant: str, d_vocab: int) -> object:
    """A tiny model as the library initialises it."""
    import transformers as t

    from ffmem.models.wikilm import WikiLMConfig, WikiLMForCausalLM

    sizes = {"hidden_size": D_MODEL, "num_hidden_layers": N_LAYERS, "num_attention_heads": 4, "vocab_size": d_vocab}
    sizes |= {"max_position_embeddings": CONTEXT, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 1}
    gated = sizes | {"intermediate_size": D_FF, "num_key_value_heads": 2, "head_dim": 8}
    wide = sizes | {"intermediate_size": D_FF}
    t5 = {"vocab_size": d_vocab, "d_model": D_MODEL, "d_ff": D_FF, "d_kv": 8, "num_layers": N_LAYERS, "num_heads": 4}
    t5 |= {"decoder_start_token_id": 0, "pad_token_id": 1, "eos_token_id": 0, "relative_attention_num_buckets": 8}
    t5 |= {"tie_word_embeddings": False}
    marian = {
        "vocab_size": d_vocab,
        "d_model": D_MODEL,
        "decoder_start_token_id": 1,
        "pad_token_id": 1,
        "eos_token_id": 0,
    }
    marian |= {"forced_eos_token_id": 0, "max_position_embeddings": CONTEXT, "activation_function": "relu"}
    marian |= {f"{stack}_layers": N_LAYERS for stack in ("encoder", "decoder")}
    marian |= {f"{stack}_attention_heads": 4 for stack in ("encoder", "decoder")}
    marian |= {f"{stack}_ffn_dim": D_FF for stack in ("encoder", "decoder")}
    experts = gated | {"num_experts_per_tok": 2}
    opt = sizes | {"ffn_dim": D_FF, "word_embed_proj_dim": D_MODEL}
    bloom = {name: size for name, size in sizes.items() if name != "max_position_embeddings"}
    window = {"sliding_window": 4, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}
    falcon = sizes | {"ffn_hidden_size": D_FF}
    made: object = {
        "gpt2": lambda: t.GPT2LMHeadModel(
            t.GPT2Config(n_embd=D_MODEL, n_inner=D_FF, n_layer=N_LAYERS, n_head=4, vocab_size=d_vocab, n_positions=CONTEXT,
                         bos_token_id=0, eos_token_id=0)),
        "opt": lambda: t.OPTForCausalLM(t.OPTConfig(**opt)),
        "opt_post_ln": lambda: t.OPTForCausalLM(
            t.OPTConfig(**(opt | {"word_embed_proj_dim": 16, "do_layer_norm_before": False}))),
        "llama": lambda: t.LlamaForCausalLM(t.LlamaConfig(**gated)),
        "llama_biased": lambda: t.LlamaForCausalLM(t.LlamaConfig(**gated, mlp_bias=True)),
        "gpt_neox": lambda: t.GPTNeoXForCausalLM(t.GPTNeoXConfig(**wide)),
        "gpt_neox_sequential": lambda: t.GPTNeoXForCausalLM(t.GPTNeoXConfig(**wide, use_parallel_residual=False)),
        "gemma2": lambda: t.Gemma2ForCausalLM(t.Gemma2Config(**gated, query_pre_attn_scalar=8)),
        "mistral": lambda: t.MistralForCausalLM(t.MistralConfig(**gated, sliding_window=4)),
        "qwen2": lambda: t.Qwen2ForCausalLM(t.Qwen2Config(**gated, **window, use_sliding_window=True)),
        "qwen3": lambda: t.Qwen3ForCausalLM(t.Qwen3Config(**gated)),
        "gemma3": lambda: t.Gemma3ForCausalLM(t.Gemma3TextConfig(**gated, **window, query_pre_attn_scalar=8)),
        "gpt_neo": lambda: t.GPTNeoForCausalLM(t.GPTNeoConfig(
            **wide, window_size=4, attention_types=[[["global"], 1], [["local", "global"], 1]])),
        "gptj": lambda: t.GPTJForCausalLM(t.GPTJConfig(**sizes, n_inner=D_FF, rotary_dim=4)),
        "phi": lambda: t.PhiForCausalLM(t.PhiConfig(**wide)),
        "bloom": lambda: t.BloomForCausalLM(t.BloomConfig(**bloom)),
        "bloom_normed_residual": lambda: t.BloomForCausalLM(
            t.BloomConfig(**bloom, apply_residual_connection_post_layernorm=True)),
        "falcon": lambda: t.FalconForCausalLM(t.FalconConfig(**falcon)),
        "falcon_two_norms": lambda: t.FalconForCausalLM(
            t.FalconConfig(**falcon, new_decoder_architecture=True, num_kv_heads=2)),
        "falcon_one_norm": lambda: t.FalconForCausalLM(
            t.FalconConfig(**falcon, new_decoder_architecture=True, num_kv_heads=2, num_ln_in_parallel_attn=1)),
        "falcon_sequential": lambda: t.FalconForCausalLM(
            t.FalconConfig(**falcon, parallel_attn=False, multi_query=False, alibi=True, bias=True)),
        "falcon_alibi": lambda: t.FalconForCausalLM(t.FalconConfig(**falcon, alibi=True)),
        "roberta": lambda: t.RobertaForMaskedLM(t.RobertaConfig(**wide)),
        "roberta_headless": lambda: t.RobertaModel(t.RobertaConfig(**wide)),
        "wikilm": lambda: WikiLMForCausalLM(WikiLMConfig(**wide, cutoffs=[100, 250], adaptive_factor=2)),
        "wikilm_final_norm": lambda: WikiLMForCausalLM(
            WikiLMConfig(**wide, cutoffs=[100, 250], adaptive_factor=2, final_norm=True)),
        "bert": lambda: t.BertForMaskedLM(t.BertConfig(**(wide | {"pad_token_id": 0}))),
        "bert_headless": lambda: t.BertModel(t.BertConfig(**(wide | {"pad_token_id": 0}))),
        "mixtral": lambda: t.MixtralForCausalLM(t.MixtralConfig(**experts, num_local_experts=4)),
        "qwen3_moe": lambda: t.Qwen3MoeForCausalLM(  # the layer in the middle has no experts
            t.Qwen3MoeConfig(**experts, num_experts=3, moe_intermediate_size=D_FF, mlp_only_layers=[1], norm_topk_prob=True)),
        "t5": lambda: t.T5ForConditionalGeneration(t.T5Config(**t5)),
        "t5_gated": lambda: t.T5ForConditionalGeneration(t.T5Config(**t5, feed_forward_proj="gated-gelu")),
        "marian": lambda: t.MarianMTModel(t.MarianConfig(**marian)),
        "t5_scaled": lambda: t.T5ForConditionalGeneration(t.T5Config(**(t5 | {"tie_word_embeddings": True}))),
    }[variant]()  # fmt: skip
    return made


def tiny_model(variant: str, d_vocab: int) -> object:
    """A random model from a config, with norms and biases that are not trivial."""
    import torch

    torch.manual_seed(7)
    made = model_from_config(variant, d_vocab)
    with torch.no_grad():
        for name, parameter in made.named_parameters():  # type: ignore[attr-defined]
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.3)
            elif "embed" in name or "wte" in name:
                parameter.normal_(std=0.3)
            else:
                parameter.normal_(std=0.15)
        if hasattr(made, "final_logits_bias"):
            made.final_logits_bias.normal_(std=0.3)
    return made


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny model of a family or variant, made once."""
    made: dict[str, Path] = {}

    def make(variant: str) -> Path:
        if variant not in made:
            folder = tmp_path_factory.mktemp("models") / variant
            is_bert = variant.startswith("bert")
            tokenizer = (
                word_piece_tokenizer()
                if is_bert
                else byte_level_tokenizer(variant in ("llama", "gemma2", "opt", "roberta", "wikilm"))
            )
            tokenizer.save_pretrained(folder)  # type: ignore[attr-defined]
            tiny_model(variant, len(tokenizer)).save_pretrained(folder)  # type: ignore[attr-defined,arg-type]
            made[variant] = folder
        return made[variant]

    return make


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real text that is not part of the project."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the development data is not at {folder}; a user has no need of it")
    return folder


WORDS = [
    "the",
    "of",
    "and",
    "to",
    "in",
    "a",
    "is",
    "that",
    "for",
    "it",
    "as",
    "was",
    "with",
    "be",
    "by",
    "on",
    "not",
    "he",
    "his",
    "but",
    "at",
    "are",
    "this",
    "have",
    "from",
    "or",
    "had",
    "an",
    "they",
    "which",
    "one",
    "you",
    "were",
    "her",
    "all",
    "she",
    "there",
    "would",
    "their",
    "we",
    "him",
    "been",
    "has",
    "when",
    "who",
    "will",
    "more",
    "no",
    "if",
    "out",
    "so",
    "said",
    "what",
    "up",
    "its",
    "about",
    "river",
    "stone",
    "window",
    "garden",
    "winter",
    "letter",
    "engine",
    "harbour",
    "market",
    "village",
    "silver",
    "morning",
    "soldier",
    "teacher",
    "music",
]
IN_PROCESS = RunOptions(workers=0)
SMALL_STUDY = {"prefixes": 30, "edited_cells": 3, "edited_triggers": 2, "scored_cells": 4, "scored_positions": 60}


def write_corpus(path: Path, n_paragraphs: int, seed: int = 0) -> Path:
    """Paragraphs of one to five sentences of three to thirty words; some sentences come twice."""
    rng = random.Random(seed)

    def sentence() -> str:
        return " ".join(rng.choices(WORDS, k=rng.randint(3, 30))).capitalize() + "."

    repeated = [sentence() for _ in range(5)]
    paragraphs = [
        " ".join(rng.choice(repeated) if rng.random() < 0.1 else sentence() for _ in range(rng.randint(1, 5)))
        for _ in range(n_paragraphs)
    ]
    path.write_text("\n\n".join(paragraphs))
    return path


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About 600 sentences."""
    return write_corpus(tmp_path_factory.mktemp("corpus") / "words.txt", 200)


@pytest.fixture(scope="session")
def small_options() -> IndexOptions:
    """Lists that fill, and several shards and batches."""
    return IndexOptions(top=7, promoted=10, batch_tokens=200, shard_tokens=1500, holdout=0.1)


@pytest.fixture(scope="session")
def index_of(
    tiny_folder: Callable[[str], Path],
    corpus: Path,
    small_options: IndexOptions,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], Index]:
    """The index of a tiny model of a family over the corpus, built once."""
    built: dict[str, Path] = {}

    def make(family: str) -> Index:
        if family not in built:
            out = tmp_path_factory.mktemp("index") / family
            ffmem.build_index(tiny_folder(family), corpus, out, options=small_options, run=IN_PROCESS)
            built[family] = out
        return ffmem.open_index(built[family])

    return make


@pytest.fixture(scope="session")
def sparse_index_of(
    tiny_folder: Callable[[str], Path],
    corpus: Path,
    small_options: IndexOptions,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str, str], Index]:
    """The index of some cells of a tiny model, chosen as `--cells` has it; otherwise as `index_of` has it."""
    built: dict[tuple[str, str], Path] = {}

    def make(family: str, cells: str) -> Index:
        if (family, cells) not in built:
            out = tmp_path_factory.mktemp("sparse") / family
            options = replace(small_options, cells=cells)
            ffmem.build_index(tiny_folder(family), corpus, out, options=options, run=IN_PROCESS)
            built[family, cells] = out
        return ffmem.open_index(built[family, cells])

    return make


@pytest.fixture(scope="session")
def studied_index(index_of: Callable[[str], Index], tmp_path_factory: pytest.TempPathFactory) -> Index:
    """An index of a tiny model with the results of a small study beside it; whoever changes it takes a copy."""
    from ffmem.studies.geva2021.options import StudyOptions
    from ffmem.studies.geva2021.study import reproduce

    folder = tmp_path_factory.mktemp("studied") / "index"
    shutil.copytree(index_of("wikilm").folder, folder)
    index = ffmem.open_index(folder)
    reproduce(index, StudyOptions(**SMALL_STUDY))
    return index
