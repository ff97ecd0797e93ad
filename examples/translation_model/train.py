"""Trains a small German-English Transformer whose cross-attention can be read: Marian's architecture, on Multi30k.

    python examples/translation_model/train.py DATA

DATA holds train.de.gz, train.en.gz, val.de.gz and val.en.gz, line by line; files without .gz do as well. About an hour on one
core. The same command again goes on from the last checkpoint in --work. Everything is drawn from fixed seeds, but for the
vocabulary: the library that makes it breaks ties otherwise in each process, so it is made once and kept in --work. The same
vocabulary, processor type and thread count give the same model.

The text is lower-cased, and its words and marks are cut apart, by the tokenizer itself: raw text and text with spaces between
all words give the same tokens. One byte-pair vocabulary serves both languages. A source ends in </s>; the decoder begins
with it.
"""

import argparse
import gzip
import json
import math
import os
import random
import time
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor
from transformers import MarianConfig, MarianMTModel, PreTrainedTokenizerFast

SPECIAL = ["<pad>", "</s>", "<unk>"]
PAD, END = SPECIAL.index("<pad>"), SPECIAL.index("</s>")
VOCABULARY = 6000
WORDS = r"\w+|[^\w\s]"
LONGEST = 80
"""Pairs with more tokens than this on a side are left out, and counted."""
BATCH = 1600
"""Tokens of a batch on its longer side, padding included."""
POOL = 4000
"""Pairs that are sorted by length together, so that a batch needs little padding."""
STEPS = 4000
WARM_UP = 400
PEAK_RATE, LAST_RATE = 1.5e-3, 5e-5
SMOOTHING = 0.1
EVERY = 100
"""Steps from checkpoint to checkpoint, and from point to point of the curve."""

Pair = tuple[list[int], list[int]]


def read_lines(path: Path) -> list[str]:
    """The lines of a file, or of the same file compressed."""
    packed = path.with_name(path.name + ".gz")
    data = gzip.decompress(packed.read_bytes()) if packed.exists() else path.read_bytes()
    return [line.strip() for line in data.decode().split("\n")[:-1]]


def byte_pairs(texts: list[str]) -> PreTrainedTokenizerFast:
    """Byte-pair pieces of lower-cased words; those that go on with a word begin with ##."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", continuing_subword_prefix="##"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True)
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=SPECIAL, continuing_subword_prefix="##", show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", END)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="</s>", unk_token="<unk>", pad_token="<pad>", model_max_length=256
    )


def kept_tokenizer(work: Path, texts: list[str]) -> PreTrainedTokenizerFast:
    """The tokenizer of a run: made at its beginning, and read ever after, since another one numbers its pieces otherwise."""
    folder = work / "tokenizer"
    if not folder.exists():
        if (work / "state.pt").exists():
            raise SystemExit(f"{work} has a checkpoint without its tokenizer: delete the folder, and train anew")
        byte_pairs(texts).save_pretrained(f"{folder}.tmp")
        os.replace(f"{folder}.tmp", folder)
    return PreTrainedTokenizerFast.from_pretrained(folder)


def configuration(n_tokens: int) -> MarianConfig:
    """3 + 3 layers of 192 dimensions with 512 ReLU cells each, norms after the sums."""
    return MarianConfig(
        vocab_size=n_tokens,
        d_model=192,
        encoder_layers=3,
        decoder_layers=3,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=512,
        decoder_ffn_dim=512,
        activation_function="relu",
        max_position_embeddings=256,
        dropout=0.1,
        attention_dropout=0.0,
        activation_dropout=0.0,
        scale_embedding=True,
        share_encoder_decoder_embeddings=True,
        tie_word_embeddings=True,
        init_std=0.05,
        pad_token_id=PAD,
        eos_token_id=END,
        forced_eos_token_id=END,
        decoder_start_token_id=END,
        architectures=["MarianMTModel"],
    )


def batches(pairs: list[Pair], epoch: int) -> list[list[int]]:
    """Numbers of the pairs of each batch of an epoch: pairs of like length together, batches in a drawn order."""
    rng = random.Random(epoch)
    order = list(range(len(pairs)))
    rng.shuffle(order)
    found: list[list[int]] = []
    for start in range(0, len(order), POOL):
        pool = sorted(order[start : start + POOL], key=lambda n: (len(pairs[n][1]), len(pairs[n][0]), n))
        batch: list[int] = []
        longest = 0
        for number in pool:
            length = max(len(pairs[number][0]), len(pairs[number][1]))
            if batch and max(longest, length) * (len(batch) + 1) > BATCH:
                found.append(batch)
                batch, longest = [], 0
            batch.append(number)
            longest = max(longest, length)
        found.append(batch)
    rng.shuffle(found)
    return found


def padded(rows: list[list[int]]) -> Tensor:
    """Rows of one length, padding on the right."""
    longest = max(map(len, rows))
    return torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])


def loss_of(model: Any, pairs: list[Pair], smoothing: float) -> tuple[Tensor, int]:
    """The sum of -log p of each target token, smoothed, in nats; and how many tokens there are."""
    source, target = padded([pair[0] for pair in pairs]), padded([pair[1] for pair in pairs])
    given = torch.cat((torch.full((len(target), 1), END), target[:, :-1]), dim=1)
    states = model.model(input_ids=source, attention_mask=(source != PAD).long(), decoder_input_ids=given)[0]
    real = target != PAD  # the padding that follows </s> is no target; the mask needs no help from it, being causal
    scores = model.lm_head(states[real])
    loss = torch.nn.functional.cross_entropy(scores, target[real], label_smoothing=smoothing, reduction="sum")
    return loss, int(real.sum())


@torch.inference_mode()
def held_out_loss(model: Any, pairs: list[Pair]) -> float:
    """Mean of -log p of each token of pairs that were not trained on, without dropout and smoothing."""
    model.eval()
    ordered = sorted(pairs, key=lambda pair: len(pair[1]))
    found = [loss_of(model, ordered[start : start + 100], 0.0) for start in range(0, len(ordered), 100)]
    model.train()
    return sum(float(loss) for loss, _ in found) / sum(n for _, n in found)


def rate(step: int) -> float:
    """Linear warm-up, then half a cosine."""
    if step < WARM_UP:
        return PEAK_RATE * (step + 1) / WARM_UP
    share = (step - WARM_UP) / (STEPS - WARM_UP)
    return LAST_RATE + (PEAK_RATE - LAST_RATE) * (1 + math.cos(math.pi * share)) / 2


class Run:
    """Model, optimizer and place in the pairs; saved whole, so that a stopped run goes on as if it had not stopped."""

    def __init__(self, work: Path, config: MarianConfig, pairs: list[Pair], held_out: list[Pair]) -> None:
        self.work, self.pairs, self.held_out = work, pairs, held_out
        torch.manual_seed(0)
        self.model = MarianMTModel(config)
        self.model.train()
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=PEAK_RATE, betas=(0.9, 0.98), eps=1e-9, weight_decay=0.01
        )
        self.step = self.epoch = self.batch = 0
        self.seconds = 0.0
        self.curve: list[dict[str, float]] = []
        self._order: list[list[int]] = []

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
        self.step, self.epoch, self.batch = state["step"], state["epoch"], state["batch"]
        self.seconds, self.curve = state["seconds"], state["curve"]

    def save(self) -> None:
        """Write a checkpoint, whole or not at all."""
        names = ("step", "epoch", "batch", "seconds", "curve")
        state = {name: getattr(self, name) for name in names} | {"rng": torch.get_rng_state()}
        torch.save(
            state | {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}, f"{self._file}.tmp"
        )
        os.replace(f"{self._file}.tmp", self._file)

    def _next(self) -> list[Pair]:
        if not self._order:
            self._order = batches(self.pairs, self.epoch)
        if self.batch == len(self._order):
            self.epoch, self.batch = self.epoch + 1, 0
            self._order = batches(self.pairs, self.epoch)
        self.batch += 1
        return [self.pairs[number] for number in self._order[self.batch - 1]]

    def run(self) -> None:
        """All steps that are left."""
        begin, before, losses, n_tokens = time.monotonic(), self.seconds, 0.0, 0
        while self.step < STEPS:
            for group in self.optimizer.param_groups:
                group["lr"] = rate(self.step)
            loss, n = loss_of(self.model, self._next(), SMOOTHING)
            self.optimizer.zero_grad()
            (loss / n).backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            losses, n_tokens = losses + loss.item(), n_tokens + n
            self.step += 1
            self.seconds = before + time.monotonic() - begin
            if self.step % EVERY == 0 or self.step == STEPS:
                held_out = held_out_loss(self.model, self.held_out)
                point = {"step": self.step, "train_smoothed": losses / n_tokens, "held_out": held_out}
                self.curve.append({**point, "epoch": self.epoch, "seconds": round(self.seconds)})
                print(json.dumps(self.curve[-1]), flush=True)
                losses, n_tokens = 0.0, 0
                self.save()


def as_ids(tokenizer: Any, folder: Path, part: str) -> list[Pair]:
    """Token ids of the pairs of one part of the data, those that are too long included."""
    sides = [read_lines(folder / f"{part}.{language}") for language in ("de", "en")]
    if len(sides[0]) != len(sides[1]):
        raise SystemExit(f"{folder}: {part}.de has {len(sides[0])} lines, {part}.en {len(sides[1])}")
    return list(zip(*(tokenizer(side).input_ids for side in sides), strict=True))


def main() -> None:
    """Train, or go on, and write the model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, default=Path("runs/translation-training"))
    parser.add_argument("--out", type=Path, default=Path("runs/translation-model"))
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.work.mkdir(parents=True, exist_ok=True)
    texts = [line for language in ("de", "en") for line in read_lines(arguments.data / f"train.{language}")]
    tokenizer = kept_tokenizer(arguments.work, texts)
    everything, held_out = (as_ids(tokenizer, arguments.data, part) for part in ("train", "val"))
    pairs = [pair for pair in everything if max(map(len, pair)) <= LONGEST]
    run = Run(arguments.work, configuration(len(tokenizer)), pairs, held_out)
    run.resume()
    told = {
        "pairs": len(pairs),
        "too_long": len(everything) - len(pairs),
        "target_tokens": sum(len(target) for _, target in pairs),
        "vocabulary": len(tokenizer),
        "parameters": sum(parameter.numel() for parameter in run.model.parameters() if parameter.requires_grad),
    }
    print(json.dumps(told), flush=True)
    run.run()
    arguments.out.mkdir(parents=True, exist_ok=True)
    run.model.eval().save_pretrained(arguments.out)
    tokenizer.save_pretrained(arguments.out)
    record = told | {"seconds": round(run.seconds), "threads": arguments.threads, "curve": run.curve}
    (arguments.out / "training.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
