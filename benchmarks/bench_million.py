"""A million sentences through `reference`, from text to a finished index: how long, how much memory, how much disk?

There is not as much real text in the project, so sentences are made of it: of each three words that stand side by side in the
corpus `topics`, the third follows the first two, from a beginning that a sentence there has, until one ends or has as many
words as were drawn for it. All are distinct, and the same seed gives the same text.

    python benchmarks/bench_million.py FOLDER [--sentences 1000000] [--workers 2]

The text (FOLDER/text.txt) is made once. While the index is built in FOLDER/index, the memory of all processes (pages that
several share divided among them; and apart, what is no page of a file), their processor time and the size of the folder go
into FOLDER/samples.jsonl, every ten seconds. The same command resumes a build that was stopped, and adds up its parts. Prints
one JSON line; docs/performance.md is made from such lines.
"""

import argparse
import json
import os
import random
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import psutil

import ffmem
from ffmem import IndexOptions, RunOptions
from ffmem.corpus.sentences import split_sentences
from ffmem.corpus.topics import Topics
from ffmem.index.progress import Progress

_LINES_A_PARAGRAPH = 20
_WORDS = range(4, 11)
"""How many words a sentence may have, its end included if it comes first."""


def followers() -> tuple[list[tuple[str, str]], dict[tuple[str, str], list[str]]]:
    """The first two words of each sentence of `topics`, and what follows each two words there ("" for the end)."""
    begins: list[tuple[str, str]] = []
    follow: dict[tuple[str, str], list[str]] = defaultdict(list)
    for document in Topics():
        for sentence in split_sentences(document.text, "sentences"):
            words = sentence.text.split()
            if len(words) > 2:
                begins.append((words[0], words[1]))
                for first, second, third in zip(words, words[1:], [*words[2:], ""], strict=False):
                    follow[first, second].append(third)
    return begins, follow


def make_text(path: Path, n_sentences: int, seed: int = 0) -> None:
    """Write distinct sentences, one a line, twenty to a paragraph."""
    draw = random.Random(seed)
    begins, follow = followers()
    seen: set[int] = set()
    partial = path.with_suffix(".partial")
    with partial.open("w") as file:
        while len(seen) < n_sentences:
            words, n_words = list(draw.choice(begins)), draw.choice(_WORDS)
            while len(words) < n_words and (word := draw.choice(follow[words[-2], words[-1]])):
                words.append(word)
            line = " ".join(words).rstrip(".,;:!?—-") + "."
            if hash_of(line) not in seen:
                seen.add(hash_of(line))
                file.write(line + ("\n\n" if len(seen) % _LINES_A_PARAGRAPH == 0 else "\n"))
    partial.rename(path)


def hash_of(line: str) -> int:
    """As good as the line for telling whether it was there; numbers of tuples of bytes do not change from run to run."""
    return hash(tuple(line.encode()))


def cpu_s(process: psutil.Process) -> float:
    """Of a process, and of those of its children that it has waited for."""
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


def folder_bytes(folder: Path) -> int:
    """Of all files that are there at the moment, as the disk has them."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(root, name)).st_blocks * 512
            except FileNotFoundError:  # of a checkpoint that was just replaced
                continue
    return total


class Watch(threading.Thread):
    """Writes a line into a file every few seconds."""

    def __init__(self, folder: Path, every_s: float) -> None:
        super().__init__(daemon=True)
        self._folder, self._every_s, self._begin = folder, every_s, time.time()
        self.over = threading.Event()
        self.now = Progress("begin")

    def sample(self) -> dict[str, Any]:
        """Memory in bytes, time in seconds."""
        me = psutil.Process()
        told: dict[str, Any] = {"run": self._begin, "s": round(time.time() - self._begin, 1), "stage": self.now.stage}
        told |= {"n_tokens": self.now.n_tokens, "n_processes": 0, "cpu_s": 0.0, "pss": 0, "pss_not_of_files": 0}
        for process in [me, *me.children(recursive=True)]:
            try:
                rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()[1:]
                told["cpu_s"] += cpu_s(process)
            except (OSError, psutil.Error):  # it has ended
                continue
            sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in rollup}
            told["n_processes"] += 1
            told["pss"] += sizes["Pss"]
            told["pss_not_of_files"] += sizes["Pss"] - sizes["Pss_File"]
        return told | {"disk": folder_bytes(self._folder / "index"), "load": os.getloadavg()[0]}

    def run(self) -> None:
        """Until it is over, and once more then."""
        with (self._folder / "samples.jsonl").open("a") as file:
            while True:
                is_over = self.over.wait(self._every_s)
                print(json.dumps(self.sample()), file=file, flush=True)
                if is_over:
                    return

    def hear(self, progress: Progress) -> None:
        """What the next sample stands under."""
        self.now = progress


def summary(folder: Path) -> dict[str, Any]:
    """All parts of a build together."""
    samples = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    runs = {sample["run"]: sample for sample in samples}  # the last of each
    stages: dict[str, float] = defaultdict(float)
    cpu: dict[str, float] = defaultdict(float)
    before = {"run": None, "s": 0.0, "cpu_s": 0.0}
    for sample in samples:
        last = before if before["run"] == sample["run"] else {"s": 0.0, "cpu_s": 0.0}
        stages[sample["stage"]] += sample["s"] - last["s"]
        cpu[sample["stage"]] += max(0.0, sample["cpu_s"] - last["cpu_s"])
        before = sample
    return {
        "n_parts": len(runs),
        "seconds": round(sum(one["s"] for one in runs.values())),
        "cpu_s": round(sum(cpu.values())),
        "seconds_by_stage": {stage: round(s) for stage, s in stages.items()},
        "cpu_s_by_stage": {stage: round(s) for stage, s in cpu.items()},
        "peak_pss_mb": round(max(one["pss"] for one in samples) / 1e6),
        "peak_not_of_files_mb": round(max(one["pss_not_of_files"] for one in samples) / 1e6),
        "peak_disk_mb": round(max(one["disk"] for one in samples) / 1e6),
        "disk_mb": round(samples[-1]["disk"] / 1e6),
        "median_load": sorted(one["load"] for one in samples)[len(samples) // 2],
    }


def main() -> None:
    """Text, index, one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sentences", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--every-s", type=float, default=10.0)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    text = asked.folder / "text.txt"
    if not text.is_file():
        make_text(text, asked.sentences)
    watch = Watch(asked.folder, asked.every_s)
    watch.start()
    options = IndexOptions(split="lines", holdout=0.0)
    index = ffmem.build_index(
        "reference",
        text,
        asked.folder / "index",
        options=options,
        run=RunOptions(workers=asked.workers),
        progress=watch.hear,
    )
    watch.over.set()
    watch.join()
    counts = index.manifest.counts
    told = {"n_sentences": counts.n_sentences, "n_tokens": counts.n_tokens, "n_cells": index.n_cells}
    print(json.dumps({"bench": "million", "workers": asked.workers} | told | summary(asked.folder)), file=sys.stdout)


if __name__ == "__main__":
    main()
