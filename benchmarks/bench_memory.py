"""Does memory grow with the corpus?

Builds an index of a small random model over 10,000 and over 100,000 distinct sentences, and reports the peak resident
memory of the building process and of its largest worker, above what they held when the pass began.

    python benchmarks/bench_memory.py

Prints one JSON line; docs/performance.md is made from such lines.
"""

import json
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

import ffmem
from ffmem import IndexOptions, RunOptions
from ffmem.index.progress import Progress

SIZES = (10_000, 100_000)


def make_model(folder: Path) -> Path:
    """A random Llama of 4 layers of 1,024 cells, with a word-level tokenizer."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = {f"w{n}": n for n in range(2000)} | {"<unk>": 2000}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>").save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=2001, hidden_size=64, intermediate_size=1024, num_hidden_layers=4, num_attention_heads=4
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def make_corpus(path: Path, n_sentences: int) -> Path:
    """Distinct sentences of about 12 words, ten to a paragraph."""
    rng = random.Random(n_sentences)
    with path.open("w") as file:
        for number in range(n_sentences):
            words = " ".join(f"w{rng.randrange(2000)}" for _ in range(rng.randint(6, 18)))
            file.write(words + (".\n\n" if number % 10 == 9 else ".\n"))
    return path


class Watch(threading.Thread):
    """Samples resident memory of this process and of its largest child, from the moment the pass begins."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.scanning, self.over = threading.Event(), threading.Event()
        self.parent_bytes: list[int] = []
        self.worker_bytes: list[int] = []

    def run(self) -> None:
        """Every 50 ms."""
        me = psutil.Process()
        self.scanning.wait()
        while not self.over.wait(0.05):
            self.parent_bytes.append(me.memory_info().rss)
            try:
                sizes = [child.memory_info().rss for child in me.children(recursive=True)]
            except psutil.NoSuchProcess:
                continue
            if sizes:
                self.worker_bytes.append(max(sizes))

    def hear(self, progress: Progress) -> None:
        """The pass has begun when tokens are counted."""
        if progress.stage == "memories" and progress.n_tokens:
            self.scanning.set()


def measure(model: Path, corpus: Path, out: Path) -> dict[str, object]:
    """Build, watched."""
    watch = Watch()
    watch.start()
    begin = time.monotonic()
    options = IndexOptions(split="lines", holdout=0.0)
    index = ffmem.build_index(model, corpus, out, options=options, run=RunOptions(workers=2), progress=watch.hear)
    watch.over.set()
    watch.scanning.set()
    counts = index.manifest.counts
    return {
        "n_sentences": counts.n_sentences,
        "n_tokens": counts.n_tokens,
        "seconds": round(time.monotonic() - begin, 1),
        "parent_peak_mb": round(max(watch.parent_bytes) / 1e6, 1),
        "worker_peak_mb": round(max(watch.worker_bytes) / 1e6, 1),
        "worker_start_mb": round(watch.worker_bytes[0] / 1e6, 1),
    }


def main() -> None:
    """Both sizes, and one JSON line."""
    with tempfile.TemporaryDirectory() as scratch:
        model = make_model(Path(scratch) / "model")
        runs = [measure(model, make_corpus(Path(scratch) / f"{n}.txt", n), Path(scratch) / f"index-{n}") for n in SIZES]
    json.dump({"bench": "memory", "cells": 4 * 1024, "runs": runs}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
