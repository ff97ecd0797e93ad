"""Model x corpus -> index: the whole build, which resumes wherever it was stopped."""

import copy
import hashlib
import json
import os
import platform
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import filelock
import torch

from ffmem.corpus.documents import Corpus
from ffmem.corpus.registry import open_corpus
from ffmem.errors import InputError, StoreError
from ffmem.index.accumulator import read_covered
from ffmem.index.batches import plan_shards
from ffmem.index.certificate import certify
from ffmem.index.executors import Event, Executor, InProcessExecutor, ProcessExecutor, state_path
from ffmem.index.files import disk_errors, map_arrays, write_json
from ffmem.index.finish import write_index, write_manifest
from ffmem.index.reader import Index, open_index
from ffmem.index.runlog import RunLog
from ffmem.index.store import FORMAT, StorePaths, read_manifest
from ffmem.index.text_writer import TextSource, write_text
from ffmem.index.worker import (
    IndexJob,
    ProjectLayer,
    ScanShard,
    accumulator_shape,
    promoted_path,
    torch_threads_kept,
)
from ffmem.models.base import Projection
from ffmem.models.registry import load_model
from ffmem.models.transformer import Transformer
from ffmem.models.vocabulary import display, is_byte_level, token_bytes
from ffmem.options import IndexOptions, RunOptions
from ffmem.version import __version__


@dataclass(frozen=True)
class Progress:
    """How far a build is."""

    stage: str
    """"model", "text", "certificate", "memories", "files" or "done"."""
    n_tokens: int = 0
    """Tokens that are done, those of earlier runs included."""
    n_tokens_all: int = 0
    """Tokens there are."""
    n_layers: int = 0
    """Layers whose values are projected."""
    tokens_per_s: float = 0.0
    """Speed of this run so far."""
    remaining_s: float | None = None
    """Estimated seconds left, None before there is an estimate."""
    message: str = ""
    """Anything else worth saying: a worker that was started again, a resumed build."""


Listener = Callable[[Progress], None]


def build_index(
    model: str | Path,
    corpus: str | Path,
    out: str | Path,
    *,
    options: IndexOptions | None = None,
    run: RunOptions | None = None,
    field: str = "text",
    revision: str | None = None,
    progress: Listener | None = None,
) -> Index:
    """Index every feed-forward cell of a model over a corpus, and open the index.

    The same call again resumes a build that was stopped, and opens one that is finished.

    Args:
        model: a Hugging Face id or folder, a ``.gguf`` file, ``smollm2`` or ``minilm``.
        corpus: ``python-docs``, a file, a pattern of files, ``hf:NAME``, or ``-``: see docs/reference/corpora.md.
        out: folder of the index; made if it is not there.
        options: what the index is to contain.
        run: how to go about it.
        field: where the rows of a corpus have fields, the one that holds the text.
        revision: revision of a hub model.
        progress: called now and then with how far it is.

    Raises:
        InputError: unknown model or corpus, an option that does not fit, or another index in ``out``.
        StoreError: ``out`` is in use, damaged, or cannot be written.
        ModelError: the model computes NaN, or a worker dies again and again.

    Cost: memory beside the model is bounded by workers x cells x top and one batch a worker, whatever the corpus.
    """
    folder = Path(out)
    request = Request(str(model), revision, open_corpus(str(corpus), field), options or IndexOptions())
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(folder), torch_threads_kept():
        torch.set_num_threads(request.options.threads)
        Build(StorePaths(folder), request, run or RunOptions(), progress or (lambda _: None)).finish()
    return open_index(folder)


@dataclass(frozen=True)
class Request:
    """What is to be indexed."""

    model: str
    revision: str | None
    corpus: Corpus
    options: IndexOptions


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which the operating system drops if this process dies."""
    lock = filelock.FileLock(StorePaths(folder).lock, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise StoreError(
            f"{folder} is in use by another `ffmem index`",
            "Expected to be the only one who builds there",
            "Wait until it has finished, or choose another folder with --out",
        ) from error
    try:
        yield
    finally:
        lock.release()


class Build:
    """One run of a build, from what earlier runs left."""

    def __init__(self, paths: StorePaths, request: Request, run: RunOptions, listen: Listener) -> None:
        self._paths, self._request, self._run, self._listen = paths, request, run, listen

    def finish(self) -> None:
        """Do all that is left to do."""
        self._listen(Progress("model"))
        options = self._request.options
        check_device(options.device)
        model = load_model(
            self._request.model,
            dtype=options.dtype,
            device=options.device,
            revision=self._request.revision,
            quantize=options.quantize,
        )
        self._settle_corpus()
        identity = identify(model, self._request)
        if self._paths.manifest.exists():
            check_same(self._paths, identity, read_manifest(self._paths.folder)["identity"])
            shutil.rmtree(self._paths.work, ignore_errors=True)  # a run that was stopped while it cleaned up
            self._listen(Progress("done"))
            return
        self._begin(identity)
        log = RunLog(self._paths.work / "run.json", options, self._run)
        with log.stage("text"):
            counts = self._write_text(model)
        with log.stage("certificate"):
            certificate = self._certify(model)
        with log.stage("memories"):
            states = self._scan(model, identity, log)
        self._listen(Progress("files"))
        with log.stage("files"):
            write_index(self._paths, states, accumulator_shape(model, options))
            manifest = describe(model, identity, options) | {"counts": counts, "certificate": certificate}
            log.finish(counts["n_tokens"], self._paths.run)
            write_manifest(self._paths, manifest)
        shutil.rmtree(self._paths.work)
        self._listen(Progress("done"))

    def _settle_corpus(self) -> None:
        """Let a corpus that can be read but once keep itself in the work folder of a new build."""
        job, folder, begun = self._paths.work / "job.json", self._paths.folder, None
        if self._paths.manifest.exists():
            begun = read_manifest(folder)["identity"]["corpus"]
        elif job.exists():
            begun = json.loads(job.read_bytes())["corpus"]
        else:
            self._check_free()
        with disk_errors(self._paths.work):
            self._request.corpus.settle(self._paths.work, begun)

    def _check_free(self) -> None:
        others = sorted(p.name for p in self._paths.folder.iterdir() if p.name not in {"lock", "work"})
        if others:
            raise InputError(
                f"{self._paths.folder} is not empty (it holds {', '.join(others[:3])}) and no index",
                "Expected a new or empty folder, or one with the index to go on with",
                "Choose another folder with --out",
            )

    def _begin(self, identity: dict[str, Any]) -> None:
        """Take the folder, or go on with the build that has it."""
        job = self._paths.work / "job.json"
        if job.exists():
            check_same(self._paths, identity, json.loads(job.read_bytes()))
            self._listen(Progress("model", message="going on with the build that was stopped"))
            return
        with disk_errors(self._paths.work):
            self._paths.work.mkdir(exist_ok=True)  # the corpus may have been there before
        write_json(job, identity)

    def _write_text(self, model: Transformer) -> dict[str, Any]:
        """Sentences and tokens, unless an earlier run has them."""
        done = self._paths.work / "text.json"
        if not done.exists():
            self._listen(Progress("text"))
            folder = self._paths.work / "text"
            shutil.rmtree(folder, ignore_errors=True)
            source = text_source(model, self._request)
            with disk_errors(folder):
                folder.mkdir()
                counts = write_text(folder, source, self._request.options)
            write_json(done, asdict(counts))
        return dict(json.loads(done.read_bytes()))

    def _certify(self, model: Transformer) -> dict[str, Any]:
        done = self._paths.work / "certificate.json"
        if not done.exists():
            self._listen(Progress("certificate"))
            write_json(done, certify(model, self._paths.work / "text", self._request.options))
        return dict(json.loads(done.read_bytes()))

    def _scan(self, model: Transformer, identity: dict[str, Any], log: RunLog) -> list[Path]:
        """Run the model over all shards that no state covers yet; return the states that cover everything."""
        options, work = self._request.options, self._paths.work
        counts = json.loads((work / "text.json").read_bytes())
        starts = map_arrays(work / "text" / "tokens.safetensors")["sentence_start"]
        shards = plan_shards(starts, counts["n_sentences"], options.shard_tokens)
        job = IndexJob(
            folder=work,
            model=self._request.model,
            revision=self._request.revision,
            options=options,
            projection=decide_projection(model, options),
            run_id=secrets.token_hex(4),
            job_hash=hash_of(identity),
            checkpoint_s=float(self._run.checkpoint_s),
        )
        covered = adopt_states(work, job)
        tasks: list[ScanShard | ProjectLayer] = [ScanShard(s) for s in shards if s.shard_id not in covered]
        layers = range(model.facts.n_layers)
        tasks += [ProjectLayer(layer) for layer in layers if not promoted_path(work, layer).exists()]
        meter = Meter(self._listen, shards, covered, log)
        executor = make_executor(options, self._run)
        log.begin(executor, resumed=bool(covered))
        executor.run(job, tasks, meter.hear)
        states = sorted(work.glob(state_path(Path(), job.run_id, 0).name.replace("-0.", "-*.")))
        assert set().union(*(read_covered(path, job.job_hash) or set() for path in states)) == set(range(len(shards)))
        return states


def adopt_states(work: Path, job: IndexJob) -> set[int]:
    """Take over the states of earlier runs under this run's names; return the shards they cover.

    A worker that outlived a killed parent may still put its state under the old run's name; that name is never read
    in this run, and never counted twice in a later one: of states that overlap, only the fuller is taken.
    """
    found = []
    for path in sorted(work.glob("state-*.safetensors")):
        shards = read_covered(path, job.job_hash)
        if shards:
            found.append((shards, path))
        else:
            path.unlink()
    covered: set[int] = set()
    slot = 0
    for shards, path in sorted(found, key=lambda item: (-len(item[0]), min(item[0]))):
        if covered & shards:
            path.unlink()
            continue
        os.replace(path, state_path(work, job.run_id, slot))
        covered |= shards
        slot += 1
    return covered


class Meter:
    """Turns an executor's events into progress."""

    def __init__(self, listen: Listener, shards: list[Any], covered: set[int], log: RunLog) -> None:
        self._listen, self._log = listen, log
        self._all = sum(shard.n_tokens for shard in shards)
        self._earlier = sum(shard.n_tokens for shard in shards if shard.shard_id in covered)
        self._done = 0
        self._started: float | None = None

    def hear(self, event: Event) -> None:
        """Take one event."""
        now = time.monotonic()
        if event.kind == "ready" and self._started is None:
            self._started = now
        if event.kind == "restart":
            self._log.count_restart()
        self._done += event.n_tokens
        self._log.count_tokens(event.n_tokens)
        elapsed = now - self._started if self._started is not None else 0.0
        speed = self._done / elapsed if elapsed > 0 else 0.0
        done = min(self._all, self._earlier + self._done)
        self._listen(
            Progress(
                "memories",
                n_tokens=done,
                n_tokens_all=self._all,
                tokens_per_s=speed,
                remaining_s=(self._all - done) / speed if speed else None,
                message=f"worker {event.slot} died and is started again" if event.kind == "restart" else "",
            )
        )


def make_executor(options: IndexOptions, run: RunOptions) -> Executor:
    """Worker processes of one thread each on a CPU, one process on a GPU; 0 workers: this process."""
    workers = run.workers
    if workers is None:
        n_processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        workers = max(1, n_processors // options.threads) if options.device == "cpu" else 1
    return ProcessExecutor(workers) if workers else InProcessExecutor()


def identify(model: Transformer, request: Request) -> dict[str, Any]:
    """What decides the content of an index; two builds with equal identities are equal."""
    return {
        "ffmem": __version__,
        "format": FORMAT,
        "model": {
            "name": model.facts.name,
            "source": request.model,
            "revision": request.revision,
            "weights_sha256": model.weights_hash(),
            "config_sha256": model.config_hash(),
            "tokenizer_sha256": model.tokenizer_hash(),
        },
        "corpus": request.corpus.identity(),
        "options": request.options.to_json(),
    }


_NOT_COMPARED = {"model.source", "model.name", "corpus.name"}  # the same thing may lie elsewhere


def check_same(paths: StorePaths, asked: dict[str, Any], found: dict[str, Any]) -> None:
    """Refuse to go on with, or open, an index of something else; the message names each difference."""
    left, right = dict(_flat(found)), dict(_flat(asked))
    names = [n for n in right if n not in _NOT_COMPARED and left.get(n) != right[n]]
    if names:
        differences = "; ".join(f"{_readable(n)} is {left.get(n)!r} there and {right[n]!r} here" for n in names)
        raise InputError(
            f"{paths.folder} holds an index of something else: {differences}",
            "Expected the same model, corpus and options as the build that began it",
            "Choose another folder with --out, or give the same arguments to go on with that one",
        )


def _flat(value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, item in value.items():
        if isinstance(item, dict):
            yield from _flat(item, f"{prefix}{name}.")
        else:
            yield prefix + name, item


def _readable(name: str) -> str:
    return "--" + name[8:].replace("_", "-") if name.startswith("options.") else name


def describe(model: Transformer, identity: dict[str, Any], options: IndexOptions) -> dict[str, Any]:
    """All of the manifest that is known before the pass."""
    prefix, suffix = model.special_tokens(options.bos)
    exact = options.device == "cpu" and options.threads == 1
    return {
        "format": FORMAT,
        "identity": identity,
        "model": asdict(model.facts),
        "projection": decide_projection(model, options),
        "layer_projections": [
            model.projection_of(layer, decide_projection(model, options)) for layer in range(model.facts.n_layers)
        ],
        "special_tokens": {"prefix": list(prefix), "suffix": list(suffix)},
        "same_bytes": {
            "holds": exact,
            "processor": processor(),
            "why": f"one thread a worker on a CPU ({processor()}): the same bytes on any machine with this processor"
            if exact
            else f"device {options.device}, {options.threads} threads: another build is equal to rounding only",
        },
    }


def processor() -> str:
    """Name of this machine's processor, as far as it can be had; float results depend on it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def decide_projection(model: Transformer, options: IndexOptions) -> Projection:
    """The projection of values: "auto" is "folded" where there is a final norm to fold, else "raw"."""
    available = model.facts.projections
    if options.projection == "auto":
        return "folded" if "folded" in available else "raw"
    if options.projection not in available:
        raise InputError(
            f"--projection is {options.projection!r}, which {model.facts.name} does not have",
            f"Expected auto or one of: {', '.join(available)}",
            "Leave --projection out",
        )
    return options.projection


def text_source(model: Transformer, request: Request) -> TextSource:
    """What turns the corpus into this model's tokens."""
    tokenizer = copy.deepcopy(model.tokenizer.backend_tokenizer)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    vocabulary = token_bytes(model.tokenizer, model.facts.d_vocab)
    prefix, suffix = model.special_tokens(request.options.bos)
    return TextSource(
        corpus=request.corpus,
        tokenizer=tokenizer,
        byte_lengths=[len(token) for token in vocabulary] if is_byte_level(model.tokenizer) else None,
        vocabulary=[display(token) for token in vocabulary],
        max_tokens=longest_input(model, request.options) - len(prefix) - len(suffix),
    )


def longest_input(model: Transformer, options: IndexOptions) -> int:
    """Most tokens of one input, special tokens included."""
    context = model.facts.max_length
    if options.max_length is not None and context is not None and options.max_length > context:
        raise InputError(
            f"--max-length is {options.max_length}, but the context of {model.facts.name} is {context} tokens",
            f"Expected at most {context}",
            "Leave --max-length out to use the whole context",
        )
    return options.max_length or context or 2**31 - 1


def check_device(device: str) -> None:
    """Refuse a device that is not there."""
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"--device is {device!r}, which cannot be used here: {str(error).splitlines()[0]}",
            f"Expected cpu{' or cuda' if torch.cuda.is_available() else ' (torch sees no GPU on this machine)'}",
            "Write --device cpu",
        ) from error


def hash_of(value: dict[str, Any]) -> str:
    """SHA-256 of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
