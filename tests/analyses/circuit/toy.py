"""Models whose circuits are known: GPT-2 with weights put there by hand."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from ffmem.analyses.circuit.words import CAPITALS, NOUNS, PLAIN, SEEN, VERBS

WORDS = ["<pad>", "red", "blue", "cat", "dog", "sun", "moon", "sea", "land", "day", "night", "old"]
D, N_CELLS = len(WORDS), 6


def save(folder: Path, model: GPT2LMHeadModel, words: list[str] = WORDS) -> Path:
    """The model with a tokenizer of whole words."""
    model.save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<pad>", pad_token="<pad>")
    fast.save_pretrained(folder)
    return folder


def empty(n_layers: int, activation: str = "relu") -> GPT2LMHeadModel:
    """One-hot embeddings, no positions, attention that adds nothing, cells that never fire, logits read off the stream."""
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=D, n_positions=32, n_embd=D, n_layer=n_layers, n_head=2, n_inner=N_CELLS,
            activation_function=activation, bos_token_id=0, eos_token_id=0,
        )
    )  # fmt: skip
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(float("ln" in name and name.endswith("weight")))
        model.transformer.wte.weight.copy_(torch.eye(D))
        for block in model.transformer.h:
            block.mlp.c_fc.bias.fill_(-1.0)
    return model


def plant(model: GPT2LMHeadModel, layer: int, row: int, reads: str, writes: str, much: float) -> None:
    """A cell that fires on what stands in the stream for one word, and writes another."""
    with torch.no_grad():
        mlp = model.transformer.h[layer].mlp
        mlp.c_fc.weight[WORDS.index(reads), row] = 1.0
        mlp.c_proj.weight[row, WORDS.index(writes)] = much


def chain(folder: Path) -> Path:
    """Where "red" makes L0.2 write "cat", and that L1.4 "sun"; L0.3 fires on "red", too, and writes what nobody reads."""
    model = empty(2)
    plant(model, 0, 2, "red", "cat", 4.0)
    plant(model, 0, 3, "red", "old", 0.05)
    plant(model, 0, 3, "red", "moon", -0.05)  # as much less, so that no norm's mean moves
    plant(model, 1, 4, "cat", "sun", 3.0)
    with torch.no_grad():  # no unembedding of what is not asked: only "sun" has a row
        model.lm_head.weight = torch.nn.Parameter(torch.zeros(D, D))
        model.lm_head.weight[WORDS.index("sun"), WORDS.index("sun")] = 1.0
        model.config.tie_word_embeddings = False
        for block in model.transformer.h:
            block.mlp.c_fc.bias.fill_(0.0)
    return save(folder, model)


def words_of(folder: Path) -> Path:
    """A random model whose vocabulary has the words of all tasks, and the digits."""
    said = "The We know that the of is was has is have are called capital city near behind beside with by"
    dated = "war lasted from year to company ran mill until"
    forms = (form for one in (*NOUNS, *VERBS, *CAPITALS) for form in one)
    words = sorted({"<pad>", *said.split(), *dated.split(), *forms, *PLAIN, *SEEN})
    torch.manual_seed(0)
    pieces = [*words, *(str(one) for one in range(10))]
    config = GPT2Config(vocab_size=len(pieces), n_positions=32, n_embd=16, n_layer=2, n_head=2, n_inner=24)
    model = GPT2LMHeadModel(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.4)
    model.save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(pieces)}, unk_token="<pad>"))
    split = [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Digits(individual_digits=True)]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(split)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<pad>", pad_token="<pad>").save_pretrained(folder)
    return folder
