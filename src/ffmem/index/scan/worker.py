"""One pass of a model over shards of an index's text: the job that executors run."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors.numpy import save
from torch import Tensor

from ffmem.errors import ModelError
from ffmem.ids import CellSpace
from ffmem.index.machine import device_memory, machine
from ffmem.index.run.executors import Files, FolderFiles, Report
from ffmem.index.scan.batches import Shard
from ffmem.index.scan.promoted import promoted_tokens
from ffmem.index.scan.shard_text import ShardText, Tokens, read_tokens
from ffmem.index.state.accumulator import Accumulator, LayerAccumulator
from ffmem.index.state.layers import Places, Shape
from ffmem.index.state.states import read_account, state_path
from ffmem.index.state.statistics import sums_too_large
from ffmem.models.base import Batching
from ffmem.models.masks import one_text_a_row
from ffmem.models.registry import load_model
from ffmem.models.threads import set_threads
from ffmem.models.transformer import Transformer
from ffmem.options import IndexOptions, format_shards, parse_shards
from ffmem.selection import select
from ffmem.store.facts import Projection


@dataclass(frozen=True)
class ScanShard:
    """Task: run the model over a shard and let its coefficients compete."""

    shard: Shard
    tokens: Tokens | None = None
    """Its text, for a worker that does not have the work folder."""

    @property
    def task_id(self) -> str:
        """Unique among the tasks of a job."""
        return f"shard-{self.shard.shard_id}"

    def describe(self) -> str:
        """For messages."""
        return f"shard {self.shard.shard_id} (sentences {self.shard.first_sentence} to {self.shard.end_sentence - 1})"


@dataclass(frozen=True)
class ProjectLayer:
    """Task: find the tokens that each value of a layer promotes and suppresses."""

    layer: int
    """Its place in the index."""

    @property
    def task_id(self) -> str:
        """Unique among the tasks of a job."""
        return f"values-{self.layer}"

    def describe(self) -> str:
        """For messages."""
        return f"the values of layer {self.layer}"


def promoted_path(folder: Path, layer: int) -> Path:
    """Where the promoted tokens of a layer's values lie while an index is being built; layers by place."""
    return folder / f"promoted-{layer:03}.safetensors"


@dataclass(frozen=True)
class IndexJob:
    """All that a worker needs to know; picklable, and the same for every worker."""

    folder: Path
    """Work folder, with the text of the index in ``text/``."""
    model: str
    """What `load_model` takes."""
    revision: str | None
    """Revision of a hub model."""
    options: IndexOptions
    projection: Projection
    """How values become scores: the options' choice, decided."""
    run_id: str
    """Names the state files of this run."""
    job_hash: str
    """Hash of everything that decides the result; stands in each state file."""
    checkpoint_s: float
    weights: dict[str, str] = field(default_factory=dict)
    """Hashes of the model that is meant, as in an index's identity: see `check`."""
    batching: Batching | None = None
    """How this model must be run, as its proof has found."""
    trust_remote_code: bool = False
    """Whether code that comes with the model may be run."""

    def start(self, slot: int, files: Files | None = None) -> "IndexWorker":
        """A worker that goes on from the state file of this slot, if there is one."""
        options = self.options
        prepare_device(options)
        with device_memory(options.device, "the model and the lists of its cells"):
            model = load_model(
                self.model,
                dtype=options.dtype,
                device=options.device,
                revision=self.revision,
                quantize=options.quantize,
                proved=self.batching is None,
                trust_remote_code=self.trust_remote_code,
                architecture=options.architecture,
            )
            if self.batching is not None:
                model.adopt(self.batching)
            return IndexWorker(self, slot, model, files)

    def covered(self, slot: int) -> set[str]:
        """The shards that the state file of a slot covers, and the layers whose values are projected."""
        account = read_account(state_path(self.folder, self.run_id, slot), self.job_hash)
        shards: Iterable[int] = account.covered if account else ()
        layers = {int(path.stem.rpartition("-")[2]) for path in self.folder.glob("promoted-*.safetensors")}
        return {f"shard-{shard_id}" for shard_id in shards} | {ProjectLayer(layer).task_id for layer in layers}

    def packed(self, task: ScanShard | ProjectLayer) -> ScanShard | ProjectLayer:
        """A shard with its text."""
        if isinstance(task, ProjectLayer):
            return task
        return replace(task, tokens=self.tokens.of(task.shard).copied())

    @cached_property
    def tokens(self) -> Tokens:
        """The text of the work folder."""
        return read_tokens(self.folder / "text")

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "tokens"}

    def leave_out(self, tasks: Sequence[ScanShard | ProjectLayer]) -> str:
        """The option that leaves tasks out, beside what is left out already; "" if there is none for one of them."""
        shards = [task.shard.shard_id for task in tasks if isinstance(task, ScanShard)]
        if len(shards) < len(tasks):
            return ""
        return f"--exclude-shards {format_shards({*shards, *parse_shards(self.options.exclude_shards)})}"

    def check(self, worker: "IndexWorker") -> None:
        """Raise ModelError if a worker's model is not the one that is meant."""
        found = hashes_of(worker.model)
        wrong = [name for name, value in self.weights.items() if found[name] != value]
        if wrong:
            names = ", ".join(name.removesuffix("_sha256") for name in wrong)
            raise ModelError(
                f"the model at {self.model} is a different one there: its {names} differ (SHA-256 {found[wrong[0]][:16]}...)",
                f"Expected {self.weights[wrong[0]][:16]}..., as where the build was begun",
                "Copy the same model to every node, or name its commit with --revision",
            )


class IndexWorker:
    """Holds the model and the cumulative state of one worker."""

    def __init__(self, job: IndexJob, slot: int, model: Transformer, files: Files | None = None) -> None:
        self._job, self.model = job, model
        model.forget_token_check()  # the text was looked through when it was written
        self._files = files or FolderFiles(job.folder)
        self._state_name = state_path(job.folder, job.run_id, slot).name
        self._accumulator = make_accumulator(accumulator_shape(model, job.options), job.options.device)
        self._batch_tokens = job.options.batch_tokens
        self._cells = indexed_cells(model, job.options)
        self._place = {self._cells.whole_place(place): place for place in range(len(self._cells.layers))}
        """From a layer's place in the model to that in the index."""
        self._columns = [
            None if layer.kept is None else torch.tensor(layer.indices, device=model.module.device)
            for layer in self._cells.layers
        ]
        self._layers_done: set[str] = set()
        state = self._files.read(self._state_name)
        if state is not None:
            self._accumulator.load(state)

    def do(self, task: ScanShard | ProjectLayer, report: Report) -> None:
        """Do one task whole."""
        with torch.inference_mode():
            if isinstance(task, ProjectLayer):
                self._project(task.layer, report)
                self._layers_done.add(task.task_id)
            else:
                tokens = task.tokens or self._job.tokens
                self._scan(task.shard, ShardText(tokens, self.model, self._job.options), report)

    def save(self) -> set[str]:
        """Write the state; return the ids of the tasks it covers."""
        if self._accumulator.covered:
            self._files.write(self._state_name, self._accumulator.dump(self._job.job_hash))
        return {f"shard-{shard_id}" for shard_id in self._accumulator.covered} | self._layers_done

    def _scan(self, shard: Shard, text: ShardText, report: Report) -> None:
        while not self._read(shard, text, report):
            self._batch_tokens //= 2
        bad = self._accumulator.first_not_finite()
        if bad is not None:
            raise self._no_room(shard, text, *bad)
        self._accumulator.close_shard(shard.shard_id, machine(self.model.module.device))

    def _read(self, shard: Shard, text: ShardText, report: Report) -> bool:
        """Run the model over a shard; False, and all as before, if the device's memory is too small for its batches."""
        device, n_tokens, batch = self._job.options.device, 0, None
        self._accumulator.begin_shard()
        try:
            for batch in text.batches(shard, self._batch_tokens):
                places = text.places(batch)
                routes = Routes(places, text.width(batch))
                with (
                    one_text_a_row(),
                    self.model.watch_coefficients(
                        partial(self._observe, places), partial(self._observe_expert, routes), layers=self._place
                    ),
                ):
                    self.model.forward(*text.inputs(batch))
                report(batch.n_tokens)
                n_tokens += batch.n_tokens
        except torch.OutOfMemoryError as error:
            n_rows = len(batch.sentence_ids) if batch is not None else 0
            if not self._accumulator.can_roll_back or n_rows < 2:
                longest = batch.max_length if batch is not None else 0
                with device_memory(device, f"a batch of {n_rows} sentences, of at most {longest:,} tokens"):
                    raise error
        else:
            return True
        # here, since the error holds on to what was allocated while it was handled
        torch.cuda.empty_cache()
        self._accumulator.roll_back()
        report(
            -n_tokens,
            f"{device} has too little memory for batches of {self._batch_tokens:,} tokens: this worker goes "
            f"on with {self._batch_tokens // 2:,} (shard {shard.shard_id} is read again)",
        )
        return False

    def _observe(self, places: Places, layer: int, coefficients: Float[Tensor, "batch positions d_ff"]) -> None:
        place = self._place[layer]
        self._accumulator.observe(place, self._indexed(place, coefficients), places)

    def _observe_expert(
        self,
        routes: "Routes",
        layer: int,
        expert: int,
        positions: Int[Tensor, "routed"],
        found: Float[Tensor, "routed d_ff"],
    ) -> None:
        rows, places = routes.of(positions.cpu().numpy())
        if len(places.lengths):
            place = self._place[layer]
            own = self._indexed(place, found)[torch.from_numpy(rows).to(found.device)]
            self._accumulator.observe(place, own, places, expert)

    def _indexed(self, place: int, coefficients: Float[Tensor, "*positions d_ff"]) -> Float[Tensor, "*positions cells"]:
        """The coefficients of those cells of a layer, or expert, that are indexed."""
        columns = self._columns[place]
        return coefficients if columns is None else coefficients.index_select(-1, columns)

    def _project(self, layer: int, report: Report) -> None:
        projection, place, cells = self._job.projection, self._cells.whole_place(layer), self._cells.layers[layer]
        rows = self.model.value_rows(place)
        found = promoted_tokens(
            rows if cells.kept is None else rows[cells.whole_rows],
            self.model.scores(self.model.projection_of(place, projection)),
            self.model.facts.d_vocab,
            self._job.options.promoted,
            lambda n_values: report(0, n_values=n_values),
        )
        arrays = {
            "promoted_ids": found.promoted_ids.cpu().numpy().astype(np.uint32),
            "promoted_scores": found.promoted_scores.cpu().numpy(),
            "suppressed_ids": found.suppressed_ids.cpu().numpy().astype(np.uint32),
            "suppressed_scores": found.suppressed_scores.cpu().numpy(),
        }
        name = promoted_path(self._job.folder, layer).name
        self._files.write(name, save(arrays, metadata={"job": self._job.job_hash}))

    def _no_room(self, shard: Shard, text: ShardText, layer: int, row: int) -> ModelError:
        """Go through the shard again to say where the first NaN or infinity of this cell is, or its largest coefficient."""
        cell = self._cells.cell_id(layer, row)
        place, index = self.model.cells.place(cell)
        largest, where = 0.0, ""
        for batch in text.batches(shard):
            for sentence_id, layers in zip(batch.sentence_ids, text.coefficients(batch), strict=True):
                first = text.first_competing(sentence_id)
                own = np.abs(layers[place][first:, index])
                if not np.isfinite(own).all():
                    at = f"sentence {sentence_id}, position {int((~np.isfinite(own)).argmax()) + first}"
                    return ModelError(
                        f"the coefficient of cell {cell} is not a finite number at {at}",
                        "Expected finite coefficients everywhere",
                        "Use --dtype float32 if the model ran in half precision; otherwise its weights are damaged",
                    )
                if own.max(initial=0.0) > largest:
                    largest, where = float(own.max()), f"sentence {sentence_id}, position {int(own.argmax()) + first}"
        return sums_too_large(cell, f"in size they reach {largest:.3g} at {where}")


def make_accumulator(shape: Shape, device: str) -> Accumulator:
    """Trigger lists and statistics on a device: in compiled loops on a CPU and a CUDA GPU, as tensors elsewhere."""
    if torch.device(device).type == "cuda" and find_spec("triton") is not None:
        from ffmem.index.state.gpu_accumulator import MAX_TOP, GpuAccumulator

        if shape.top <= MAX_TOP:
            return GpuAccumulator(shape, device)
    return LayerAccumulator(shape, device)


def hashes_of(model: Transformer) -> dict[str, str]:
    """What tells a model from others: its weights, its config, its tokenizer; an adapter and code where it has them."""
    return {
        "weights_sha256": model.weights_hash(),
        "config_sha256": model.config_hash(),
        "tokenizer_sha256": model.tokenizer_hash(),
        **model.origin.identity,
    }


def indexed_cells(model: Transformer, options: IndexOptions) -> CellSpace:
    """The cells of a model that an index with these options has."""
    return select(model.cells, options.cells, options.seed)


def accumulator_shape(model: Transformer, options: IndexOptions) -> Shape:
    """Sizes of the accumulator of a model; gated cells keep lists of both signs."""
    return Shape(indexed_cells(model, options).layers, model.facts.n_signs, options.top, options.per_sentence)


class Routes:
    """Which positions of a batch an expert sees, sentence by sentence.

    Args:
        places: the positions of the batch that compete.
        width: positions of the batch, padding and special tokens included.
    """

    def __init__(self, places: Places, width: int) -> None:
        n_rows = len(places.lengths)
        self._token = np.full((n_rows, width), -1, dtype=np.int64)
        for row, length in enumerate(places.lengths.tolist()):
            end = places.first_position + max(length, 0)
            self._token[row, places.first_position : end] = places.tokens[row, : max(length, 0)]
        self._width = width

    def of(self, positions: Int[np.ndarray, "routed"]) -> tuple[Int[np.ndarray, "sentences longest"], Places]:
        """Rows of an expert's coefficients, a row for each sentence that it sees, filled up with row 0; and their places.

        Args:
            positions: the positions of the flattened batch that are routed to the expert, ascending.
        """
        sentences, columns = np.divmod(positions, self._width)
        tokens = self._token[sentences, columns]
        kept = np.flatnonzero(tokens >= 0)
        _, first, lengths = np.unique(sentences[kept], return_index=True, return_counts=True)
        longest = np.argsort(-lengths, kind="stable")
        first, lengths = first[longest], lengths[longest].astype(np.int64)
        offsets = np.arange(lengths.max(initial=0))
        inside = offsets < lengths[:, None]
        rows = (
            np.where(inside, kept[np.where(inside, first[:, None] + offsets, 0)], 0)
            if len(kept)
            else np.empty((0, 0), int)
        )
        return rows, Places(0, lengths, tokens[rows])


def prepare_device(options: IndexOptions) -> None:
    """Set up torch for a pass over many batches, for this process."""
    set_threads(options.threads)
    if torch.device(options.device).type == "cuda":
        # cuDNN makes a plan for each new shape of a batch, 70 ms of the host; hardly two batches of text have one shape.
        torch.backends.cuda.enable_cudnn_sdp(False)
