"""What a user may choose when building an index: the same definitions make the command line, the manifest and the docs.

:class:`IndexOptions` decides what the index contains and stands in its manifest; :class:`RunOptions` may change from
one run to the next without changing a byte of the result.
"""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from ffmem.device_maps import parse_device_map
from ffmem.dictionaries import Attachment, parse_attachments
from ffmem.errors import InputError
from ffmem.json_values import JsonObject
from ffmem.selection import parse_selection
from ffmem.sizes import parse_size

PerSentence = Literal["1", "all"]
Bos = Literal["auto", "yes", "no"]
Duplicates = Literal["once", "keep"]
LongSentences = Literal["window", "refuse"]
Dtype = Literal["float32", "bfloat16", "float16"]
ExecutorChoice = Literal["local", "ray"]
Quantize = Literal["no", "8bit", "4bit"]
MAX_THREADS = 1024
"""Far more, and the process dies when its threads are begun."""
MAX_SAMPLE = 1000
"""Positions of a stratum: the lists of a sample are short, and kept in order."""
ProjectionChoice = Literal["auto", "raw", "final-norm", "folded", "adaptive"]


@dataclass(frozen=True)
class IndexOptions:
    """Options that decide what an index contains. Two builds with equal options, model and corpus are equal."""

    cells: str | None = None
    """Index these cells only, by default all: layers ("L3", "L0-L5"), cells ("L9.2997", "L9.0-511"), a share of each layer
    drawn with --seed ("1%") or of some ("L0-L5:1%"), a collection ("@DIR/collections/NAME.json", with --extend "@NAME");
    several with commas between."""
    top: int = 50
    """Trigger examples kept for each cell and sign."""
    per_sentence: PerSentence = "1"
    """"1": a sentence gives a cell at most its best prefix (the official code's rule); "all": every prefix competes."""
    quadrants: bool = False
    """Of gated cells, keep triggers and statistics also for each quadrant: gate above or below 0, up branch above or below
    0. Positions whose coefficient is 0 are in none. On a CPU only."""
    sample: int = 0
    """Positions kept of each stratum of a cell's coefficients, from its strongest down to silence: drawn at random, and with
    true counts. 0: none; names want 24. Each takes 8 bytes."""
    sample_seed: int = 0
    """Seed of that draw."""
    split: str = "sentences"
    """How documents are cut: "sentences", "lines", or "windows:N[:STRIDE]" of N tokens, begun every STRIDE (or N) tokens."""
    bos: Bos = "auto"
    """Special tokens at a sentence: "auto" as the tokenizer does by itself, "yes" a BOS before it, "no" none."""
    skip_first: int = 0
    """Positions at the start of each sentence that never compete nor count (attention sinks)."""
    duplicates: Duplicates = "once"
    """"once": exactly equal sentences are indexed once, with their count; "keep": each stands for itself (the paper)."""
    holdout: float = 0.05
    """Share of documents set aside by the hash of their text: stored, never indexed."""
    max_sentences: int | None = None
    """Stop after this many indexed sentences, in corpus order."""
    max_tokens: int | None = None
    """Stop before the indexed sentences have more tokens than this."""
    long_sentences: LongSentences = "window"
    """A sentence longer than the context: "window" cuts it into pieces that fit (counted), "refuse" is an error."""
    max_length: int | None = None
    """Longest input in tokens, special tokens included; by default the model's own context."""
    projection: ProjectionChoice = "auto"
    """How values become scores over the vocabulary; "auto": "adaptive" for an adaptive softmax, "folded" if there
    is a final norm to fold, else "raw"."""
    promoted: int = 50
    """Tokens kept at each end of a value's scores."""
    dtype: Dtype = "float32"
    """Number type of the model's forward pass; statistics and scores are always float32 or better."""
    quantize: Quantize = "no"
    """How plain weights are kept: "no" as they are, "8bit" or "4bit" packed by bitsandbytes (extra quantized)."""
    architecture: str | None = None
    """The class of transformers to load the model with, such as "LlamaForCausalLM", regardless of its config; for a model that
    brings code of its own, instead of that code."""
    device: str = "cpu"
    """Where the model runs: "cpu", "cuda", "cuda:1", ..."""
    threads: int = 1
    """Threads of each worker; with more than 1 the index is equal to rounding only, and its manifest says so."""
    batch_tokens: int = 0
    """Most tokens, padding included, of one forward pass; 0: 1,024 on a CPU, 65,536 elsewhere. A GPU whose memory is too
    small for it continues with half of it, and says so."""
    shard_tokens: int = 0
    """About how many tokens are handed to a worker at a time; sentences of similar length share a batch within it. 0:
    8,192 on a CPU, 524,288 elsewhere."""
    seed: int = 0
    """Seed of everything drawn: which documents are held out, which triggers are checked, which cells a share has."""
    dictionary: tuple[str, ...] = ()
    """A transcoder or sparse autoencoder whose entries are indexed beside a layer as cells: L9=NAME:FOLDER, or
    L9=NAME@PLACE:FOLDER where the folder does not say what it reads. May be given several times."""
    patch: tuple[str, ...] = ()
    """A file that `ffmem edit` wrote: the model is read with the values that it gives. May be given several times, in the order
    in which they were made."""
    exclude_shards: str | None = None
    """Shards to leave out, such as "3,17", since they fail again and again: their sentences are stored, but neither compete
    nor count. An unfinished build may be resumed with others."""

    def __post_init__(self) -> None:
        _check_choices(self)
        parse_split(self.split)
        on_cpu = self.device == "cpu"
        for name, of_cpu, of_others in (("batch_tokens", 1024, 65_536), ("shard_tokens", 8192, 524_288)):
            if getattr(self, name) == 0:  # what is chosen is told: it decides which sentences share a batch
                object.__setattr__(self, name, of_cpu if on_cpu else of_others)
        if self.cells is not None:
            parse_selection(self.cells)
        # absolute, since workers and later readers may run elsewhere
        told = [replace(one, path=one.path.expanduser().absolute()) for one in parse_attachments(self.dictionary)]
        object.__setattr__(self, "dictionary", tuple(map(str, told)))
        object.__setattr__(self, "patch", absolute_files(self.patch))
        for name, low in (
            ("top", 1),
            ("promoted", 1),
            ("batch_tokens", 1),
            ("shard_tokens", 1),
            ("skip_first", 0),
            ("seed", 0),
            ("sample", 0),
            ("sample_seed", 0),
        ):
            _check_at_least(name, getattr(self, name), low)
        self._check_sample()
        check_threads(self.threads)
        for name, low in (("max_sentences", 1), ("max_tokens", 1), ("max_length", 2)):
            if getattr(self, name) is not None:
                _check_at_least(name, getattr(self, name), low)
        object.__setattr__(
            self, "exclude_shards", format_shards(parse_shards(self.exclude_shards))
        )  # one way to write it
        for name in ("seed", "sample_seed"):
            if getattr(self, name) >= 2**64:
                raise InputError(
                    f"{_flag(name)} is {getattr(self, name)}", "Expected a number below 2^64", f"Write {_flag(name)} 0"
                )
        if self.quadrants and not on_cpu:
            raise InputError(
                f"--quadrants is given with --device {self.device}",
                "Expected --device cpu: quadrants are counted by loops for a CPU",
                "Write --device cpu, or leave --quadrants out",
            )
        if not 0 <= self.holdout < 1:
            raise InputError(
                f"{_flag('holdout')} is {self.holdout}",
                "Expected a share from 0 up to, but not including, 1",
                "Write --holdout 0.05 for one document in twenty, --holdout 0 for none",
            )

    def _check_sample(self) -> None:
        if self.sample > MAX_SAMPLE:
            raise InputError(
                f"--sample is {self.sample}",
                f"Expected at most {MAX_SAMPLE:,} positions of a stratum, 0 for no sample",
                "Write --sample 24",
            )
        if self.sample_seed and not self.sample:
            raise InputError(
                f"--sample-seed is {self.sample_seed}, and there is no sample",
                "Expected it only with --sample",
                "Write --sample 24, or leave --sample-seed out",
            )

    def to_json(self) -> JsonObject:
        """The options as plain JSON values, in the order of definition; those of special cases only where they are given."""
        rare: JsonObject = {
            "cells": None,
            "architecture": None,
            "quadrants": False,
            "dictionary": [],
            "patch": [],
            "sample": 0,
            "sample_seed": 0,
        }
        values = asdict(self) | {"dictionary": list(self.dictionary), "patch": list(self.patch)}
        return {name: value for name, value in values.items() if name not in rare or value != rare[name]}

    @property
    def attachments(self) -> tuple[Attachment, ...]:
        """The dictionaries that are indexed."""
        return parse_attachments(self.dictionary)


@dataclass(frozen=True)
class RunOptions:
    """Options that may differ from one run to the next; they never change what the index contains."""

    workers: int | None = None
    """Worker processes; by default one for each processor on a CPU, one on a GPU. One works in this process, with the model
    that is loaded, while nothing goes wrong; 0 always. On a cluster, by default as many as it has free resources for."""
    text_processes: int | None = None
    """Processes that split and tokenize a long corpus beside the one that writes the text; by default one less than there are
    processors, 8 at most, and none where there are fewer than 4 or where --workers 0 asks for one process."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model, where its config asks for that. Its hash stands in the manifest."""
    model_memory: str | None = None
    """Most memory that weights of the model may take on the device, such as "8GB", in each worker; a larger model is
    streamed, layer by layer, with the same results. None: the model is held whole."""
    device_map: str | None = None
    """Spread the model over devices of the kind of --device: "auto", or the most memory that its weights may take on each,
    such as "0=60GB,1=60GB,cpu=100GB" (GPUs by their numbers). What fits none is read from the disk in every forward pass."""
    checkpoint_s: float = 60.0
    """Seconds between two checkpoints of a worker."""
    executor: ExecutorChoice = "local"
    """Where workers run: "local" on this machine, "ray" on the nodes of a Ray cluster."""
    address: str = "auto"
    """Of the Ray cluster: HOST:PORT of its head; "local": one of this machine alone, made for this run; "auto": that of
    RAY_ADDRESS, else one that runs on this machine, else "local"."""
    gpus_per_worker: float | None = None
    """GPUs of a worker on a Ray cluster, also parts of one; by default 1 if --device is cuda, else none."""
    shared: bool | None = None
    """Whether all nodes of a Ray cluster have --out: then checkpoints are written there, else they travel through the
    cluster. By default each worker looks."""

    def __post_init__(self) -> None:
        _check_choices(self)
        if self.workers is not None:
            _check_at_least("workers", self.workers, 1 if self.executor == "ray" else 0)
        if self.text_processes is not None:
            _check_at_least("text_processes", self.text_processes, 0)
        gpus = self.gpus_per_worker
        if gpus is not None and not (0 <= gpus <= 1 or (1 < gpus < 1000 and gpus == int(gpus))):
            raise InputError(
                f"{_flag('gpus_per_worker')} is {gpus}",
                "Expected a part of one GPU, or a whole number of them",
                "Write --gpus-per-worker 1, or 0.5 for two workers on each",
            )
        if self.executor == "local":
            for name, default in (("address", "auto"), ("gpus_per_worker", None), ("shared", None)):
                if getattr(self, name) != default:
                    raise InputError(
                        f"{_flag(name)} is given, but the workers run on this machine",
                        "Expected it only for a Ray cluster",
                        f"Write --executor ray, or leave {_flag(name)} out",
                    )
        if self.model_memory is not None:
            parse_size(self.model_memory, "--model-memory")
        if self.device_map is not None:
            parse_device_map(self.device_map)
            if self.model_memory is not None:
                raise InputError(
                    "--device-map and --model-memory are both given",
                    "Expected one: a model is spread over devices, or brought to one layer by layer",
                    "Leave one of them out; --model-memory is faster where the model is larger than all devices together",
                )
        if not self.checkpoint_s >= 0:
            raise InputError(
                f"{_flag('checkpoint_s')} is {self.checkpoint_s}",
                "Expected seconds, 0 or more",
                "Write --checkpoint-s 60",
            )

    @property
    def model_bytes(self) -> int | None:
        """The bytes of `model_memory`."""
        return None if self.model_memory is None else parse_size(self.model_memory, "--model-memory")


@dataclass(frozen=True)
class Windows:
    """Documents in pieces of equal length."""

    size: int
    """Tokens of a window."""
    stride: int
    """Tokens from the beginning of a window to that of the next."""


def parse_split(split: str) -> Windows | None:
    """The windows that the option ``split`` asks for; None for "sentences" and "lines".

    Raises:
        InputError: it is none of its forms.
    """
    if split in ("sentences", "lines"):
        return None
    form = re.fullmatch(r"windows:([1-9][0-9]{0,8})(?::([1-9][0-9]{0,8}))?", split) if isinstance(split, str) else None
    if form is None:
        raise InputError(
            f"--split is {split!r}",
            "Expected sentences, lines, windows:N or windows:N:STRIDE, with whole numbers of at least 1",
            "Write --split sentences, or for example --split windows:512:256",
        )
    size, stride = int(form[1]), int(form[2] or form[1])
    if stride > size:
        raise InputError(
            f"--split is {split!r}, which would leave out {stride - size:,} tokens between two windows",
            f"Expected a stride of at most {size:,}, the length of a window",
            f"Write --split windows:{size}",
        )
    return Windows(size, stride)


def parse_shards(shards: str | None) -> frozenset[int]:
    """The shards that the option ``exclude_shards`` names.

    Raises:
        InputError: it is no list of numbers.
    """
    if shards is None:
        return frozenset()
    if not isinstance(shards, str) or not re.fullmatch(r"[0-9]{1,12}(,[0-9]{1,12})*", shards):
        raise InputError(
            f"--exclude-shards is {shards!r}",
            "Expected numbers of shards with commas between them, without spaces",
            "Write for example --exclude-shards 3,17",
        )
    return frozenset(map(int, shards.split(",")))


def format_shards(shards: Iterable[int]) -> str | None:
    """What `parse_shards` reads: ascending; None for no shards."""
    return ",".join(map(str, sorted(shards))) or None


def absolute_files(files: Iterable[str]) -> tuple[str, ...]:
    """Paths of files as others may read them who run elsewhere."""
    return tuple(str(Path(one).expanduser().absolute()) for one in files)


def check_threads(threads: int) -> None:
    """Refuse what is no number of threads, or more than torch can begin.

    Raises:
        InputError: it is not a whole number from 1 to `MAX_THREADS`.
    """
    _check_at_least("threads", threads, 1)
    if threads > MAX_THREADS:
        raise InputError(
            f"--threads is {threads}",
            f"Expected at most {MAX_THREADS}; more threads than processors gain nothing",
            "Write --threads 1",
        )


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _check_choices(options: Any) -> None:
    for field in fields(options):
        choices = get_args(field.type)
        if choices and all(isinstance(choice, str) for choice in choices):
            value = getattr(options, field.name)
            if value not in choices:
                raise InputError(
                    f"{_flag(field.name)} is {value!r}",
                    f"Expected one of: {', '.join(choices)}",
                    f"Write {_flag(field.name)} {choices[0]}",
                )


def _check_at_least(name: str, value: int, low: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise InputError(
            f"{_flag(name)} is {value!r}",
            f"Expected a whole number of at least {low}",
            f"Write {_flag(name)} {max(low, 1)}",
        )
