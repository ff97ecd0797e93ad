"""What a build would take, from a short probe of its own stages: hours, memory and disk, with their spread."""

import os
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from operator import add
from pathlib import Path
from typing import Any

import numpy as np

from ffmem.corpus.documents import Corpus, Document
from ffmem.corpus.registry import open_corpus
from ffmem.errors import InputError
from ffmem.index.build_text import BuildText
from ffmem.index.certificate import certify
from ffmem.index.finish import layer_arrays
from ffmem.index.identity import check_options, decide_projection, indexed_cells, with_named_cells
from ffmem.index.machine import check_device, n_processors
from ffmem.index.request import Request, text_source
from ffmem.index.resources import check_room, free_disk, free_memory, layers_bytes, state_bytes
from ffmem.index.run.choose import make_executor
from ffmem.index.run.executors import Event
from ffmem.index.run.job import GivenTasks
from ffmem.index.scan.accumulators import accumulator_shape
from ffmem.index.scan.batches import plan_shards
from ffmem.index.scan.job import IndexJob
from ffmem.index.scan.shard_text import read_tokens
from ffmem.index.scan.tasks import ProjectLayer, ScanShard
from ffmem.index.state.layers import Shape
from ffmem.index.stream_cost import StreamCost
from ffmem.index.stream_plan import Memory, find_memory, plan_stream
from ffmem.index.text.head import head_of, may_have_pieces
from ffmem.index.text.writer import TextCounts, write_text
from ffmem.json_values import JsonObject, Record
from ffmem.models.attached import attach
from ffmem.models.registry import load_model
from ffmem.models.threads import torch_threads
from ffmem.models.transformer import Transformer
from ffmem.options import IndexOptions, RunOptions
from ffmem.store.files import map_arrays
from ffmem.store.text import TextReader

TEXT_TOKENS = 1_000_000
"""Tokens of the corpus that the probe reads through the text stage; a corpus with fewer is counted exactly."""
_COUNT_S = 20.0
"""Longest time spent on counting the rest of a corpus."""
_PROBE_SHARD_TOKENS = 2048
_LEAST_SPREAD = 0.15
"""Relative spread that is told even where the probe saw less: machines vary more than a short probe can see."""


@dataclass(frozen=True)
class Range:
    """An estimate, with bounds."""

    low: float
    expected: float
    high: float


@dataclass(frozen=True)
class Plan(Record):
    """What a build would take."""

    seconds: Range
    stages_s: dict[str, float]
    """Expected seconds of each stage."""
    tokens_per_s: Range
    """All workers together, once they run."""
    n_tokens: Range
    """Tokens to index."""
    whole_corpus: bool
    """Whether the corpus was read or counted to its end; if not, there is more than is planned for."""
    n_workers: int
    memory_bytes: int
    """Peak of all processes together; weights that they share count once."""
    disk_bytes: int
    """Peak while building."""
    index_bytes: int
    """Of the finished index."""
    free_disk_bytes: int
    free_memory_bytes: int | None
    stream: StreamCost | None = None
    """What it takes to bring the weights anew for each shard, of one worker; None where the model is held whole."""


def plan_index(
    model: str | Path,
    corpus: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    options: IndexOptions | None = None,
    run: RunOptions | None = None,
    field: str = "text",
    encoding: str = "utf-8",
    revision: str | None = None,
    probe_s: float = 20.0,
) -> Plan:
    """What `build_index` with these arguments would take; nothing is left in ``out``.

    Reads up to a million tokens of the corpus through the text stage, and runs the same workers as the build over
    shards drawn with the seed for ``probe_s`` seconds. Bounds: the spread of the speed within the probe, and of tokens a
    byte between documents, but 15 % at least.

    Raises:
        InputError: as `build_index`; or the build cannot fit into the disk or the memory that there is.
    """
    names = [corpus] if isinstance(corpus, str | Path) else corpus
    options, run = options or IndexOptions(), run or RunOptions()
    if run.executor != "local":
        raise InputError(
            f"--plan is given with --executor {run.executor}",
            "Expected --executor local: a plan is measured by a probe on this machine",
            "Run it with --workers 1 on a node of the cluster, and divide the time for the memories by the number of workers",
        )
    request = Request(str(model), revision, tuple(open_corpus(str(name), field, encoding) for name in names), options)
    check_device(options.device)
    memory = find_memory(request.model, revision, options, run, free_memory())
    start_s, begin = time.process_time(), time.monotonic()  # what this process has done so far, a build's will too
    with torch_threads(options.threads), tempfile.TemporaryDirectory(prefix="ffmem-plan-") as folder:
        loaded = load_model(
            request.model,
            dtype=options.dtype,
            device=options.device,
            revision=revision,
            quantize=options.quantize,
            proved=False,
            trust_remote_code=run.trust_remote_code,
            architecture=options.architecture,
            patches=options.patch,
            model_memory=run.model_bytes,
            device_map=run.device_map,
        )
        attach(loaded, options.attachments)
        options = with_named_cells(loaded, options, None)
        request = replace(request, options=options)
        check_options(loaded, options)
        loaded.weights_hash()
        model_s = start_s + time.monotonic() - begin
        text = _probe_text(loaded, request, Path(folder))
        begin = time.monotonic()
        probed = Path(folder) / "text"
        has_pieces = may_have_pieces(text.counts.n_windows, options)
        certify(loaded, head_of(TextReader(probed), has_pieces), read_tokens(probed), options)
        own_s = {"model": model_s, "certificate": time.monotonic() - begin}
        speed = _probe_speed(loaded, request, run, Path(folder), probe_s)
        found = _plan(loaded, request, run, text, speed, own_s, Path(out))
        if memory is not None:
            found = _streamed(found, loaded, memory, options)
    check_room(Path(out), found.disk_bytes, found.memory_bytes)
    return found


class _Counted(Corpus):
    """A corpus that notes the bytes of its documents."""

    kind = "counted"

    def __init__(self, corpora: Sequence[Corpus], folder: Path) -> None:
        super().__init__()
        self.name = corpora[0].name
        self.sizes: list[int] = []
        for corpus in corpora:
            corpus.settle(folder, None)
        self._documents = chain.from_iterable(corpora)

    def identity(self) -> JsonObject:
        """See Corpus.identity; never stored."""
        return {}

    def __iter__(self) -> Any:
        for document in self._documents:
            self.sizes.append(len(document.text))
            yield document

    def rest(self) -> tuple[int, bool]:
        """Characters of the documents not yet read, and whether all of them were seen in time."""
        n, end = 0, time.monotonic() + _COUNT_S
        document: Document
        for document in self._documents:
            n += len(document.text)
            if time.monotonic() > end:
                return n, False
        return n, True


@dataclass(frozen=True)
class _Text:
    counts: TextCounts
    seconds: float
    n_bytes: int
    factor: Range
    """How many times the probe's text the whole corpus is."""
    whole: bool


def _probe_text(model: Transformer, request: Request, folder: Path) -> _Text:
    limit = min(request.options.max_tokens or TEXT_TOKENS, TEXT_TOKENS)
    counted = _Counted(request.corpora, folder)
    source = replace(text_source(model, request), corpora=[counted])
    (folder / "text").mkdir()
    begin = time.monotonic()
    counts = write_text(folder / "text", source, replace(request.options, max_tokens=limit))
    seconds = time.monotonic() - begin
    n_bytes = sum(path.stat().st_size for path in (folder / "text").iterdir())
    if counts.stopped_by is None or limit == request.options.max_tokens:
        return _Text(counts, seconds, n_bytes, Range(1.0, 1.0, 1.0), True)
    rest, whole = counted.rest()
    used = sum(counted.sizes[: counts.n_documents])  # more of them were read ahead
    factor = (sum(counted.sizes) + rest) / used
    # between documents, tokens per character vary little; their repeats do not: an allowance for both
    return _Text(counts, seconds, n_bytes, Range(1 + (factor - 1) * 0.9, factor, 1 + (factor - 1) * 1.1), whole)


@dataclass(frozen=True)
class _Speed:
    tokens_per_s: Range
    start_s: float
    """From the start of the workers until all of them are ready."""
    layer_s: float
    """For one layer's values, in each of the workers at once."""
    n_workers: int
    worker_bytes: int
    """Largest resident size of a worker."""


class _EnoughError(Exception):
    """The probe has run long enough."""


class _Watch:
    """Times a run of the workers: each projects a layer's values first, then they scan."""

    def __init__(self, n_workers: int, probe_s: float) -> None:
        self._n_workers, self._probe_s = n_workers, probe_s
        self._begin = time.monotonic()
        self.ready: dict[int, float] = {}
        self.projected: dict[int, float] = {}
        self.tokens: list[tuple[float, int]] = []

    def hear(self, event: Event) -> None:
        now = time.monotonic() - self._begin
        if event.kind == "ready":
            self.ready[event.slot] = now
        elif event.kind == "task":
            self.projected.setdefault(event.slot, now)
        elif event.kind == "tokens" and len(self.projected) == self._n_workers:
            self.tokens.append((now, event.n_tokens))
            if now - self.tokens[0][0] >= self._probe_s:
                raise _EnoughError

    def speed(self) -> Range:
        """Tokens a second, with twice the standard error over quarters of the probe."""
        times, counts = (np.array(column) for column in zip(*self.tokens, strict=True))
        if len(times) < 2:
            return Range(0.0, counts.sum() / max(times[-1], 1e-3), float("inf"))
        expected = counts[1:].sum() / (times[-1] - times[0])  # the first event tells when counting begins
        edges = np.linspace(times[0], times[-1], 5)
        rates = np.histogram(times[1:], edges, weights=counts[1:])[0] / np.diff(edges)
        spread = max(2 * rates.std(ddof=1) / 2, _LEAST_SPREAD * expected)
        return Range(max(expected - spread, expected / 4), expected, expected + spread)


def _probe_speed(model: Transformer, request: Request, run: RunOptions, folder: Path, probe_s: float) -> _Speed:
    options = request.options
    starts = map_arrays(folder / "text" / "tokens.safetensors")["sentence_start"]
    n_sentences = len(starts) - 1
    shards = plan_shards(starts, [n_sentences], _PROBE_SHARD_TOKENS)
    np.random.default_rng(options.seed).shuffle(shards)
    executor = make_executor(options, run)
    n_workers = executor.n_workers
    job = IndexJob(
        folder=folder,
        model=request.model,
        revision=request.revision,
        options=options,
        projection=decide_projection(model, options),
        run_id="plan",
        job_hash="plan",
        checkpoint_s=float("inf"),
        trust_remote_code=run.trust_remote_code,
        model_memory=run.model_bytes,
        device_map=run.device_map,
    )
    if executor.works_here:
        job = replace(job, loaded=model, batching=model.batching)
    n_layers = len(indexed_cells(model, options).layers)
    # as many scans as can be asked for: a small corpus is scanned again and again
    layers = [ProjectLayer(number % n_layers) for number in range(n_workers)]
    scans = [ScanShard(replace(shard, shard_id=number)) for number, shard in enumerate(shards * 50)]
    watch = _Watch(n_workers, probe_s)
    with suppress(_EnoughError):
        executor.run(job, GivenTasks([*layers, *scans]), watch.hear)
    layer_s = max(watch.projected[slot] - watch.ready[slot] for slot in watch.projected)
    worker_bytes = (
        0 if executor.works_here else _peak_bytes(resource.RUSAGE_CHILDREN)
    )  # else this process's own peak has them
    return _Speed(watch.speed(), max(watch.ready.values()), layer_s, n_workers, worker_bytes)


def _peak_bytes(who: int) -> int:
    kilobytes_or_bytes = resource.getrusage(who).ru_maxrss
    return kilobytes_or_bytes if sys.platform == "darwin" else kilobytes_or_bytes * 1024


def _plan(
    model: Transformer,
    request: Request,
    run: RunOptions,
    text: _Text,
    speed: _Speed,
    own_s: dict[str, float],
    out: Path,
) -> Plan:
    options, shape = request.options, accumulator_shape(model, request.options)
    n_tokens = Range(*(text.counts.n_tokens * getattr(text.factor, end) for end in ("low", "expected", "high")))
    if options.max_tokens is not None:
        n_tokens = Range(*(min(n, options.max_tokens) for n in (n_tokens.low, n_tokens.expected, n_tokens.high)))
    n_layers = len(shape.layers)
    stages = {
        "model": own_s["model"],
        "text": text.seconds * text.factor.expected,
        "certificate": own_s["certificate"],
        "workers": speed.start_s,
        "values": -(-n_layers // speed.n_workers) * speed.layer_s,
        "memories": n_tokens.expected / speed.tokens_per_s.expected,
        "files": _finish_s(shape) * n_layers,
    }
    fixed = sum(seconds for name, seconds in stages.items() if name not in ("memories", "text"))
    slack = _LEAST_SPREAD * (fixed + stages["text"])
    # a text of a process of its own is written while workers read it, where there is a processor for that
    has_processor = options.device != "cpu" or n_processors() > speed.n_workers * options.threads
    is_apart = has_processor and BuildText(out, request, run).is_long
    together = max if is_apart else add
    seconds = Range(
        fixed - slack + together(text.seconds * text.factor.low, n_tokens.low / speed.tokens_per_s.high),
        fixed + together(stages["text"], stages["memories"]),
        fixed + slack + together(text.seconds * text.factor.high, n_tokens.high / speed.tokens_per_s.low),
    )
    n_promoted = min(options.promoted, model.facts.d_vocab)
    state, layers = state_bytes(shape), layers_bytes(shape, n_promoted)
    promoted = layers - layers_bytes(shape, 0)
    n_states = min(speed.n_workers, max(int(n_tokens.high / options.shard_tokens), 1))
    text_bytes = int(text.n_bytes * text.factor.high)
    weights = sum(p.numel() * p.element_size() for p in model.module.parameters())
    own = max(speed.worker_bytes - weights, 0)
    return Plan(
        seconds=seconds,
        stages_s=stages,
        tokens_per_s=speed.tokens_per_s,
        n_tokens=n_tokens,
        whole_corpus=text.whole,
        n_workers=speed.n_workers,
        # a state is copied while it is written
        memory_bytes=_peak_bytes(resource.RUSAGE_SELF) + speed.n_workers * (own + 2 * state),
        # all states and what was found of the values are kept until the files are whole; a state is written anew beside itself
        disk_bytes=text_bytes + promoted + n_states * state + max(layers, state),
        index_bytes=layers + text_bytes,
        free_disk_bytes=free_disk(out),
        free_memory_bytes=free_memory(),
    )


def _streamed(plan: Plan, model: Transformer, memory: Memory, options: IndexOptions) -> Plan:
    """The same build with weights that are brought anew for each shard, of which the probe held all."""
    n, held = plan.n_workers, sum(p.numel() * p.element_size() for p in model.module.parameters())
    cost = plan_stream(model, memory, options, plan.tokens_per_s.expected / n, n)
    lost_s = (cost.shard_s - cost.compute_s) / options.shard_tokens / n  # a token
    more = Range(*(lost_s * getattr(plan.n_tokens, end) for end in ("low", "expected", "high")))
    seconds = Range(*(getattr(plan.seconds, end) + getattr(more, end) for end in ("low", "expected", "high")))
    return replace(
        plan,
        seconds=seconds,
        stages_s=plan.stages_s | {"weights": more.expected},
        memory_bytes=plan.memory_bytes - max(held - memory.budget, 0) + n * cost.host_state_bytes,
        disk_bytes=plan.disk_bytes + n * cost.spilled_bytes,
        stream=cost,
    )


def _finish_s(shape: Shape) -> float:
    """Seconds for the arrays of one layer, on made-up lists."""
    sizes = shape.sizes(shape.layers[0])
    state = {field.name: field.empty(sizes) for field in shape.fields()}
    for name in (field.name for field in shape.fields() if field.lists):
        keys = np.random.default_rng(0).integers(1, 2**62, size=state[name].shape)
        state[name] = np.sort(keys, axis=2)[:, :, ::-1]
    begin = time.monotonic()
    arrays = layer_arrays(state)
    with tempfile.TemporaryFile() as file:
        for array in arrays.values():
            file.write(array.tobytes())
        file.flush()
        os.fsync(file.fileno())
    return 2 * (time.monotonic() - begin)  # once more for merging the states and hashing the file
