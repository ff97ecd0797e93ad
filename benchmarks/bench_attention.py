"""Norms of attention: the Gram form against the naive one, and all norms of a text against the model's own forward pass.

    python benchmarks/bench_attention.py

The naive form is that of the official code: a vector for every head, query and source, its length, and the length of the sum
over heads. Prints one JSON line: seconds, and bytes by which memory rises, of both at n tokens and 768 numbers (12 heads),
their ratios, and the largest difference of their results; and another: seconds of a forward pass of a model over a text, with
and without its logits, of the norms alone, and of `attention_maps` as a user calls it.
"""

import argparse
import ctypes
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import ffmem
from ffmem.analyses.attention.inputs import as_batch, read_text, run
from ffmem.analyses.attention.maps import attention_maps
from ffmem.analyses.attention.norms import gram, norms_of, summed_norms, transformed
from ffmem.models.attention import AttentionLayer, AttentionStates

Norms = tuple[torch.Tensor, torch.Tensor]
"""‖f(x)‖, (heads, keys), and ‖sum of alpha f(x)‖, (queries, keys)."""


def by_gram(weights: torch.Tensor, values: torch.Tensor, matrix: torch.Tensor) -> Norms:
    products = gram(transformed(values, matrix))
    return norms_of(products), summed_norms(weights, products)


def naive(weights: torch.Tensor, values: torch.Tensor, matrix: torch.Tensor) -> Norms:
    vectors = torch.einsum("jhe,hed->hjd", values, matrix)
    weighted = weights[..., None] * vectors[:, None]  # (heads, queries, keys, d_model)
    weighted.norm(dim=-1)
    return vectors.norm(dim=-1), weighted.sum(0).norm(dim=-1)


FORMS: dict[str, Callable[[torch.Tensor, torch.Tensor, torch.Tensor], Norms]] = {"gram": by_gram, "naive": naive}


def inputs(n: int, d_model: int, heads: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Weights, values and W_O."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(heads, n, n, generator=generator).softmax(-1)
    values = torch.randn(n, heads, d_model // heads, generator=generator)
    return weights, values, torch.randn(heads, d_model // heads, d_model, generator=generator) / d_model**0.5


def peak_bytes(form: str, n: int, d_model: int, heads: int) -> int:
    """How far the memory of this process rises above what it is with the inputs made (Linux only)."""
    asked = inputs(n, d_model, heads)
    torch.bmm(torch.ones(2, 64, 64), torch.ones(2, 64, 64))  # the libraries have made what they need
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # what was freed is not there to be used again
    Path("/proc/self/clear_refs").write_text("5")  # the highest point is now
    before = _status("VmRSS")
    kept = FORMS[form](*asked)
    assert len(kept) == 2
    return _status("VmHWM") - before


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def best(repeat: int, what: Callable[[], Any]) -> float:
    """The shortest of some runs, after one that is not counted."""
    what()
    taken = []
    for _ in range(repeat):
        begin = time.perf_counter()
        what()
        taken.append(time.perf_counter() - begin)
    return min(taken)


def forms(n: int, d_model: int, heads: int) -> None:
    asked = inputs(n, d_model, heads)
    quick = best(9, lambda: by_gram(*asked))
    slow = best(1, lambda: naive(*asked))
    difference = max(
        float((one - other).abs().max() / other.abs().max())
        for one, other in zip(by_gram(*asked), naive(*asked), strict=True)
    )
    held = {}
    for form in FORMS:
        command = [sys.executable, __file__, "--tokens", str(n), "--peak", form]
        held[form] = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(
        json.dumps(
            {
                "benchmark": "attention-forms",
                "n": n,
                "d_model": d_model,
                "heads": heads,
                "gram_s": round(quick, 4),
                "naive_s": round(slow, 3),
                "times_faster": round(slow / quick, 1),
                "gram_bytes": held["gram"],
                "naive_bytes": held["naive"],
                "times_smaller": round(held["naive"] / held["gram"], 1),
                "largest_difference": difference,
            }
        )
    )


def whole(name: str, n: int) -> None:
    model = ffmem.load_model(name)
    words = " ".join("The quick brown fox jumps over the lazy dog, and rivers wait for winter." for _ in range(n))
    text = model.tokenizer.decode(model.tokenizer(words, add_special_tokens=False).input_ids[:n])
    read = read_text(model, text)
    batch = as_batch(model, read)

    def norms() -> None:
        kept: list[Norms] = []

        def keep(layer: AttentionLayer, states: AttentionStates) -> None:
            products = gram(transformed(layer.expand(states.values[0]), layer.output_matrix()))
            kept.append((norms_of(products), summed_norms(states.weights[0], products)))

        run(model, *batch, keep)

    def logits() -> None:
        with torch.inference_mode():
            model.logits(batch[0])

    runs: dict[str, Callable[[], Any]] = {
        "forward": logits,
        "forward_without_logits": lambda: run(model, *batch, None),
        "norms": norms,
        "attention_maps": lambda: attention_maps(model, text),
    }
    for one in runs.values():
        one()
    taken = {name: [] for name in runs}  # type: ignore[var-annotated]
    for _ in range(7):  # in turns, so that a busy moment falls on all of them
        for name_of, one in runs.items():
            begin = time.perf_counter()
            one()
            taken[name_of].append(time.perf_counter() - begin)
    middle = {name_of: sorted(times)[len(times) // 2] for name_of, times in taken.items()}
    print(
        json.dumps(
            {"benchmark": "attention-whole", "model": name, "tokens": len(read.tokens)}
            | {f"{name_of}_s": round(seconds, 3) for name_of, seconds in middle.items()}
            | {"norms_in_forwards": round(middle["norms"] / middle["forward"], 2)}
            | {"norms_in_forwards_without_logits": round(middle["norms"] / middle["forward_without_logits"], 2)}
            | {"attention_maps_in_forwards": round(middle["attention_maps"] / middle["forward"], 2)}
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--peak", choices=list(FORMS), help="print how far memory rises for one form, and nothing else")
    arguments = parser.parse_args()
    if arguments.peak:
        print(peak_bytes(arguments.peak, arguments.tokens, 768, 12))
        return
    forms(arguments.tokens, 768, 12)
    whole(arguments.model, arguments.tokens)


if __name__ == "__main__":
    main()
