"""What does indexing cost on a GPU beside the model's own forward pass?

Random weights in the shape of a model, made on the device, over the corpus `topics`; half precision. Shard by shard, in one run
and in turn: (a) the bare backbone, (b) the backbone with all that an index keeps, as a worker does it. On one batch of them:
(c) the rival, torch operations on the device, a pass over the coefficients each, which is what ffmem does on devices without
Triton; (d) a hook with a per-token `topk` of each layer, which is what one writes in a notebook; (e) the bare backbone as torch
and transformers are set up by themselves.

    python benchmarks/bench_gpu.py opt-1.3b
    python benchmarks/bench_gpu.py smollm2-135m llama-8b opt-1.3b --seconds 60 --out lines.jsonl
    python benchmarks/bench_gpu.py tiny --device cpu --seconds 5

A shape ends by itself: shards are gone through in turn until its seconds are over (those that its model took to be made
included), and the time of a shard decides whether another still fits. Prints one JSON line for each shape as soon as it has it,
and adds it to a file with --out, so that a machine that is taken away takes nothing with it. docs/performance.md is made from
such lines.
"""

import argparse
import json
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch

from ffmem.corpus.registry import open_corpus
from ffmem.index.build_text import BuildText
from ffmem.index.request import Request
from ffmem.index.scan.accumulators import accumulator_shape, make_accumulator
from ffmem.index.scan.batches import plan_shards
from ffmem.index.scan.job import IndexJob, prepare_device
from ffmem.index.scan.shard_text import ShardText, read_tokens
from ffmem.index.scan.worker import IndexWorker
from ffmem.index.state.accumulator import Accumulator, LayerAccumulator
from ffmem.index.state.states import load_state
from ffmem.models.masks import one_text_a_row
from ffmem.models.registry import load_model
from ffmem.models.transformer import Transformer
from ffmem.options import IndexOptions, RunOptions
from ffmem.store.files import map_arrays
from ffmem.store.paths import StorePaths

SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "opt-125m": ("OPT", {"hidden_size": 768, "ffn_dim": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}),
    "opt-1.3b": ("OPT", {"hidden_size": 2048, "ffn_dim": 8192, "num_hidden_layers": 24, "num_attention_heads": 32}),
    "smollm2-135m": (
        "Llama",
        {
            "hidden_size": 576,
            "intermediate_size": 1536,
            "num_hidden_layers": 30,
            "num_attention_heads": 9,
            "num_key_value_heads": 3,
            "vocab_size": 49152,
        },
    ),
    "llama-1b": (
        "Llama",
        {
            "hidden_size": 2048,
            "intermediate_size": 8192,
            "num_hidden_layers": 16,
            "num_attention_heads": 16,
            "vocab_size": 50304,
        },
    ),
    "stablelm-1b": (
        "StableLm",
        {
            "hidden_size": 2048,
            "intermediate_size": 8192,
            "num_hidden_layers": 16,
            "num_attention_heads": 16,
            "num_key_value_heads": 16,
            "vocab_size": 50304,
        },
    ),
    "llama-8b": (
        "Llama",
        {
            "hidden_size": 4096,
            "intermediate_size": 14336,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "vocab_size": 128256,
        },
    ),
    "tiny": ("OPT", {"hidden_size": 64, "ffn_dim": 256, "num_hidden_layers": 2, "num_attention_heads": 4}),
}
PEAK_FLOPS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}
"""Dense bf16 of the data sheets (NVIDIA), by what the name of the card holds."""


def random_model(shape: str, device: str, dtype: torch.dtype) -> Transformer:
    """Random weights in a shape, with the tokenizer of `reference`; found by structure where no family names the class."""
    import transformers

    from ffmem.models.registry import FAMILIES
    from ffmem.models.structure.admit import family_of_structure

    kind, sizes = SHAPES[shape]
    config = getattr(transformers, f"{kind}Config")(**sizes)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            module = getattr(transformers, f"{kind}ForCausalLM")(config)
    finally:
        torch.set_default_dtype(before)
    module, tokenizer = module.eval().requires_grad_(False), load_model("reference").tokenizer
    family = next((one for one in FAMILIES if f"{kind}ForCausalLM" in one.architectures), None)
    return Transformer(shape, family or family_of_structure(shape, module, tokenizer).family, module, tokenizer)


class PerTokenTopk:
    """A hook and a per-token topk: what one writes in a notebook."""

    def __init__(self, model: Transformer, top: int) -> None:
        layers = range(model.facts.n_layers)
        self._best: list[tuple[torch.Tensor, torch.Tensor] | None] = [None for _ in layers]
        self._top = top

    def observe(self, layer: int, coefficients: torch.Tensor, inside: torch.Tensor, tokens: torch.Tensor) -> None:
        """Let every position that is inside compete."""
        scores, ids = coefficients[inside], tokens[inside][:, None].expand(-1, coefficients.shape[-1])
        kept = self._best[layer]
        if kept is not None:
            scores, ids = torch.cat((kept[0], scores)), torch.cat((kept[1], ids))
        best = scores.topk(min(self._top, len(scores)), dim=0)
        self._best[layer] = best.values, ids.gather(0, best.indices)


class Clock:
    """Seconds by name; the device has finished before and after."""

    def __init__(self, device: str) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._wait = torch.cuda.synchronize if device.startswith("cuda") else lambda: None

    def time(self, name: str, do: Any) -> None:
        """Add the seconds of a call."""
        self._wait()
        begin = time.perf_counter()
        do()
        self._wait()
        self.seconds[name] += time.perf_counter() - begin


def same_lists(model: Transformer, text: ShardText, batches: list[Any], options: IndexOptions, device: str) -> bool:
    """Whether the device keeps what the compiled loops of a CPU keep of the same coefficients."""
    shape = accumulator_shape(model, options)
    ours, plain = make_accumulator(shape, device), LayerAccumulator(shape)
    for batch in batches:
        places = text.places(batch)

        def both(layer: int, m: torch.Tensor, places: Any = places) -> None:
            ours.observe(layer, m, places)
            plain.observe(layer, m.float().cpu(), places)

        with model.watch_coefficients(both):
            model.forward(*text.inputs(batch))
    states = []
    for one in (ours, plain):
        one.close_shard(0, "here")
        states.append(load_state(one.dump("bench"))[1])
    exact = ("keys", "n_active", "minimum", "maximum", "histogram", "counts")
    return all(
        (states[0][f"L{layer}.{name}"] == states[1][f"L{layer}.{name}"]).all()
        for layer in range(model.facts.n_layers)
        for name in exact
    )


class Deadline:
    """The seconds that a shape may take.

    Args:
        seconds: from now on.
    """

    def __init__(self, seconds: float) -> None:
        self._begin, self._seconds = time.perf_counter(), seconds

    @property
    def used_s(self) -> float:
        """Seconds since it began."""
        return time.perf_counter() - self._begin

    def has(self, seconds: float) -> bool:
        """Whether so many seconds are left."""
        return self.used_s + seconds <= self._seconds


def run(
    model: Transformer,
    paths: StorePaths,
    options: IndexOptions,
    counts: dict[str, Any],
    deadline: Deadline,
    rivals_too: bool,
) -> dict[str, Any]:
    """The interleaved run."""
    device = options.device
    on_gpu = device.startswith("cuda")
    prepare_device(options)
    worker = IndexWorker(IndexJob(paths.work, "", None, options, "raw", "bench", "bench", 1e9), 0, model)
    text = ShardText(read_tokens(paths.work / "text"), model, options)
    starts = map_arrays(paths.work / "text" / "tokens.safetensors")["sentence_start"]
    shards = plan_shards(starts, counts["n_sentences_by_corpus"], options.shard_tokens)
    smallest = sorted(text.batches(shards[-1]), key=lambda batch: batch.n_tokens)[:2]
    same = same_lists(model, text, smallest, options, device)
    tensors: Accumulator = LayerAccumulator(accumulator_shape(model, options), device)
    notebook = PerTokenTopk(model, options.top)
    clock, few = Clock(device), Clock(device)

    def index(shard: Any) -> None:
        worker._scan(shard, text, lambda n, told="": None)

    def bare(batches: list[Any]) -> None:
        with one_text_a_row():
            for batch in batches:
                model.forward(*text.inputs(batch))

    def as_it_is(batches: list[Any]) -> None:  # as transformers and torch are set up
        torch.backends.cuda.enable_cudnn_sdp(True)
        for batch in batches:
            model.forward(*text.inputs(batch))
        prepare_device(options)

    def with_tensors(batches: list[Any]) -> None:
        for batch in batches:
            places = text.places(batch)
            with model.watch_coefficients(lambda layer, m, p=places: tensors.observe(layer, m, p)):
                model.forward(*text.inputs(batch))

    def with_topk(batches: list[Any]) -> None:
        for batch in batches:
            places = text.places(batch)
            width = text.width(batch)
            inside = torch.zeros(len(places.lengths), width, dtype=torch.bool)
            tokens = torch.zeros(len(places.lengths), width, dtype=torch.int64)
            first = places.first_position
            for row, length in enumerate(places.lengths.tolist()):
                inside[row, first : first + length] = True
                tokens[row, first : first + length] = torch.from_numpy(places.tokens[row, :length])
            inside, tokens = inside.to(device), tokens.to(device)
            with model.watch_coefficients(lambda layer, m, i=inside, t=tokens: notebook.observe(layer, m, i, t)):
                model.forward(*text.inputs(batch))

    def ours_few(batches: list[Any]) -> None:
        for batch in batches:
            places = text.places(batch)
            with one_text_a_row(), model.watch_coefficients(lambda layer, m, p=places: scratch.observe(layer, m, p)):
                model.forward(*text.inputs(batch))

    scratch = make_accumulator(accumulator_shape(model, options), device)
    last = list(text.batches(shards[-1]))
    warm = last[:: -(-len(last) // 4)]  # the longest sentences among them
    for way in (bare, ours_few):  # compiles, and fills the allocator's pool
        way(warm)
    waits = _waits(model, text, warm[0], scratch) if on_gpu else None
    warm_s = deadline.used_s
    n_padded = n_batches = n_tokens = 0
    pairs: list[dict[str, float]] = []  # of each shard, the seconds of both ways
    longest_s = 0.0
    for number, shard in enumerate(shards):
        # what comes behind the shards, a checkpoint, takes less than a shard of the usual size
        if number and not deadline.has(2 * longest_s):
            break
        began_s = deadline.used_s
        batches = list(text.batches(shard))
        n_padded += sum(len(batch.sentence_ids) * text.width(batch) for batch in batches)
        n_batches += len(batches)
        n_tokens += shard.n_tokens
        before = dict(clock.seconds)
        ways = [("bare", lambda b=batches: bare(b)), ("index", lambda s=shard: index(s))]
        for name, way in ways if number % 2 else reversed(ways):
            clock.time(name, way)
        pairs.append({name: clock.seconds[name] - before.get(name, 0.0) for name in ("bare", "index")})
        longest_s = max(longest_s, deadline.used_s - began_s)
        if number == 0 and rivals_too:
            part = batches[len(batches) // 2 :][:1]
            rivals = {"bare": bare, "ours": ours_few, "tensors": with_tensors, "topk": with_topk, "as it is": as_it_is}
            for name, one in rivals.items():
                few.time(name, lambda b=part, o=one: o(b))
    clock.time("checkpoint", worker.save)
    states = list(paths.work.glob("state-*"))
    state_bytes = sum(path.stat().st_size for path in states)
    for path in states:  # the next shape begins anew
        path.unlink()
    half = (len(pairs) + 1) // 2
    halves = [
        {name: sum(one[name] for one in part) for name in ("bare", "index")} for part in (pairs[:half], pairs[half:])
    ]
    once_a_minute = clock.seconds["checkpoint"] * clock.seconds["index"] / 60
    parameters = sum(one.numel() for name, one in model.module.named_parameters() if "embed" not in name)
    tokens_per_s = n_tokens / clock.seconds["bare"]
    card = torch.cuda.get_device_name(device) if on_gpu else "CPU"
    peak = next((flops for name, flops in PEAK_FLOPS.items() if name in card), None)
    head = sum(one.numel() for name, one in model.module.named_parameters() if "lm_head" in name)
    padding = 1 - n_tokens / n_padded
    return {
        "device": card,
        "torch": torch.__version__,
        "n_cells": model.cells.n_cells,
        "n_signs": accumulator_shape(model, options).n_signs,
        "parameters_in_layers": parameters - head,
        "dtype": options.dtype,
        "batch_tokens": options.batch_tokens,
        "batch_tokens_at_the_end": worker._batch_tokens,
        "shard_tokens": options.shard_tokens,
        "n_tokens": n_tokens,
        "n_shards": len(pairs),
        "n_shards_left_out": len(shards) - len(pairs),
        "warm_s": round(warm_s, 1),
        "seconds": round(deadline.used_s, 1),
        "n_batches": n_batches,
        "padding_fraction": round(padding, 4),
        "bare_tokens_per_s": round(tokens_per_s),
        "index_tokens_per_s": round(n_tokens / clock.seconds["index"]),
        "flops_utilisation": peak and round(2 * (parameters - head) * tokens_per_s / (1 - padding) / peak, 4),
        "speed_of_bare": round(clock.seconds["bare"] / clock.seconds["index"], 4),
        "speed_of_bare_halves": [round(part["bare"] / part["index"], 4) for part in halves if part["index"]],
        "speed_of_bare_shards": [round(one["bare"] / one["index"], 4) for one in pairs],
        "speed_of_bare_with_checkpoints": round(clock.seconds["bare"] / (clock.seconds["index"] + once_a_minute), 4),
        "checkpoint_s": round(clock.seconds["checkpoint"], 3),
        "state_bytes": state_bytes,
        "few": {name: round(few.seconds["bare"] / seconds, 4) for name, seconds in few.seconds.items()},
        "host_waits_in_a_batch": waits,
        "same_as_cpu_loops": same,
        "peak_bytes": torch.cuda.max_memory_allocated() if on_gpu else None,
    }


def _waits(model: Transformer, text: ShardText, batch: Any, scratch: Accumulator) -> dict[str, str]:
    """Whether the host waits for the device within a batch: in the forward pass by itself, and in what ffmem adds."""
    found = {}
    places = text.places(batch)
    inputs = text.inputs(batch)

    def observe(layer: int, m: torch.Tensor) -> None:
        torch.cuda.set_sync_debug_mode("error")
        try:
            scratch.observe(layer, m, places)
        finally:
            torch.cuda.set_sync_debug_mode(mode)

    for name, mode in (("whole batch", "error"), ("ours", "default")):
        torch.cuda.set_sync_debug_mode(mode)
        try:
            if mode == "error":
                inputs = text.inputs(batch)
            with one_text_a_row(), model.watch_coefficients(observe):
                model.forward(*inputs)
            found[name] = "no"
        except RuntimeError as error:
            found[name] = str(error).splitlines()[0]
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return found


def main() -> None:
    """Run, and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shapes", nargs="*", metavar="shape", help=f"of {', '.join(SHAPES)}")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", default=None)
    parser.add_argument("--tokens", type=int, default=None)
    parser.add_argument("--batch-tokens", type=int, default=0)
    parser.add_argument(
        "--shard-tokens", type=int, default=0, help="by default 131,072 on a GPU: several pairs in the time"
    )
    parser.add_argument("--seconds", type=float, default=55.0, help="that a shape may take")
    parser.add_argument("--rivals", action="store_true", help="time the rivals on one batch, too")
    parser.add_argument("--out", type=Path, help="a file to which each line is added")
    arguments = parser.parse_args()
    on_gpu = arguments.device.startswith("cuda")
    shapes = arguments.shapes or (["opt-1.3b"] if on_gpu else ["tiny"])
    options = IndexOptions(
        device=arguments.device,
        dtype=arguments.dtype or ("bfloat16" if on_gpu else "float32"),
        max_tokens=arguments.tokens or (1_000_000 if on_gpu else 20_000),
        batch_tokens=arguments.batch_tokens,
        shard_tokens=arguments.shard_tokens or (131_072 if on_gpu else 0),
        holdout=0.0,
    )
    with tempfile.TemporaryDirectory() as scratch, torch.inference_mode():
        paths = StorePaths(Path(scratch) / "index")
        paths.work.mkdir(parents=True)
        request = Request("reference", None, (open_corpus("topics"),), options)
        text = BuildText(paths.work, request, RunOptions())
        text.begin(load_model("reference"), apart=False)
        for shape in shapes:
            deadline = Deadline(arguments.seconds)
            model = random_model(shape, arguments.device, getattr(torch, options.dtype))
            found = run(model, paths, options, text.counts, deadline, arguments.rivals)
            line = json.dumps({"bench": "gpu", "shape": shape, **found})
            print(line, flush=True)
            if arguments.out is not None:
                with arguments.out.open("a") as file:
                    file.write(line + "\n")
            del model
            if on_gpu:
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()


if __name__ == "__main__":
    main()
