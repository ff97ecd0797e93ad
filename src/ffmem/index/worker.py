"""One pass of a model over shards of an index's text: the job that executors run."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors.numpy import save
from torch import Tensor

from ffmem.errors import ModelError
from ffmem.index.accumulator import Accumulator
from ffmem.index.batches import Shard
from ffmem.index.executors import Files, FolderFiles, Report, state_path
from ffmem.index.layers import Places, Shape
from ffmem.index.machine import machine
from ffmem.index.promoted import promoted_tokens
from ffmem.index.shard_text import ShardText, Tokens, read_tokens
from ffmem.index.states import read_account
from ffmem.models.base import Projection
from ffmem.models.registry import load_model
from ffmem.models.transformer import Transformer
from ffmem.options import IndexOptions, format_shards, parse_shards


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

    def start(self, slot: int, files: Files | None = None) -> "IndexWorker":
        """A worker that goes on from the state file of this slot, if there is one."""
        torch.set_num_threads(self.options.threads)
        options = self.options
        model = load_model(
            self.model,
            dtype=options.dtype,
            device=options.device,
            revision=self.revision,
            quantize=options.quantize,
        )
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
                f"the model at {self.model} is another one there: its {names} differ (SHA-256 {found[wrong[0]][:16]}...)",
                f"Expected {self.weights[wrong[0]][:16]}..., as where the build was begun",
                "Copy the same model to every node, or name its commit with --revision",
            )


class IndexWorker:
    """Holds the model and the cumulative state of one worker."""

    def __init__(self, job: IndexJob, slot: int, model: Transformer, files: Files | None = None) -> None:
        self._job, self.model = job, model
        self._files = files or FolderFiles(job.folder)
        self._state_name = state_path(job.folder, job.run_id, slot).name
        self._accumulator = Accumulator(accumulator_shape(model, job.options), job.options.device)
        self._layers_done: set[str] = set()
        state = self._files.read(self._state_name)
        if state is not None:
            self._accumulator.load(state)

    def do(self, task: ScanShard | ProjectLayer, report: Report) -> None:
        """Do one task whole."""
        with torch.inference_mode():
            if isinstance(task, ProjectLayer):
                self._project(task.layer)
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
        for batch in text.batches(shard):
            places = text.places(batch)
            routes = Routes(places, text.width(batch))
            with self.model.watch_coefficients(partial(self._observe, places), partial(self._observe_expert, routes)):
                self.model.forward(*text.inputs(batch))
            report(batch.n_tokens)
        bad = self._accumulator.first_not_finite()
        if bad is not None:
            raise self._not_finite(shard, text, *bad)
        self._accumulator.close_shard(shard.shard_id, machine(self.model.module.device))

    def _observe(self, places: Places, layer: int, coefficients: Float[Tensor, "batch positions d_ff"]) -> None:
        self._accumulator.observe(layer, coefficients, places)

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
            self._accumulator.observe(layer, found[torch.from_numpy(rows).to(found.device)], places, expert)

    def _project(self, layer: int) -> None:
        projection = self._job.projection
        found = promoted_tokens(
            self.model.value_rows(layer),
            self.model.scores(self.model.projection_of(layer, projection)),
            self.model.facts.d_vocab,
            self._job.options.promoted,
        )
        arrays = {
            "promoted_ids": found.promoted_ids.cpu().numpy().astype(np.uint32),
            "promoted_scores": found.promoted_scores.cpu().numpy(),
            "suppressed_ids": found.suppressed_ids.cpu().numpy().astype(np.uint32),
            "suppressed_scores": found.suppressed_scores.cpu().numpy(),
        }
        name = promoted_path(self._job.folder, layer).name
        self._files.write(name, save(arrays, metadata={"job": self._job.job_hash}))

    def _not_finite(self, shard: Shard, text: ShardText, layer: int, index: int) -> ModelError:
        """Go through the shard again to say where the first NaN or infinity of this cell is."""
        where = "a sentence of this shard"
        cell = self.model.cells.cell_id(layer, index)
        for batch in text.batches(shard):
            found = text.first_not_finite(batch, layer, index)
            if found is not None:
                where = f"sentence {found[0]}, position {found[1]}"
                break
        return ModelError(
            f"the coefficient of cell {cell} is not a finite number at {where}",
            "Expected finite coefficients everywhere",
            "Use --dtype float32 if the model ran in half precision; otherwise its weights are damaged",
        )


def hashes_of(model: Transformer) -> dict[str, str]:
    """What tells a model from others: its weights, its config, its tokenizer."""
    return {
        "weights_sha256": model.weights_hash(),
        "config_sha256": model.config_hash(),
        "tokenizer_sha256": model.tokenizer_hash(),
    }


def accumulator_shape(model: Transformer, options: IndexOptions) -> Shape:
    """Sizes of the accumulator of a model; gated cells keep lists of both signs."""
    n_signs = 2 if model.facts.gated else 1
    return Shape(model.facts.layers, n_signs, options.top, options.per_sentence)


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


@contextmanager
def torch_threads_kept() -> Iterator[None]:
    """Put torch's number of threads back afterwards."""
    n_threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
