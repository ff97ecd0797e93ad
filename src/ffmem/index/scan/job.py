"""One pass of a model over shards of an index's text: the job that executors run."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import torch

from ffmem.errors import ModelError
from ffmem.index.identity import hashes_of
from ffmem.index.machine import device_memory
from ffmem.index.run.job import Files
from ffmem.index.scan.shard_text import read_tokens, read_written
from ffmem.index.scan.tasks import ProjectLayer, ScanShard
from ffmem.index.scan.worker import IndexWorker, ScanOptions
from ffmem.index.state.states import read_account, state_path
from ffmem.index.text.token_spool import tokens_path, writing_folder
from ffmem.models.attached import attach
from ffmem.models.registry import load_model
from ffmem.models.threads import set_threads
from ffmem.models.transformer import Transformer
from ffmem.options import IndexOptions, format_shards, parse_shards


@dataclass(frozen=True)
class IndexJob(ScanOptions):
    """Starts workers, and knows what their state files cover."""

    def start(self, slot: int, files: Files | None = None) -> IndexWorker:
        """A worker that goes on from the state file of this slot, if there is one."""
        model = self.load(proved=self.batching is None) if self.loaded is None else self.loaded
        prepare_device(self.options)
        with device_memory(self.options.device, "the lists of the model's cells"):
            if self.batching is not None:
                model.adopt(self.batching)
            return IndexWorker(self, slot, model, files)

    def load(self, proved: bool = False) -> Transformer:
        """The model; not proved, it is to be run as a proof elsewhere says."""
        options = self.options
        prepare_device(options)
        with device_memory(options.device, "the model"):
            model = load_model(
                self.model,
                dtype=options.dtype,
                device=options.device,
                revision=self.revision,
                quantize=options.quantize,
                proved=proved,
                trust_remote_code=self.trust_remote_code,
                architecture=options.architecture,
                patches=options.patch,
                model_memory=self.model_memory,
                device_map=self.device_map,
            )
            attach(model, options.attachments)
        return model

    def load_nothing(self) -> None:
        """Stands for `load` where there is no room yet: to get here a process has imported all that a worker needs."""

    def with_loaded(self, loaded: Transformer | None) -> "IndexJob":
        """See Job.with_loaded."""
        return replace(self, loaded=loaded)

    def release(self) -> None:
        """See Job.release; a device that has failed gives nothing back."""
        if self.loaded is not None:
            with suppress(RuntimeError):
                self.loaded.release()

    def covered(self, slot: int) -> set[str]:
        """The shards that the state file of a slot covers, and the layers whose values are projected."""
        account = read_account(state_path(self.folder, self.run_id, slot), self.job_hash)
        shards: Iterable[int] = account.covered if account else ()
        layers = {int(path.stem.rpartition("-")[2]) for path in self.folder.glob("promoted-*.safetensors")}
        return {f"shard-{shard_id}" for shard_id in shards} | {ProjectLayer(layer).task_id for layer in layers}

    def packed(self, task: ScanShard | ProjectLayer) -> ScanShard | ProjectLayer:
        """A shard with its text, which may be whole by now or still be written."""
        if isinstance(task, ProjectLayer):
            return task
        shard, writing = task.shard, writing_folder(self.folder, self.run_id)
        n_sentences = shard.end_sentence - shard.first_sentence
        whole = next((one for one in (self.folder / "text", writing) if tokens_path(one).exists()), None)
        if whole is None:
            tokens = read_written(writing, shard.first_sentence, n_sentences, task.first_token)
            if tokens is not None:
                return replace(task, tokens=tokens)
        return replace(task, tokens=read_tokens(whole or writing).of(shard).copied())

    def leave_out(self, tasks: Sequence[ScanShard | ProjectLayer]) -> str:
        """The option that leaves tasks out, beside what is left out already; "" if there is none for one of them."""
        shards = [task.shard.shard_id for task in tasks if isinstance(task, ScanShard)]
        if len(shards) < len(tasks):
            return ""
        return f"--exclude-shards {format_shards({*shards, *parse_shards(self.options.exclude_shards)})}"

    def check(self, worker: IndexWorker) -> None:
        """Raise ModelError if a worker's model is not the one that is meant."""
        hashes = hashes_of(worker.model)
        wrong = [name for name, value in self.weights.items() if hashes[name] != value]
        if wrong:
            names = ", ".join(name.removesuffix("_sha256") for name in wrong)
            raise ModelError(
                f"the model at {self.model} is a different one there: its {names} differ (SHA-256 {hashes[wrong[0]][:16]}...)",
                f"Expected {self.weights[wrong[0]][:16]}..., as where the build was begun",
                "Copy the same model to every node, or name its commit with --revision",
            )


@contextmanager
def attention_as_before() -> Iterator[None]:
    """Put back what `prepare_device` changes for the whole process."""
    before = torch.backends.cuda.cudnn_sdp_enabled()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)


def prepare_device(options: IndexOptions) -> None:
    """Set up torch for a pass over many batches, for this process."""
    set_threads(options.threads)
    if torch.device(options.device).type == "cuda":
        # cuDNN makes a plan for each new shape of a batch, 70 ms of the host; hardly two batches of text have one shape.
        torch.backends.cuda.enable_cudnn_sdp(False)
