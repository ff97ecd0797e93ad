"""A worker of a build: runs the model over shards, lets coefficients compete, projects values."""

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from safetensors.numpy import save
from torch import Tensor

from ffmem.errors import ModelError
from ffmem.index.identity import indexed_cells
from ffmem.index.machine import device_memory, machine
from ffmem.index.run.job import Files, FolderFiles, Report
from ffmem.index.scan.accumulators import accumulator_shape, devices_of, make_accumulator
from ffmem.index.scan.batches import Batch, Shard
from ffmem.index.scan.promoted import promoted_tokens, scorer
from ffmem.index.scan.routes import Routes
from ffmem.index.scan.shard_text import ShardText
from ffmem.index.scan.tasks import ProjectLayer, ScanShard, promoted_path
from ffmem.index.scan.waves import Now, Waves
from ffmem.index.state.states import state_path
from ffmem.index.state.statistics import sums_too_large
from ffmem.models.base import Batching
from ffmem.models.masks import one_text_a_row
from ffmem.models.transformer import Transformer
from ffmem.options import IndexOptions
from ffmem.store.facts import Projection


@dataclass(frozen=True)
class ScanOptions:
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
    active_sentences: bool = True
    """Whether states have them: see `Shape`."""
    weights: dict[str, str] = field(default_factory=dict)
    """Hashes of the model that is meant, as in an index's identity: see `IndexJob.check`."""
    batching: Batching | None = None
    """How this model must be run, as its proof has found."""
    trust_remote_code: bool = False
    """Whether code that comes with the model may be run."""
    model_memory: int | None = None
    """Most bytes of the weights in each worker; None: they are held whole."""
    in_step: bool | None = None
    """Whether batches may go through a streamed model side by side; None: each worker tries."""

    device_map: str | None = None
    """How the model is spread: see `RunOptions`."""
    loaded: Transformer | None = None
    """The model, for workers in the process that has loaded it; it is not pickled."""

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"loaded": None}


class IndexWorker:
    """Holds the model and the cumulative state of one worker."""

    def __init__(self, job: ScanOptions, slot: int, model: Transformer, files: Files | None = None) -> None:
        self._job, self.model = job, model
        model.forget_token_check()  # the text was looked through when it was written
        self._waves = Waves(model, job.in_step)
        self._now = Now()
        self._files = files or FolderFiles(job.folder)
        self._state_name = state_path(job.folder, job.run_id, slot).name
        self._devices = devices_of(model, job.options)
        self._accumulator = make_accumulator(
            accumulator_shape(model, job.options, job.active_sentences), job.options.device, self._devices
        )
        self._batch_tokens = job.options.batch_tokens
        self._cells = indexed_cells(model, job.options)
        self._place = {self._cells.whole_place(place): place for place in range(len(self._cells.layers))}
        """From a layer's place in the model to that in the index."""
        self._columns = [
            None if layer.kept is None else torch.tensor(layer.indices, device=device)
            for layer, device in zip(self._cells.layers, self._devices, strict=True)
        ]
        self._layers_done: set[str] = set()
        self._scorer = lru_cache(maxsize=1)(lambda projection: scorer(model.scores(projection), self._cells.n_cells))
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
                self._scorer.cache_clear()
                assert task.tokens is not None
                self._scan(task.shard, ShardText(task.tokens, self.model, self._job.options), report)

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
        self._accumulator.close_shard(shard.shard_id, machine(*self.model.devices))

    def _read(self, shard: Shard, text: ShardText, report: Report) -> bool:
        """Run the model over a shard; False, and all as before, if the device's memory is too small for its batches."""
        options, n_tokens = self._job.options, 0
        wave: list[Batch] = []
        device = options.device
        self._accumulator.begin_shard()

        def read(batch: Batch) -> None:
            self._now.places = text.places(batch)
            self._now.routes = Routes(self._now.places, text.width(batch))
            self.model.forward(*text.inputs(batch))

        def ended(batch: Batch) -> None:
            nonlocal n_tokens
            report(batch.n_tokens)
            n_tokens += batch.n_tokens

        watch = self.model.watch_gated_coefficients if options.quadrants else self.model.watch_coefficients
        try:
            for wave in self._waves.of(text.batches(shard, self._batch_tokens), text.width):
                with one_text_a_row(), watch(self._observe, self._observe_expert, layers=self._place):
                    self._waves.run(wave, read, ended)
        except torch.OutOfMemoryError as error:
            n_rows = max((len(batch.sentence_ids) for batch in wave), default=0)
            if not self._accumulator.can_roll_back or n_rows < 2:
                longest = max((batch.max_length for batch in wave), default=0)
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

    def _observe(
        self,
        layer: int,
        coefficients: Float[Tensor, "batch positions d_ff"],
        open_gates: Bool[Tensor, "batch positions d_ff"] | None = None,
    ) -> None:
        place = self._place[layer]
        gates = None if open_gates is None else self._indexed(place, open_gates)
        self._accumulator.observe(place, self._indexed(place, coefficients), self._now.places, open_gates=gates)

    def _observe_expert(
        self,
        layer: int,
        expert: int,
        positions: Int[Tensor, "routed"],
        coefficients: Float[Tensor, "routed d_ff"],
        open_gates: Bool[Tensor, "routed d_ff"] | None = None,
    ) -> None:
        rows, places = self._now.routes.of(positions.cpu().numpy())
        if len(places.lengths):
            place, at = self._place[layer], torch.from_numpy(rows).to(coefficients.device)
            gates = None if open_gates is None else self._indexed(place, open_gates)[at]
            self._accumulator.observe(place, self._indexed(place, coefficients)[at], places, expert, gates)

    def _indexed(self, place: int, found: Shaped[Tensor, "*positions d_ff"]) -> Shaped[Tensor, "*positions cells"]:
        """What was found of those cells of a layer, or expert, that are indexed."""
        columns = self._columns[place]
        return found if columns is None else found.index_select(-1, columns)

    def _project(self, layer: int, report: Report) -> None:
        projection, place, cells = self._job.projection, self._cells.whole_place(layer), self._cells.layers[layer]
        rows = self.model.value_rows(place)
        rows = rows if cells.kept is None else rows[cells.whole_rows]
        found = promoted_tokens(
            rows,
            self._scorer(self.model.projection_of(place, projection)),
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
        if self.model.facts.labels:
            matrix = self.model.unembedding.label_matrix.to(rows.device)
            arrays["label_scores"] = (rows @ matrix.T).cpu().numpy()
        name = promoted_path(self._job.folder, layer).name
        self._files.write(name, save(arrays, metadata={"job": self._job.job_hash}))

    def _no_room(self, shard: Shard, text: ShardText, layer: int, row: int) -> ModelError:
        """Go through the shard again to say where the first NaN or infinity of this cell is, or its largest coefficient."""
        cell = self._cells.cell_id(layer, row)
        place, index = self.model.all_cells.place(cell)
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
