"""What does indexing cost beside the model's own forward pass?

One process, one thread, one interleaved run: each batch goes through (a) the bare backbone, (b) the backbone with
everything an index keeps, (c) the whole model with its logits, (d) on every eighth batch, the naive rival: hooks that
take a per-token `topk` of each layer. The order of (a), (b), (c) rotates. Writing the state, the layer files and the
text is timed as well and spread over the tokens of the run.

    python benchmarks/bench_index.py smollm2 --text ../shared/data/wikitext/valid.txt
    python benchmarks/bench_index.py gpt2-small --text ../shared/data/wikitext/valid.txt

Prints one JSON line; docs/performance.md is made from such lines.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import torch

from ffmem.corpus.registry import open_corpus
from ffmem.index.build_text import BuildText
from ffmem.index.finish import write_index
from ffmem.index.identity import decide_projection
from ffmem.index.request import Request
from ffmem.index.scan.accumulators import accumulator_shape
from ffmem.index.scan.batches import Batch, plan_shards
from ffmem.index.scan.job import IndexJob
from ffmem.index.scan.promoted import promoted_tokens, scorer
from ffmem.index.scan.shard_text import ShardText, read_tokens
from ffmem.index.scan.tasks import promoted_path
from ffmem.index.scan.worker import IndexWorker
from ffmem.index.state.accumulator import LayerAccumulator
from ffmem.index.state.topk import unpack
from ffmem.models.registry import load_model
from ffmem.models.transformer import Transformer
from ffmem.models.unembedding import LinearScores
from ffmem.options import IndexOptions, RunOptions
from ffmem.store.files import map_arrays
from ffmem.store.paths import StorePaths


def gpt2_small(folder: Path) -> Path:
    """Random weights in the shape of GPT-2 small, with SmolLM2's tokenizer."""
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    from ffmem.models.loading.sources import resolve

    GPT2LMHeadModel(GPT2Config()).save_pretrained(folder)
    AutoTokenizer.from_pretrained(resolve("smollm2")).save_pretrained(folder)
    return folder


class NaiveRival:
    """Hooks and a per-token topk: what one writes in a notebook. Keeps (score, token) of every cell's best tokens."""

    def __init__(self, model: Transformer, top: int) -> None:
        self.scores = [torch.empty(0, model.facts.d_ff) for _ in range(model.facts.n_layers)]
        self.tokens = [torch.empty(0, model.facts.d_ff, dtype=torch.int64) for _ in range(model.facts.n_layers)]
        self.top = top

    def observe(self, layer: int, coefficients: torch.Tensor, batch: Batch, first_tokens: torch.Tensor) -> None:
        """Every own token competes."""
        rows, ids = [], []
        for row, length in ((r, run.length) for run in batch.runs for r in range(run.start, run.stop)):
            rows.append(coefficients[row, :length])
            ids.append(first_tokens[row] + torch.arange(length))
        scores = torch.cat((self.scores[layer], torch.cat(rows)))
        tokens = torch.cat((self.tokens[layer], torch.cat(ids)[:, None].expand(-1, scores.shape[1])))
        best = scores.topk(min(self.top, len(scores)), dim=0)
        self.scores[layer], self.tokens[layer] = best.values, tokens.gather(0, best.indices)


def compare_with_rival(
    model: Transformer, text: ShardText, batches: list[Batch], top: int
) -> tuple[float, float, bool]:
    """Seconds of the naive rival and of ours for the same question, and whether they found the same triggers."""
    rival = NaiveRival(model, top)
    shape = accumulator_shape(model, IndexOptions(top=top, per_sentence="all"))
    ours = LayerAccumulator(shape)
    rival_s = ours_s = 0.0
    for batch in batches:
        inputs, places = text.inputs(batch), text.places(batch)
        first_tokens = torch.from_numpy(places.tokens[:, 0])
        begin = time.perf_counter()
        with model.watch_coefficients(lambda layer, m, b=batch, f=first_tokens: rival.observe(layer, m, b, f)):
            model.forward(*inputs)
        middle = time.perf_counter()
        with model.watch_coefficients(lambda layer, m, p=places: ours.observe(layer, m, p)):
            model.forward(*inputs)
        ours_s += time.perf_counter() - middle
        rival_s += middle - begin
    ours.close_shard(0, "this machine")
    same = True
    for layer in range(model.facts.n_layers):
        scores, tokens = unpack(torch.from_numpy(ours.layer(layer)["keys"][0]))
        positive = rival.scores[layer].T > 0
        same &= torch.equal(scores[:, : positive.shape[1]] * positive, rival.scores[layer].T * positive)
        distinct = torch.ones_like(positive)
        distinct[:, 1:] &= scores[:, 1 : positive.shape[1]] != scores[:, : positive.shape[1] - 1]
        distinct[:, :-1] &= scores[:, : positive.shape[1] - 1] != scores[:, 1 : positive.shape[1]]
        distinct[:, -1] = False  # equals may follow beyond the end of the rival's list
        check = positive & distinct
        same &= torch.equal(tokens[:, : positive.shape[1]][check], rival.tokens[layer].T[check])
    return rival_s, ours_s, same


def bench_promoted(model: Transformer, options: IndexOptions) -> dict[str, float]:
    """Promoted tokens of two layers against the bare products of the same blocks."""
    projection = decide_projection(model, options)
    matrix = model.projection_matrix(projection)
    scores = scorer(LinearScores(matrix), model.cells.n_cells)
    bare_s = ours_s = 0.0
    for layer in (0, model.facts.n_layers - 1, 0, model.facts.n_layers - 1):
        rows = model.value_rows(layer)
        begin = time.perf_counter()
        for start in range(0, len(rows), 256):
            rows[start : start + 256] @ matrix.T
        middle = time.perf_counter()
        promoted_tokens(rows, scores, len(matrix), options.promoted)
        ours_s += time.perf_counter() - middle
        bare_s += middle - begin
    return {"promoted_over_products": ours_s / bare_s, "promoted_s_a_layer": ours_s / 4}


def main() -> None:
    """Run, and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = "smollm2, gpt2-small (random weights), or anything that load_model takes"
    parser.add_argument("model", nargs="?", default="smollm2", help=what)
    parser.add_argument("--text", default="../shared/data/wikitext/valid.txt")
    parser.add_argument("--max-tokens", type=int, default=40_000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    options = IndexOptions(max_tokens=arguments.max_tokens)
    with tempfile.TemporaryDirectory() as scratch, torch.inference_mode():
        source = str(gpt2_small(Path(scratch) / "gpt2")) if arguments.model == "gpt2-small" else arguments.model
        model = load_model(source)
        paths = StorePaths(Path(scratch) / "index")
        paths.work.mkdir(parents=True)
        text = BuildText(paths.work, Request(source, None, (open_corpus(arguments.text),), options), RunOptions())
        text.begin(model, apart=False)
        result = {"bench": "index", "model": arguments.model, **run(model, paths, options, text.counts)}
        result |= bench_promoted(model, options)
    json.dump(result, sys.stdout)
    print()


def run(model: Transformer, paths: StorePaths, options: IndexOptions, counts: dict[str, int]) -> dict[str, object]:
    """The interleaved run."""
    job = IndexJob(paths.work, "", None, options, decide_projection(model, options), "bench", "bench", 1e9)
    worker = IndexWorker(job, 0, model)
    text = ShardText(read_tokens(paths.work / "text"), model, options)
    starts = map_arrays(paths.work / "text" / "tokens.safetensors")["sentence_start"]
    shards = plan_shards(starts, counts["n_sentences_by_corpus"], options.shard_tokens)
    seconds: dict[str, float] = defaultdict(float)
    n_padded = n_tokens = 0
    number = 0
    steady: dict[str, float] = defaultdict(float)
    accumulator = worker._accumulator
    for shard in shards:
        batches = list(text.batches(shard))
        for batch in batches:
            inputs, places = text.inputs(batch), text.places(batch)
            n_padded += inputs[0].numel()
            n_tokens += batch.n_tokens

            def bare(inputs=inputs) -> None:
                model.forward(*inputs)

            def index(inputs=inputs, places=places) -> None:
                with model.watch_coefficients(lambda layer, m: accumulator.observe(layer, m, places)):
                    model.forward(*inputs)

            def logits(inputs=inputs) -> None:
                model.logits(*inputs)

            ways = [("bare", bare), ("index", index), ("logits", logits)]
            for name, way in ways[number % 3 :] + ways[: number % 3]:
                begin = time.perf_counter()
                way()
                spent = time.perf_counter() - begin
                seconds[name] += spent
                if n_tokens > counts["n_tokens"] / 2:
                    steady[name] += spent
            number += 1
        begin = time.perf_counter()
        worker._accumulator.close_shard(shard.shard_id, "this machine")
        seconds["close"] += time.perf_counter() - begin
    begin = time.perf_counter()
    worker.save()
    seconds["save"] = time.perf_counter() - begin
    begin = time.perf_counter()
    for layer in range(model.facts.n_layers):
        worker._project(layer)
    seconds["project"] = time.perf_counter() - begin
    begin = time.perf_counter()
    write_index(paths, list(paths.work.glob("state-*")), accumulator_shape(model, options))
    seconds["write"] = time.perf_counter() - begin
    rival_s, ours_s, same = compare_with_rival(model, text, list(text.batches(shards[-1]))[::4][:3], options.top)
    indexing = seconds["index"] + seconds["close"] + seconds["save"] + seconds["write"]
    assert promoted_path(paths.work, 0).exists()
    return {
        "n_tokens": n_tokens,
        "n_batches": number,
        "padding_fraction": round(1 - n_tokens / n_padded, 4),
        "bare_tokens_per_s": round(n_tokens / seconds["bare"], 1),
        "speed_of_bare": round(seconds["bare"] / indexing, 4),
        "speed_of_bare_second_half": round(steady["bare"] / steady["index"], 4),
        "speed_of_bare_with_values": round(seconds["bare"] / (indexing + seconds["project"]), 4),
        "speed_of_logits": round(seconds["logits"] / indexing, 4),
        "bookkeeping_fraction": round((seconds["index"] - seconds["bare"]) / seconds["bare"], 4),
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "naive_over_ours": round(rival_s / ours_s, 3),
        "same_as_naive": same,
    }


if __name__ == "__main__":
    main()
