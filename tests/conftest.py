"""Tiny random models of every family with tokenizers of their own, a small corpus, indexes; nothing is downloaded."""

import os
import random
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest
import torch

import ffmem
from ffmem import Index, IndexOptions, RunOptions
from tests import families
from tests.families import Example
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
EXAMPLES: dict[str, Example] = {
    name: example
    for module in iter_modules(families.__path__)
    for name, example in import_module(f"{families.__name__}.{module.name}").EXAMPLES.items()
}
VARIANTS = tuple(EXAMPLES)
"""The kinds of models of all families: every file of the folder ``families``."""
FAMILIES = ("gpt2", "opt", "llama", "gpt_neox", "gemma2", "bert", "mixtral", "qwen3_moe", "t5")
"""Some of them, for tests that take long."""


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


def tiny_model(variant: str, d_vocab: int) -> object:
    """A random model from a config, with norms and biases that are not trivial."""
    import torch

    torch.manual_seed(7)
    made = EXAMPLES[variant].make(d_vocab)
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
            kind = EXAMPLES[variant].tokenizer
            tokenizer = (
                word_piece_tokenizer() if kind == "word pieces" else byte_level_tokenizer(kind == "bytes with a BOS")
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
