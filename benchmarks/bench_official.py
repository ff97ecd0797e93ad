"""Mining triggers: `ffmem index` against the algorithm of the official code (Geva et al. 2021), on the same model and tokens.

The official code knows one model and needs fairseq and CUDA, so what is timed is a port of its `generate_outputs.py
--get_trigger_examples --extract_mode layer-raw` to any model that ffmem reads, in two forms:

published    what the code does in this mode, needed or not: for each sentence the whole batch is run again; the
             distribution over the vocabulary at every position; at one random position those of r, y and o of every
             layer, with two sorts a layer, and of all scaled values; coefficients as Python lists, and the top t by a loop
             over layers and cells.
fair         the same algorithm without the waste: each batch is run once, nothing is projected; coefficients as lists
             and the loop stay.

Both have the maximum of each sentence, bias and activation counted in. ffmem does what it always does: statistics, text and
promoted tokens too, which neither port has; its projection of all values is told apart.

    python benchmarks/bench_official.py --model reference --corpus topics

Prints one JSON line: tokens a second of each, their ratios, and whether the lists of triggers are the same.
"""

import argparse
import heapq
import json
import os
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_rivals import TOP, batches_of, in_corpus_order, same

import ffmem
from ffmem import IndexOptions
from ffmem.models.tracing import trace
from ffmem.models.transformer import Transformer

Batch = tuple[Any, Any, Any, int]
"""Token ids, lengths, first tokens, first position."""


class TopTriggers:
    """The best t sentences of every cell: one Python heap a cell, as the official code has it."""

    def __init__(self, model: Transformer) -> None:
        self.heaps = [[[] for _ in range(layer.n_cells)] for layer in model.facts.layers]  # type: ignore[var-annotated]

    def add(self, layer: int, best: list[float], token: list[int]) -> None:
        """One sentence's largest coefficient of every cell, and where it is."""
        for heap, value, place in zip(self.heaps[layer], best, token, strict=True):
            if len(heap) < TOP:
                heapq.heappush(heap, (value, -place))
            else:
                heapq.heappushpop(heap, (value, -place))

    def save(self, out: Path) -> None:
        """As bench_rivals reads lists."""
        arrays = {}
        for place, layer in enumerate(self.heaps):
            rows = [sorted(heap, reverse=True) for heap in layer]
            arrays[f"{place}.0.0"] = np.array([[value for value, _ in row] for row in rows], np.float32).T
            arrays[f"{place}.0.1"] = np.array([[-token for _, token in row] for row in rows], np.int64).T
        np.savez(out, **arrays)


def keep(found: TopTriggers, coefficients: list[torch.Tensor], batch: Batch, row: int) -> None:
    """One sentence's largest coefficients into the lists."""
    _, lengths, firsts, skip = batch
    for layer, values in enumerate(coefficients):
        best, position = values[row, skip : skip + int(lengths[row])].max(0)
        found.add(layer, best.tolist(), (position + int(firsts[row])).tolist())


def watched(model: Transformer, batch: Batch) -> list[torch.Tensor]:
    """Coefficients of every layer."""
    seen: dict[int, torch.Tensor] = {}
    with torch.inference_mode(), model.watch_coefficients(lambda layer, values: seen.update({layer: values.clone()})):
        model.forward(batch[0])
    return [seen[layer] for layer in range(model.facts.n_layers)]


def fair(model: Transformer, batches: list[Batch]) -> TopTriggers:
    """Each batch once."""
    found = TopTriggers(model)
    for batch in batches:
        coefficients = watched(model, batch)
        for row in range(len(batch[0])):
            keep(found, coefficients, batch, row)
    return found


def published(model: Transformer, batches: list[Batch]) -> TopTriggers:
    """What the official code does in this mode."""
    found, draw = TopTriggers(model), random.Random(0)
    for batch in batches:
        for row in range(len(batch[0])):
            traces = trace(model, batch[0])  # the whole batch again
            start, stop = batch[3], batch[3] + int(batch[1][row])
            at = draw.randrange(start, stop)
            with torch.inference_mode():
                model.project(traces[-1].layer_output[row, start:stop], own(model)).exp()
                for place, one in enumerate(traces):
                    states = torch.stack([one.residual[row, at], one.ff_output[row, at], one.layer_output[row, at]])
                    scores = model.project(states, own(model))
                    scores[:2].argsort(dim=-1, descending=True).argsort(dim=-1)
                    scaled = one.coefficients[row, at][:, None] * model.value_rows(place)
                    model.project(scaled, own(model)).argmax(-1)
            keep(found, [one.coefficients for one in traces], batch, row)
    return found


def own(model: Transformer) -> Any:
    """The projection by which the model itself predicts."""
    return "adaptive" if "adaptive" in model.facts.projections else "final-norm"


def first_sentences(batches: list[Batch], n: int) -> list[Batch]:
    """Whole batches with at least n sentences in all."""
    taken, count = [], 0
    for batch in batches:
        if count >= n:
            break
        taken.append(batch)
        count += len(batch[0])
    return taken


def n_tokens(batches: list[Batch]) -> int:
    return sum(int(batch[1].sum()) for batch in batches)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="reference")
    parser.add_argument("--corpus", default="topics")
    parser.add_argument("--max-tokens", type=int, default=60_000)
    parser.add_argument("--published-sentences", type=int, default=32, help="the published form takes seconds each")
    arguments = parser.parse_args()
    torch.set_num_threads(os.cpu_count() or 1)
    with tempfile.TemporaryDirectory() as temporary:
        folder, lists = Path(temporary) / "index", Path(temporary) / "lists.npz"
        options = IndexOptions(top=TOP, holdout=0, max_tokens=arguments.max_tokens)
        begin = time.monotonic()
        index = ffmem.build_index(arguments.model, arguments.corpus, folder, options=options)
        our_s = time.monotonic() - begin
        log = json.loads((folder / "run.json").read_bytes())
        batches = in_corpus_order(batches_of(arguments.model, folder, "sorted"))
        if index.n_signs != 1:
            raise SystemExit("bench_official: the official algorithm knows no signs; choose a model without gates")
        model = ffmem.load_model(arguments.model)
        begin = time.monotonic()
        found = fair(model, batches)
        fair_s = time.monotonic() - begin
        found.save(lists)
        equal = same(folder, lists)
        some = first_sentences(batches, arguments.published_sentences)
        begin = time.monotonic()
        theirs = published(model, some)
        published_s = time.monotonic() - begin
        part = fair(model, some)
        speeds = {
            "ffmem": n_tokens(batches) / our_s,
            "fair": n_tokens(batches) / fair_s,
            "published": n_tokens(some) / published_s,
        }
        line = {
            "bench": "official",
            "model": arguments.model,
            "n_tokens": n_tokens(batches),
            "n_tokens_published": n_tokens(some),
            "tokens_per_s": {name: round(speed, 1) for name, speed in speeds.items()},
            "ffmem_over_fair": round(speeds["ffmem"] / speeds["fair"], 2),
            "ffmem_over_published": round(speeds["ffmem"] / speeds["published"], 1),
            "same_triggers": equal,
            "published_same_as_fair": alike(theirs, part),
            "stages_s": {name: value for name, value in log.items() if isinstance(value, float)},
        }
        print(json.dumps(line))


def alike(one: TopTriggers, other: TopTriggers) -> bool:
    """Whether two forms of the port found the same sentences and positions for every cell, rounding apart."""
    differ = total = 0
    for layer, other_layer in zip(one.heaps, other.heaps, strict=True):
        for heap, other_heap in zip(layer, other_layer, strict=True):
            total += len(heap)
            differ += len({place for _, place in heap} ^ {place for _, place in other_heap}) // 2
    return differ <= 1e-3 * total


if __name__ == "__main__":
    main()
