"""Trains the model `reference`: 16 ReLU layers of the paper's architecture, on the corpus `topics` less its held-out documents.

    python examples/reference_model/train.py

About two hours on 2 cores. The same command again goes on from the last checkpoint in --work. Documents are those that
`ffmem index reference topics` does not hold out with its default options: what that index holds out is new to the model.
Moments of training are kept in --work/moments, each a folder that ffmem loads as a model. With other sizes, another seed or
another corpus it trains a relative of `reference`; family.py makes several at once.

Words are the tokens, as in the paper: what `word_tokenizer` cuts, each that occurs at least twice; the rest is `<unk>`. A
paragraph begins after `</s>`, as a line does in fairseq, and so does now and then a sentence within it, since the index
shows the model sentences alone.
"""

import argparse
import json
import lzma
import math
import os
import random
import time
from collections import Counter
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from sentencex import segment
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from ffmem.index.text.writer import is_held_out
from ffmem.models.all_attention import AllAttentionConfig, AllAttentionForCausalLM
from ffmem.models.wikilm import WikiLMConfig, WikiLMForCausalLM
from ffmem.options import IndexOptions

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
END = SPECIAL.index("</s>")
WORDS = r"[A-Za-z]+(?:'[a-z]{1,2}(?![a-z]))?|\d+|[^\sA-Za-z\d]"
"""Words with their 's, 't, 're; numbers; single marks."""
SENTENCE_STARTS = 0.3
"""How often a sentence within a paragraph begins after </s> as well."""
EVERY = 100
"""Steps from checkpoint to checkpoint, and from point to point of the curve."""
FALL = 30
"""How many times lower the rate is at the end than at its highest."""

CLASSES = {"relu": (WikiLMConfig, WikiLMForCausalLM), "softmax": (AllAttentionConfig, AllAttentionForCausalLM)}
"""By the kind of memories, config and model."""


@dataclass(frozen=True)
class Recipe:
    """Sizes and course of a training; the defaults are those of `reference`."""

    layers: int = 16
    d_model: int = 144
    d_ff: int = 576
    heads: int = 6
    steps: int = 3600
    batch: int = 20
    """Blocks a step."""
    length: int = 192
    """Words a block."""
    rate: float = 1.5e-3
    """The highest learning rate, after a warm-up of 1/18 of the steps; it falls to 1/30 of it."""
    seed: int = 0
    """Of the first weights, of dropout, and of the order of documents."""
    moments: int = 20
    """Steps whose weights are kept as float16: the first, and others in equal ratios up to the last."""
    memories: str = "relu"
    """"relu": feed-forward layers of d_ff cells; "softmax": d_ff memories in the attention of each head, which are as many
    parameters, and no feed-forward layers."""

    def __post_init__(self) -> None:
        if self.memories not in CLASSES:
            raise SystemExit(f"memories are {' or '.join(CLASSES)}, not {self.memories}")

    @property
    def warm_up(self) -> int:
        """Steps in which the rate rises."""
        return max(self.steps // 18, 1)

    @property
    def steps_kept(self) -> list[int]:
        """The moments: 0, then as many steps as there is room for, log-spaced from 1/360 of all to the last."""
        first, n = max(self.steps / 360, 1.0), max(self.moments - 2, 1)
        spaced = {round(first * (self.steps / first) ** (number / n)) for number in range(n + 1)}
        return sorted({0, self.steps} | (spaced if self.moments > 2 else set()))


def documents(corpus: Path) -> tuple[list[str], list[str]]:
    """Texts to train on, and held-out ones, of a .jsonl or .jsonl.xz."""
    read = corpus.read_bytes()
    lines = (lzma.decompress(read) if corpus.suffix == ".xz" else read).decode().split("\n")
    texts = [json.loads(line)["text"] for line in lines if line]
    options = IndexOptions()
    held_out = [text for text in texts if is_held_out(text, options)]
    return [text for text in texts if not is_held_out(text, options)], held_out


def word_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """Words by falling frequency; those that occur once are unknown."""
    split = pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True)
    counts = Counter(word for text in texts for word, _ in split.pre_tokenize_str(text))
    words = [word for word, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if n > 1]
    vocabulary = {word: number for number, word in enumerate([*SPECIAL, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = split
    tokenizer.post_processor = processors.TemplateProcessing(single="</s> $A", special_tokens=[("</s>", END)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="</s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>"
    )


def as_sentences(texts: list[str], tokenizer: Any) -> list[list[list[list[int]]]]:
    """Token ids of each sentence of each paragraph of each document."""
    return [
        [
            [
                tokenizer(sentence, add_special_tokens=False).input_ids
                for sentence in segment("en", line)
                if sentence.strip()
            ]
            for line in text.split("\n")
            if line.strip()
        ]
        for text in texts
    ]


class Stream:
    """Endless blocks of text: all documents in a new order each epoch, by a seed; a position in it is (epoch, block)."""

    def __init__(self, sentences: list[list[list[list[int]]]], length: int = Recipe.length, seed: int = 0) -> None:
        self._documents, self._length, self._seed = sentences, length, seed

    def epoch(self, number: int) -> Tensor:
        """(blocks, length + 1) of one epoch: inputs, and the words after them."""
        length = self._length
        rng = random.Random(number + 1_000_003 * self._seed)
        order = list(range(len(self._documents)))
        rng.shuffle(order)
        ids: list[int] = []
        for document in order:
            for paragraph in self._documents[document]:
                for place, sentence in enumerate(paragraph):
                    if place == 0 or rng.random() < SENTENCE_STARTS:
                        ids.append(END)
                    ids.extend(sentence)
        ids = ids[rng.randrange(length) :]
        n_blocks = (len(ids) - 1) // length
        rows = [ids[i * length : (i + 1) * length + 1] for i in range(n_blocks)]
        return torch.tensor(rows)


def configuration(n_words: int, recipe: Recipe) -> WikiLMConfig:
    """By default 16 layers of 576 cells: 4.0 million parameters in attention and feed-forward layers."""
    config_class, model_class = CLASSES[recipe.memories]
    return config_class(
        vocab_size=n_words,
        cutoffs=[cutoff for cutoff in (2000, 6000) if cutoff < n_words],
        adaptive_factor=2,
        hidden_size=recipe.d_model,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        intermediate_size=recipe.d_ff,
        max_position_embeddings=512,
        dropout=0.2,
        tail_dropout=0.2,
        architectures=[model_class.__name__],
    )


def rate(step: int, recipe: Recipe) -> float:
    """Linear warm-up, then half a cosine."""
    if step < recipe.warm_up:
        return recipe.rate * (step + 1) / recipe.warm_up
    share, last = (step - recipe.warm_up) / (recipe.steps - recipe.warm_up), recipe.rate / FALL
    return last + (recipe.rate - last) * (1 + math.cos(math.pi * share)) / 2


def loss_of(model: Any, blocks: Tensor) -> Tensor:
    """Mean of -log p of each word that follows, in nats."""
    states = model.model(blocks[:, :-1])[0]
    found: Tensor = -model.log_probabilities_of(states.flatten(0, 1), blocks[:, 1:].flatten()).mean()
    return found


@torch.inference_mode()
def held_out_loss(model: Any, blocks: Tensor) -> float:
    """The same over all held-out blocks, without dropout."""
    model.eval()
    device = next(model.parameters()).device
    losses = [float(loss_of(model, part.to(device))) * len(part) for part in blocks.split(Recipe.batch)]
    model.train()
    return sum(losses) / len(blocks)


class Run:
    """Model, optimizer and place in the text; saved whole, so that a stopped run goes on as if it had not stopped.

    Args:
        work: folder of its checkpoint and of the moments that are kept.
        config: of the model.
        recipe: of the training.
        stream: the text.
        held_out: blocks of other text.
        tokenizer: goes into the folder of each moment, so that it is a model by itself.
        device: cpu, cuda, ...
    """

    def __init__(
        self,
        work: Path,
        config: WikiLMConfig,
        recipe: Recipe,
        stream: Stream,
        held_out: Tensor,
        tokenizer: PreTrainedTokenizerFast,
        device: str = "cpu",
    ) -> None:
        self.work, self.recipe, self.stream, self.held_out = work, recipe, stream, held_out
        self.tokenizer, self.device = tokenizer, device
        torch.manual_seed(recipe.seed)
        self.model = CLASSES[recipe.memories][1](config).to(device)
        self.model.train()
        decayed = [p for p in self.model.parameters() if p.ndim == 2]
        others = [p for p in self.model.parameters() if p.ndim != 2]
        groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=recipe.rate, betas=(0.9, 0.98))
        self.step = self.epoch = self.block = 0
        self.seconds = 0.0
        self.curve: list[dict[str, float]] = []
        self._order = torch.empty(0)

    @property
    def _file(self) -> Path:
        return self.work / "state.pt"

    def resume(self) -> None:
        """Go on from the last checkpoint, if there is one; one of another recipe is refused."""
        if not self._file.exists():
            return
        state = torch.load(self._file, weights_only=True, map_location=self.device)
        if Recipe(**state["recipe"]) != self.recipe:
            raise SystemExit(f"{self._file} is of another recipe: {state['recipe']}. Choose another folder.")
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["rng"].cpu())
        if self.device.startswith("cuda"):
            torch.cuda.set_rng_state(state["cuda_rng"].cpu())
        self.step, self.epoch, self.block = state["step"], state["epoch"], state["block"]
        self.seconds, self.curve = state["seconds"], state["curve"]

    def save(self) -> None:
        """Write a checkpoint, whole or not at all."""
        names = ("step", "epoch", "block", "seconds", "curve")
        state = {name: getattr(self, name) for name in names} | {"rng": torch.get_rng_state()}
        if self.device.startswith("cuda"):
            state["cuda_rng"] = torch.cuda.get_rng_state()
        state |= {"recipe": asdict(self.recipe)}
        torch.save(
            state | {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}, f"{self._file}.tmp"
        )
        os.replace(f"{self._file}.tmp", self._file)

    def keep(self) -> None:
        """Keep this moment as a model of its own: weights in float16, tokenizer, and the step in training.json."""
        folder = self.work / "moments" / f"step-{self.step:05}"
        half = {name: tensor.half().cpu() for name, tensor in self.model.state_dict().items()}
        record = {"step": self.step, "rate": rate(max(self.step - 1, 0), self.recipe), **asdict(self.recipe)}
        write_model(folder, self.model.config, self.tokenizer, half, record)

    def _next(self) -> Tensor:
        if not len(self._order):
            self._order = self.stream.epoch(self.epoch)
        if self.block + self.recipe.batch > len(self._order):
            self.epoch, self.block = self.epoch + 1, 0
            self._order = self.stream.epoch(self.epoch)
        blocks = self._order[self.block : self.block + self.recipe.batch]
        self.block += self.recipe.batch
        return blocks.to(self.device)

    def run(self) -> None:
        """All steps that are left."""
        begin, before, losses = time.monotonic(), self.seconds, []
        last, kept = self.recipe.steps, self.recipe.steps_kept
        if self.step == 0:
            self.keep()
        while self.step < last:
            for group in self.optimizer.param_groups:
                group["lr"] = rate(self.step, self.recipe)
            loss = loss_of(self.model, self._next())
            self.optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            losses.append(loss.item())
            self.step += 1
            self.seconds = before + time.monotonic() - begin
            if self.step in kept:
                self.keep()
            if self.step % EVERY == 0 or self.step == last:
                point = {"step": self.step, "train": sum(losses) / len(losses)}
                if len(self.held_out):  # a small corpus may have none
                    point["held_out"] = held_out_loss(self.model, self.held_out)
                self.curve.append({**point, "epoch": self.epoch, "seconds": round(self.seconds)})
                print(json.dumps(self.curve[-1]), flush=True)
                losses = []
                self.save()


def write_model(
    folder: Path,
    config: WikiLMConfig,
    tokenizer: PreTrainedTokenizerFast,
    weights: dict[str, Tensor],
    record: dict[str, Any],
) -> None:
    """A folder that is a model by itself: its weights come last, so that one without them was not finished."""
    folder.mkdir(parents=True, exist_ok=True)
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "training.json").write_text(json.dumps(record, indent=1) + "\n")
    ready = {name: tensor.contiguous() for name, tensor in weights.items()}
    save_file(ready, folder / "model.safetensors.tmp", metadata={"format": "pt"})
    os.replace(folder / "model.safetensors.tmp", folder / "model.safetensors")


def begin(corpus: Path, work: Path, recipe: Recipe, device: str) -> tuple[Run, dict[str, Any]]:
    """A training, ready to go on from where it was stopped, and what is known of it."""
    work.mkdir(parents=True, exist_ok=True)
    texts, held_out = documents(corpus)
    tokenizer = word_tokenizer(texts)
    stream = Stream(as_sentences(texts, tokenizer), recipe.length, recipe.seed)
    new = Stream(as_sentences(held_out, tokenizer), recipe.length).epoch(0)
    config = configuration(len(tokenizer.get_vocab()), recipe)
    run = Run(work, config, recipe, stream, new, tokenizer, device)
    run.resume()
    sizes = {name: parameter.numel() for name, parameter in run.model.named_parameters()}
    told = {
        "documents": len(texts),
        "held out": len(held_out),
        "tokens an epoch": stream.epoch(0).shape[0] * recipe.length,
        "words": config.vocab_size,
        "parameters": sum(sizes.values()),
        "in_layers": sum(n for name, n in sizes.items() if name.startswith("model.layers")),
    }
    print(json.dumps(told), flush=True)
    return run, told


def add_recipe(parser: argparse.ArgumentParser, without: tuple[str, ...] = ()) -> None:
    """Give a command an option for each number of a recipe."""
    for one in fields(Recipe):
        if one.name not in without:
            kind = type(one.default)
            parser.add_argument(f"--{one.name.replace('_', '-')}", type=kind, default=one.default, help="%(default)s")


def main() -> None:
    """Train, or go on, and write the model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=Path("src/ffmem/data/topics.jsonl.xz"))
    parser.add_argument("--work", type=Path, default=Path("runs/reference-training"))
    parser.add_argument("--out", type=Path, default=Path("src/ffmem/data/reference"))
    parser.add_argument("--device", default="cpu")
    add_recipe(parser)
    arguments = parser.parse_args()
    recipe = Recipe(**{one.name: getattr(arguments, one.name) for one in fields(Recipe)})
    run, told = begin(arguments.corpus, arguments.work, recipe, arguments.device)
    run.run()
    record = told | {"seconds": round(run.seconds), "curve": run.curve}
    weights = {name: tensor.cpu() for name, tensor in run.model.state_dict().items()}
    write_model(arguments.out, run.model.eval().config, run.tokenizer, weights, record)
    assert load_file(arguments.out / "model.safetensors").keys() == weights.keys()


if __name__ == "__main__":
    main()
