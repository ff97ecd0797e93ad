"""Counts how many of the zoo's architectures ffmem reads, and whether it reads them right: `make architectures`."""

import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from transformers.utils.logging import disable_progress_bar

from tests.architectures.comparison import compare
from tests.architectures.making import ARCHITECTURES
from tests.architectures.page import write

_WORDS = {
    "right": "accepted and right",
    "WRONG": "accepted and WRONG",
    "refused": "refused",
    "CRASHED": "neither: it CRASHED",
}


def main(names: list[str]) -> int:
    """Print a line for each architecture and the counts; 1 if any is read wrong.

    With ``--page`` for the names, all are read, and the lists of the page on families are written anew.
    """
    to_page = names == ["--page"]
    names = [] if to_page else names
    counts: Counter[str] = Counter()
    outcomes = []
    started = time.monotonic(), time.process_time()
    disable_progress_bar()
    torch.set_num_threads(1)  # of tiny models, more are slower
    for name in names or ARCHITECTURES:
        architecture = ARCHITECTURES[name]
        with tempfile.TemporaryDirectory() as folder:
            outcome = compare(architecture, Path(folder))
        counts[outcome.verdict] += 1
        outcomes.append((name, outcome))
        print(
            f"{name:28} {architecture.year}  {outcome.verdict:8} {outcome.reason.split('. Expected')[0][:150]}",
            flush=True,
        )
    print()
    for verdict, words in _WORDS.items():
        print(f"{counts[verdict]:4} {words}")
    spent = time.monotonic() - started[0], time.process_time() - started[1]
    print(f"{sum(counts.values()):4} architectures in {spent[0]:.0f} s, {spent[1]:.0f} s of the processor")
    if to_page:
        write(outcomes)
    return int(bool(counts["WRONG"] or counts["CRASHED"]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
