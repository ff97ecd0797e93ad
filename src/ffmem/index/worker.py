"""One pass of a model over shards of an index's text: the job that executors run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors.numpy import save
from torch import Tensor

from ffmem.errors import ModelError
from ffmem.index.accumulator import Accumulator
from ffmem.index.batches import Batch, Shard, plan_batches
from ffmem.index.executors import state_path
from ffmem.index.files import atomic_write, map_arrays
from ffmem.index.layers import Places, Shape
from ffmem.index.promoted import promoted_tokens
from ffmem.models.base import Projection
from ffmem.models.registry import load_model
from ffmem.models.transformer import Transformer
from ffmem.options import IndexOptions


@dataclass(frozen=True)
class ScanShard:
    """Task: run the model over a shard and let its coefficients compete."""

    shard: Shard

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

    def start(self, slot: int) -> "IndexWorker":
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
        return IndexWorker(self, slot, model)


class IndexWorker:
    """Holds the model and the cumulative state of one worker."""

    def __init__(self, job: IndexJob, slot: int, model: Transformer) -> None:
        self._job, self._model = job, model
        self._path = state_path(job.folder, job.run_id, slot)
        self._text = ShardText(job.folder / "text", model, job.options)
        self._accumulator = Accumulator(accumulator_shape(model, job.options), job.options.device)
        self._layers_done: set[str] = set()
        if self._path.exists():
            self._accumulator.load(self._path)

    def do(self, task: ScanShard | ProjectLayer, report: Callable[[int], None]) -> None:
        """Do one task whole."""
        with torch.inference_mode():
            if isinstance(task, ProjectLayer):
                self._project(task.layer)
                self._layers_done.add(task.task_id)
            else:
                self._scan(task.shard, report)

    def save(self) -> set[str]:
        """Write the state; return the ids of the tasks it covers."""
        if self._accumulator.covered:
            self._accumulator.save(self._path, self._job.job_hash)
        return {f"shard-{shard_id}" for shard_id in self._accumulator.covered} | self._layers_done

    def _scan(self, shard: Shard, report: Callable[[int], None]) -> None:
        for batch in self._text.batches(shard):
            places = self._text.places(batch)
            routes = Routes(places, self._text.width(batch))
            with self._model.watch_coefficients(partial(self._observe, places), partial(self._observe_expert, routes)):
                self._model.forward(*self._text.inputs(batch))
            report(batch.n_tokens)
        bad = self._accumulator.first_not_finite()
        if bad is not None:
            raise self._not_finite(shard, *bad)
        self._accumulator.close_shard(shard.shard_id)

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
            self._model.value_rows(layer),
            self._model.scores(self._model.projection_of(layer, projection)),
            self._model.facts.d_vocab,
            self._job.options.promoted,
        )
        arrays = {
            "promoted_ids": found.promoted_ids.cpu().numpy().astype(np.uint32),
            "promoted_scores": found.promoted_scores.cpu().numpy(),
            "suppressed_ids": found.suppressed_ids.cpu().numpy().astype(np.uint32),
            "suppressed_scores": found.suppressed_scores.cpu().numpy(),
        }
        atomic_write(promoted_path(self._job.folder, layer), save(arrays, metadata={"job": self._job.job_hash}))

    def _not_finite(self, shard: Shard, layer: int, index: int) -> ModelError:
        """Go through the shard again to say where the first NaN or infinity of this cell is."""
        where = "a sentence of this shard"
        cell = self._model.cells.cell_id(layer, index)
        for batch in self._text.batches(shard):
            found = self._text.first_not_finite(batch, layer, index)
            if found is not None:
                where = f"sentence {found[0]}, position {found[1]}"
                break
        return ModelError(
            f"the coefficient of cell {cell} is not a finite number at {where}",
            "Expected finite coefficients everywhere",
            "Use --dtype float32 if the model ran in half precision; otherwise its weights are damaged",
        )


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


@dataclass
class ShardText:
    """The text of shards as model input; reads nothing but the shard asked for."""

    folder: Path
    model: Transformer
    options: IndexOptions
    _arrays: dict[str, np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        self._arrays = map_arrays(self.folder / "tokens.safetensors")
        self._prefix, self._suffix = self.model.special_tokens(self.options.bos)

    def batches(self, shard: Shard) -> Iterator[Batch]:
        """The batches of a shard."""
        starts = self._arrays["sentence_start"][shard.first_sentence : shard.end_sentence + 1].astype(np.int64)
        n_special = len(self._prefix) + len(self._suffix)
        context = self._arrays.get("context")
        if context is not None:
            context = context[shard.first_sentence : shard.end_sentence].astype(np.int64)
        return plan_batches(shard, np.diff(starts), n_special, self.options.batch_tokens, context)

    def width(self, batch: Batch) -> int:
        """Positions of a batch, special tokens included."""
        return len(self._prefix) + batch.max_length + len(self._suffix)

    def inputs(self, batch: Batch) -> tuple[Int[Tensor, "batch positions"], Int[Tensor, "batch positions"] | None]:
        """Token ids padded on the right, and the attention mask where the model needs one.

        A causal model does not: what stands on the right of a token cannot reach it.
        """
        ids = np.full((len(batch.sentence_ids), self.width(batch)), self.model.pad_id, dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, sentence_id in enumerate(batch.sentence_ids):
            start, end = self._arrays["sentence_start"][sentence_id : sentence_id + 2].tolist()
            own = self._arrays["token_id"][start:end]
            sentence = np.concatenate((self._prefix, own, self._suffix))
            ids[row, : len(sentence)] = sentence
            mask[row, : len(sentence)] = 1
        device = self.options.device
        token_ids = torch.from_numpy(ids).to(device)
        return token_ids, None if self.model.facts.causal else torch.from_numpy(mask).to(device)

    def places(self, batch: Batch) -> Places:
        """Which positions of a batch compete: the sentences' own tokens after the first few."""
        skip = self.first_competing(batch.sentence_ids[0])  # the same for all
        lengths = np.repeat([run.length for run in batch.runs], [run.stop - run.start for run in batch.runs])
        starts = self._arrays["sentence_start"][np.array(batch.sentence_ids)].astype(np.int64)
        tokens = (starts + skip)[:, None] + np.arange(max(batch.max_length - skip, 0))
        return Places(len(self._prefix) + skip, lengths - skip, tokens)

    def first_competing(self, sentence_id: int) -> int:
        """The first position of a sentence that competes."""
        context = self._arrays.get("context")
        return max(self.options.skip_first, 0 if context is None else int(context[sentence_id]))

    def coefficients(self, batch: Batch) -> list[list[np.ndarray]]:
        """Coefficients of every layer at the sentences' own positions: [row][layer] -> (own tokens, d_ff), float32."""
        layers: list[np.ndarray] = []
        with (
            torch.inference_mode(),
            self.model.watch_coefficients(lambda _layer, m: layers.append(m.float().cpu().numpy().copy())),
        ):
            self.model.forward(*self.inputs(batch))
        first = len(self._prefix)
        return [
            [layer[row, first : first + run.length] for layer in layers]
            for run in batch.runs
            for row in range(run.start, run.stop)
        ]

    def first_not_finite(self, batch: Batch, layer: int, index: int) -> tuple[int, int] | None:
        """(sentence id, position) of the first coefficient of a cell that is NaN or infinite in this batch."""
        for sentence_id, layers in zip(batch.sentence_ids, self.coefficients(batch), strict=True):
            skip = self.first_competing(sentence_id)
            bad = ~np.isfinite(layers[layer][skip:, index])
            if bad.any():
                return sentence_id, int(bad.argmax()) + skip
        return None


@contextmanager
def torch_threads_kept() -> Iterator[None]:
    """Put torch's number of threads back afterwards."""
    n_threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
