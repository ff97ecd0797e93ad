"""What would an index of a large model over much text take, on how many GPUs, and what gives way first?

    python benchmarks/scale_table.py --price 3

A model of a build, not a measurement: every number that it prints is computed, from measured ratios that are given to it and
from what stands below with its source. With --measure-text the text stage is measured here, with SmolLM2's tokenizer.

A build is its stages one after the other: text (one process, in which the tokenizer has a thread for each processor),
values (once for each index, shared out by layers), memories (shared out by shards), and merging. A model that is larger than
its device is streamed, as `--model-memory` does it: once with its weights in the memory of the host, once from an NVMe disk
that the GPUs of a machine share. --laptop prints instead what 8 billion parameters take on a machine of 8 GB. Prints
Markdown; with --json one JSON line for each case.
"""

import argparse
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ffmem.ids import LayerCells
from ffmem.index.resources import layers_bytes, state_bytes
from ffmem.index.state.layers import Shape
from ffmem.index.stream_cost import Bandwidths, Source, StreamCost, Text, Weights, stream_cost
from ffmem.options import IndexOptions, RunOptions
from ffmem.store.keys import NO_TOKEN

H100_BF16 = 989e12
"""Dense bf16 operations a second of an H100 SXM, NVIDIA's data sheet (1,979 with sparsity)."""
H100_FP32 = 67e12
"""float32 operations a second of its plain cores, same sheet: values are scored in float32."""
H100_BYTES = 80e9
BATCH_BYTES = 10e9
"""Of a GPU, for a batch and what torch keeps: an assumption."""
TOKENS = (10e6, 1e9, 100e9)
GPUS = (1, 8, 64)
DEFAULTS, RUN = IndexOptions(device="cuda"), RunOptions()


@dataclass(frozen=True)
class Model:
    """Sizes of a gated decoder, from its published config."""

    name: str
    d_model: int
    n_layers: int
    d_ff: int
    n_heads: int
    n_key_heads: int
    d_head: int
    d_vocab: int
    tied: bool
    """Whether embedding and unembedding are one matrix."""
    mfu: float
    """Operations of the bare forward pass over sentences, padding not counted / peak: see bench_gpu.py."""
    speed_of_bare: float
    """Indexing / bare forward pass: see bench_gpu.py."""

    @property
    def n_block(self) -> int:
        """Parameters of a layer."""
        attention = self.d_model * self.d_head * (2 * self.n_heads + 2 * self.n_key_heads)
        return attention + 3 * self.d_model * self.d_ff

    @property
    def n_backbone(self) -> int:
        """Parameters of attention and feed-forward layers."""
        return self.n_layers * self.n_block

    @property
    def weights(self) -> Weights:
        """As a stream meets them, in bf16."""
        return Weights((2 * self.n_block,) * self.n_layers, self.weight_bytes - 2 * self.n_backbone)

    @property
    def weight_bytes(self) -> int:
        """In bf16."""
        return 2 * (self.n_backbone + (1 if self.tied else 2) * self.d_model * self.d_vocab)

    @property
    def value_operations(self) -> float:
        """To score all values over the vocabulary."""
        return 2.0 * self.n_layers * self.d_ff * self.d_model * self.d_vocab

    def token_operations(self, sentence_tokens: float) -> float:
        """Of a token's forward pass without logits: 2 a parameter, and 4 d a token looked at, half a sentence on average."""
        return 2.0 * self.n_backbone + 4.0 * self.n_layers * self.n_heads * self.d_head * sentence_tokens / 2

    @property
    def shape(self) -> Shape:
        """Of a worker's state, with the default options."""
        return Shape(tuple(LayerCells(i, self.d_ff) for i in range(self.n_layers)), 2, DEFAULTS.top, "1")


# The last two numbers were measured on an H100 with the shapes smollm2-135m, opt-1.3b (for Llama-3.2-1B) and llama-8b; those of
# 70B are llama-8b's.
MODELS = (
    Model("SmolLM2-135M", 576, 30, 1536, 9, 3, 64, 49_152, True, 0.102, 0.86),
    Model("Llama-3.2-1B", 2048, 16, 8192, 32, 8, 64, 128_256, True, 0.392, 0.83),
    Model("Llama-3.1-8B", 4096, 32, 14_336, 32, 8, 128, 128_256, False, 0.413, 0.93),
    Model("Llama-3.1-70B", 8192, 80, 28_672, 64, 8, 128, 128_256, False, 0.413, 0.93),
)
VALUES_MFU = 0.5
"""Of float32 products, an assumption."""


@dataclass(frozen=True)
class Case:
    """One build."""

    model: str
    n_tokens: float
    n_gpus: int
    source: Source | None
    """Where weights are streamed from; None: the model is held whole."""
    n_indexes: int
    """An index holds 2^32 - 2 tokens at most."""
    text_h: float
    values_h: float
    memories_h: float
    merge_h: float
    hours: float
    """From end to end."""
    gpu_cost: float
    """Of the hours in which GPUs work."""
    whole_cost: float
    """Of all hours: what it costs to keep the GPUs while the text is written and states are merged."""
    disk_gb: float
    """Of the finished indexes."""
    work_gb: float
    """Of the states beside them, at the most."""
    shards_per_s: float
    """That the driver hands out."""
    checkpoints_gb_per_s: float
    """That workers write, all together, where every checkpoint falls due."""
    gives_way: tuple[str, ...]
    """What is longest or over a limit, the worst first."""
    stream: StreamCost | None
    """Of one shard of one GPU, where weights are streamed."""


def streamed(model: Model, tokens_per_s: float, source: Source, n_gpus: int, given: argparse.Namespace) -> StreamCost:
    """What a shard takes on one of so many GPUs, in machines of eight that share their host's disk."""
    budget = H100_BYTES - BATCH_BYTES - 2 * state_bytes(model.shape)  # its lists are there twice
    return stream_cost(
        model.weights,
        int(budget),
        Text(given.shard_tokens, tokens_per_s, model.d_model, 2),
        Bandwidths(given.disk_bytes_per_s, given.device_bytes_per_s),
        host_weights_bytes=model.weight_bytes if source == "host" else 0,
        n_sharing_disk=min(n_gpus, given.gpus_per_machine),
    )


def case(model: Model, n_tokens: float, n_gpus: int, given: argparse.Namespace, source: Source | None = None) -> Case:
    """What one build would take."""
    n_indexes = -(-int(n_tokens) // (NO_TOKEN - 1))
    mfu, speed_of_bare = given.mfu or model.mfu, given.speed_of_bare or model.speed_of_bare
    of_one = H100_BF16 * mfu * speed_of_bare / model.token_operations(given.sentence_tokens)
    stream = None if source is None else streamed(model, of_one, source, n_gpus, given)
    speed = n_gpus * of_one / (1.0 if stream is None else stream.slowdown)
    states = n_gpus * state_bytes(model.shape)
    layers = n_indexes * layers_bytes(model.shape, DEFAULTS.promoted)
    tokenizer_per_s = given.tokenizer_tokens_per_s * given.processors
    text_h = n_tokens * (1 / given.text_tokens_per_s + 1 / tokenizer_per_s) / 3600
    values_h = n_indexes * model.value_operations / (min(n_gpus, model.n_layers) * H100_FP32 * VALUES_MFU) / 3600
    memories_h = n_tokens / speed / 3600
    merge_h = n_indexes * (states / given.merge_bytes_per_s + layers / n_indexes / given.finish_bytes_per_s) / 3600
    shards_per_s = speed / given.shard_tokens
    checkpoints = states / RUN.checkpoint_s if memories_h * 3600 > RUN.checkpoint_s else 0.0
    gives_way = []
    if stream is not None and stream.hidden_share < 0.999:
        gives_way.append(f"weights ({1 - stream.hidden_share:.0%} of their reading is waited for)")
    if n_indexes > 1:
        gives_way.append(f"{n_indexes} indexes")
    if shards_per_s > given.driver_shards_per_s:
        gives_way.append(f"driver ({shards_per_s:,.0f} shards/s)")
    if checkpoints > given.storage_bytes_per_s:
        gives_way.append(f"checkpoints ({checkpoints / 1e9:.1f} GB/s)")
    parts = {"text": text_h, "values": values_h, "memories": memories_h, "merging": merge_h}
    longest = max(parts, key=lambda name: parts[name])
    gives_way.append(f"{longest} {parts[longest] / sum(parts.values()):.0%}")
    return Case(
        model=model.name,
        n_tokens=n_tokens,
        n_gpus=n_gpus,
        source=source,
        n_indexes=n_indexes,
        text_h=text_h,
        values_h=values_h,
        memories_h=memories_h,
        merge_h=merge_h,
        hours=sum(parts.values()),
        gpu_cost=(values_h + memories_h) * n_gpus * given.price,
        whole_cost=sum(parts.values()) * n_gpus * given.price,
        disk_gb=(layers + n_tokens * given.text_bytes_per_token) / 1e9,
        work_gb=states / 1e9,
        shards_per_s=shards_per_s,
        checkpoints_gb_per_s=checkpoints / 1e9,
        gives_way=tuple(gives_way),
        stream=stream,
    )


def cases(given: argparse.Namespace) -> Iterator[Case]:
    """All of them."""
    for model in MODELS:
        sources: tuple[Source | None, ...] = (None,) if model.weight_bytes <= H100_BYTES else ("host", "disk")
        for source in sources:
            for n_tokens in TOKENS:
                for n_gpus in GPUS:
                    yield case(model, n_tokens, n_gpus, given, source)


FROM: dict[Source | None, str] = {None: "", "host": ", streamed from host memory", "disk": ", streamed from disk"}


def shards(found: list[Case]) -> str:
    """One shard of each stream, as Markdown."""
    names = [
        "model",
        "GPUs of a machine",
        "weights a shard, GB",
        "reading them, s",
        "computing, s",
        "hidden",
        "states, GB",
    ]
    names += ["moving states, s", "speed / held whole", "hidden from shards of, tokens"]
    lines = ["| " + " | ".join(names) + " |", "|" + len(names) * "---|"]
    told = set()
    for one in found:
        cost = one.stream
        if cost is None or (one.model, one.source, min(one.n_gpus, 8)) in told:
            continue
        told.add((one.model, one.source, min(one.n_gpus, 8)))
        cells = [one.model + FROM[one.source], f"{min(one.n_gpus, 8)}", f"{cost.moved_bytes / 1e9:.1f}"]
        cells += [f"{cost.weights_s:.1f}", f"{cost.compute_s:.1f}", f"{cost.hidden_share:.0%}"]
        cells += [f"{cost.host_state_bytes / 1e9:.2f}", f"{cost.states_s:.1f}", f"{1 / cost.slowdown:.2f}"]
        cells += [f"{cost.hiding_shard_tokens:,}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def laptop(model: Model, given: argparse.Namespace) -> StreamCost:
    """A shard of the default size on a CPU, bf16; the budget is a part of the machine's memory."""
    tokens_per_s = given.laptop_operations / model.token_operations(given.sentence_tokens)
    text = Text(IndexOptions().shard_tokens, tokens_per_s, model.d_model, 2)
    return stream_cost(model.weights, int(given.laptop_bytes), text, Bandwidths(given.laptop_disk_bytes_per_s))


def table(found: list[Case]) -> str:
    """As Markdown: a row for each model and number of tokens, with the numbers of GPUs side by side."""
    per_gpus = " / ".join(map(str, GPUS))
    names = ["model", "tokens", "text, h", f"memories, h, on {per_gpus} GPUs", "GPUs at work, USD"]
    names += [f"GPUs kept for all of it, USD, {per_gpus}", "disk, GB", f"gives way, {per_gpus} GPUs"]
    lines = ["| " + " | ".join(names) + " |", "|" + len(names) * "---|"]
    for begin in range(0, len(found), len(GPUS)):
        row = found[begin : begin + len(GPUS)]
        one = row[0]
        cells = [one.model + FROM[one.source], _tokens(one.n_tokens)]
        cells += [_short(one.text_h), " / ".join(_short(case.memories_h) for case in row), _short(one.gpu_cost)]
        cells += [" / ".join(_short(case.whole_cost) for case in row), _short(one.disk_gb)]
        ways = ["; ".join(case.gives_way) for case in row]
        cells += [ways[0] if len({*ways}) == 1 else " / ".join(ways)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _tokens(number: float) -> str:
    return f"{number / 1e9:,.0f} billion" if number >= 1e9 else f"{number / 1e6:,.0f} million"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}" if value >= 0.01 else "< 0.01"


def measure_text(corpus: str, max_tokens: int) -> dict[str, float]:
    """Tokens a second of the text stage, of the clock and of the processor, the tokenizer's and all other; bytes a token."""
    from ffmem.corpus.registry import open_corpus
    from ffmem.index.build_text import BuildText
    from ffmem.index.request import Request, text_source
    from ffmem.models.registry import load_model
    from ffmem.store.paths import StorePaths

    options = IndexOptions(max_tokens=max_tokens, holdout=0)
    with tempfile.TemporaryDirectory() as folder:
        paths = StorePaths(Path(folder))
        paths.work.mkdir()
        request = Request("smollm2", None, (open_corpus(corpus),), options)
        text = BuildText(paths.work, request, RunOptions())
        model = load_model("smollm2")
        begin, cpu = time.perf_counter(), time.process_time()
        text.begin(model, apart=False)
        wall_s, cpu_s = time.perf_counter() - begin, time.process_time() - cpu
        n_bytes = sum((paths.work / "text" / name).stat().st_size for name in ("text.sqlite", "tokens.safetensors"))
        sentences = [str(text) for (text,) in _rows(paths.work / "text" / "text.sqlite", "SELECT text FROM sentences")]
        tokenizer, again = text_source(model, request).tokenizer, time.process_time()
        for first in range(0, len(sentences), 1000):
            tokenizer.encode_batch_fast(sentences[first : first + 1000], add_special_tokens=False)
        tokenizer_s = time.process_time() - again
    n_tokens = text.counts["n_tokens"]
    return {
        "n_tokens": n_tokens,
        "tokenizer_tokens_per_cpu_s": round(n_tokens / tokenizer_s, 1),
        "other_tokens_per_cpu_s": round(n_tokens / (cpu_s - tokenizer_s), 1),
        "tokens_per_s": round(n_tokens / wall_s, 1),
        "tokens_per_cpu_s": round(n_tokens / cpu_s, 1),
        "bytes_per_token": round(n_bytes / n_tokens, 2),
        "sentence_tokens": round(n_tokens / text.counts["n_sentences"], 1),
    }


def _rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(sql).fetchall()


def main() -> None:
    """Compute, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--mfu", type=float, help="operations of the bare forward pass / peak, for all models; by default as measured")
    add("--speed-of-bare", type=float, help="indexing / bare forward pass, for all models; by default as measured")
    add("--price", type=float, default=3.0, help="USD a GPU-hour: an assumption")
    add("--sentence-tokens", type=float, default=20.0, help="tokens of a sentence on average")
    add(
        "--text-tokens-per-s",
        type=float,
        default=300_000,
        help="of the text stage but its tokenizer: see --measure-text",
    )
    add("--tokenizer-tokens-per-s", type=float, default=650_000, help="of one processor: see --measure-text")
    add("--processors", type=int, default=16, help="that the tokenizer has")
    add(
        "--text-bytes-per-token",
        type=float,
        default=22.0,
        help="of text.sqlite and tokens.safetensors: see --measure-text",
    )
    add("--shard-tokens", type=int, default=DEFAULTS.shard_tokens)
    add("--driver-shards-per-s", type=float, default=1000.0, help="that the driver can hand out: an assumption")
    add("--storage-bytes-per-s", type=float, default=1e9, help="that a shared disk takes: an assumption")
    add("--merge-bytes-per-s", type=float, default=1.7e9, help="of states merged: see bench_scale.py merge")
    add("--finish-bytes-per-s", type=float, default=1e8, help="of layer files written: see bench_scale.py merge")
    add(
        "--device-bytes-per-s",
        type=float,
        default=50e9,
        help="from host to GPU: of the 63 GB/s of PCIe 5.0 x16, an assumption",
    )
    add("--disk-bytes-per-s", type=float, default=6e9, help="of a machine's NVMe disk, PCIe 4.0 x4: an assumption")
    add("--gpus-per-machine", type=int, default=8)
    add("--laptop", action="store_true", help="a model of 8 billion parameters on a laptop, instead")
    add("--laptop-operations", type=float, default=4e11, help="a second, of 8 cores in bf16: an assumption")
    add("--laptop-disk-bytes-per-s", type=float, default=2e9, help="an assumption")
    add("--laptop-bytes", type=float, default=3e9, help="of 8 GB, for weights")
    add("--measure-text", action="store_true", help="measure the text stage here, and take what comes of it")
    add("--corpus", default="topics", help="of --measure-text")
    add("--max-tokens", type=int, default=300_000, help="of --measure-text")
    add("--json", action="store_true")
    given = parser.parse_args()
    if given.measure_text:
        measured = measure_text(given.corpus, given.max_tokens)
        print(json.dumps({"bench": "text", **measured}), file=sys.stderr)
        given.text_tokens_per_s = measured["other_tokens_per_cpu_s"]
        given.tokenizer_tokens_per_s = measured["tokenizer_tokens_per_cpu_s"]
        given.text_bytes_per_token = measured["bytes_per_token"]
        given.sentence_tokens = measured["sentence_tokens"]
    if given.laptop:
        cost = laptop(MODELS[2], given)
        print(json.dumps({"model": MODELS[2].name, **cost.to_json(), "slowdown": cost.slowdown}))
        return
    found = list(cases(given))
    print("\n".join(json.dumps(asdict(one)) for one in found) if given.json else f"{table(found)}\n\n{shards(found)}")


if __name__ == "__main__":
    main()
