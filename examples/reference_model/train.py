"""Trains the model `reference`: 16 ReLU layers of the paper's architecture, on the corpus `topics` less its held-out documents.

    python examples/reference_model/train.py

About two hours on 2 cores. The same command again goes on from the last checkpoint in --work. Documents are those that
`ffmem index reference topics` does not hold out with its default options: what that index holds out is new to the model.

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
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from sentencex import segment
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from ffmem.index.text.writer import is_held_out
from ffmem.models.wikilm import WikiLMConfig, WikiLMForCausalLM
from ffmem.options import IndexOptions

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
END = SPECIAL.index("</s>")
WORDS = r"[A-Za-z]+(?:'[a-z]{1,2}(?![a-z]))?|\d+|[^\sA-Za-z\d]"
"""Words with their 's, 't, 're; numbers; single marks."""
SENTENCE_STARTS = 0.3
"""How often a sentence within a paragraph begins after </s> as well."""
LENGTH, BATCH = 192, 20
STEPS = 3600
WARM_UP = 200
PEAK_RATE, LAST_RATE = 1.5e-3, 5e-5
EVERY = 100
"""Steps from checkpoint to checkpoint, and from point to point of the curve."""
MOMENTS = (0, 50, 120, 250, 500, 900, 1500, 2200, 3000, 3600)
"""Steps whose weights are kept, float16, for analyses through training."""


def documents(corpus: Path) -> tuple[list[str], list[str]]:
    """Texts to train on, and held-out ones."""
    texts = [json.loads(line)["text"] for line in lzma.decompress(corpus.read_bytes()).decode().splitlines()]
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

    def __init__(self, sentences: list[list[list[list[int]]]]) -> None:
        self._documents = sentences

    def epoch(self, number: int) -> Tensor:
        """(blocks, LENGTH + 1) of one epoch: inputs, and the words after them."""
        rng = random.Random(number)
        order = list(range(len(self._documents)))
        rng.shuffle(order)
        ids: list[int] = []
        for document in order:
            for paragraph in self._documents[document]:
                for place, sentence in enumerate(paragraph):
                    if place == 0 or rng.random() < SENTENCE_STARTS:
                        ids.append(END)
                    ids.extend(sentence)
        ids = ids[rng.randrange(LENGTH) :]
        n_blocks = (len(ids) - 1) // LENGTH
        rows = [ids[i * LENGTH : (i + 1) * LENGTH + 1] for i in range(n_blocks)]
        return torch.tensor(rows)


def configuration(n_words: int) -> WikiLMConfig:
    """16 layers of 576 cells: 4.0 million parameters in attention and feed-forward layers."""
    return WikiLMConfig(
        vocab_size=n_words,
        cutoffs=[2000, 6000],
        adaptive_factor=2,
        hidden_size=144,
        num_hidden_layers=16,
        num_attention_heads=6,
        intermediate_size=576,
        max_position_embeddings=512,
        dropout=0.2,
        tail_dropout=0.2,
        architectures=["WikiLMForCausalLM"],
    )


def rate(step: int) -> float:
    """Linear warm-up, then half a cosine."""
    if step < WARM_UP:
        return PEAK_RATE * (step + 1) / WARM_UP
    share = (step - WARM_UP) / (STEPS - WARM_UP)
    return LAST_RATE + (PEAK_RATE - LAST_RATE) * (1 + math.cos(math.pi * share)) / 2


def loss_of(model: Any, blocks: Tensor) -> Tensor:
    """Mean of -log p of each word that follows, in nats."""
    states = model.model(blocks[:, :-1])[0]
    found: Tensor = -model.log_probabilities_of(states.flatten(0, 1), blocks[:, 1:].flatten()).mean()
    return found


@torch.inference_mode()
def held_out_loss(model: Any, blocks: Tensor) -> float:
    """The same over all held-out blocks, without dropout."""
    model.eval()
    losses = [float(loss_of(model, part)) * len(part) for part in blocks.split(BATCH)]
    model.train()
    return sum(losses) / len(blocks)


class Run:
    """Model, optimizer and place in the text; saved whole, so that a stopped run goes on as if it had not stopped."""

    def __init__(self, work: Path, config: WikiLMConfig, stream: Stream, held_out: Tensor) -> None:
        self.work, self.stream, self.held_out = work, stream, held_out
        torch.manual_seed(0)
        self.model = WikiLMForCausalLM(config)
        self.model.train()
        decayed = [p for p in self.model.parameters() if p.ndim == 2]
        others = [p for p in self.model.parameters() if p.ndim != 2]
        groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=PEAK_RATE, betas=(0.9, 0.98))
        self.step = self.epoch = self.block = 0
        self.seconds = 0.0
        self.curve: list[dict[str, float]] = []
        self._order = torch.empty(0)

    @property
    def _file(self) -> Path:
        return self.work / "state.pt"

    def resume(self) -> None:
        """Go on from the last checkpoint, if there is one."""
        if not self._file.exists():
            return
        state = torch.load(self._file, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["rng"])
        self.step, self.epoch, self.block = state["step"], state["epoch"], state["block"]
        self.seconds, self.curve = state["seconds"], state["curve"]

    def save(self) -> None:
        """Write a checkpoint, whole or not at all."""
        names = ("step", "epoch", "block", "seconds", "curve")
        state = {name: getattr(self, name) for name in names} | {"rng": torch.get_rng_state()}
        torch.save(
            state | {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}, f"{self._file}.tmp"
        )
        os.replace(f"{self._file}.tmp", self._file)

    def keep(self) -> None:
        """Keep the weights of this moment."""
        folder = self.work / "moments"
        folder.mkdir(exist_ok=True)
        half = {name: tensor.half().contiguous() for name, tensor in self.model.state_dict().items()}
        save_file(half, folder / f"step-{self.step:05}.safetensors", metadata={"format": "pt"})

    def _next(self) -> Tensor:
        if not len(self._order):
            self._order = self.stream.epoch(self.epoch)
        if self.block + BATCH > len(self._order):
            self.epoch, self.block = self.epoch + 1, 0
            self._order = self.stream.epoch(self.epoch)
        blocks = self._order[self.block : self.block + BATCH]
        self.block += BATCH
        return blocks

    def run(self) -> None:
        """All steps that are left."""
        begin, before, losses = time.monotonic(), self.seconds, []
        if self.step == 0:
            self.keep()
        while self.step < STEPS:
            for group in self.optimizer.param_groups:
                group["lr"] = rate(self.step)
            loss = loss_of(self.model, self._next())
            self.optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            losses.append(loss.item())
            self.step += 1
            self.seconds = before + time.monotonic() - begin
            if self.step in MOMENTS:
                self.keep()
            if self.step % EVERY == 0 or self.step == STEPS:
                held_out = held_out_loss(self.model, self.held_out)
                point = {"step": self.step, "train": sum(losses) / len(losses), "held_out": held_out}
                self.curve.append({**point, "epoch": self.epoch, "seconds": round(self.seconds)})
                print(json.dumps(self.curve[-1]), flush=True)
                losses = []
                self.save()


def main() -> None:
    """Train, or go on, and write the model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=Path("src/ffmem/data/topics.jsonl.xz"))
    parser.add_argument("--work", type=Path, default=Path("runs/reference-training"))
    parser.add_argument("--out", type=Path, default=Path("src/ffmem/data/reference"))
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    texts, held_out = documents(arguments.corpus)
    tokenizer = word_tokenizer(texts)
    stream = Stream(as_sentences(texts, tokenizer))
    config = configuration(len(tokenizer.get_vocab()))
    new = Stream(as_sentences(held_out, tokenizer)).epoch(0)
    run = Run(arguments.work, config, stream, new)
    run.resume()
    sizes = {name: parameter.numel() for name, parameter in run.model.named_parameters()}
    n_inner = sum(n for name, n in sizes.items() if name.startswith("model.layers"))
    n_tokens = stream.epoch(0).shape[0] * LENGTH
    told = {"documents": len(texts), "held out": len(held_out), "tokens an epoch": n_tokens, "words": config.vocab_size}
    print(json.dumps(told | {"parameters": sum(sizes.values()), "in layers": n_inner}), flush=True)
    run.run()
    arguments.out.mkdir(parents=True, exist_ok=True)
    run.model.eval().config.save_pretrained(arguments.out)
    tokenizer.save_pretrained(arguments.out)
    weights = {name: tensor.contiguous() for name, tensor in run.model.state_dict().items()}
    save_file(weights, arguments.out / "model.safetensors", metadata={"format": "pt"})
    assert load_file(arguments.out / "model.safetensors").keys() == weights.keys()
    record = told | {
        "parameters": sum(sizes.values()),
        "in_layers": n_inner,
        "seconds": round(run.seconds),
        "curve": run.curve,
    }
    (arguments.out / "training.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
