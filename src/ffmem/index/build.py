"""Model x corpus -> index: the whole build, which resumes wherever it was stopped."""

import json
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

import torch

from ffmem.corpus.registry import open_corpus
from ffmem.errors import InputError
from ffmem.index.adopt import adopt_states
from ffmem.index.build_tasks import BuildTasks
from ffmem.index.build_text import BuildText
from ffmem.index.certificate import certify, depends_on_length
from ffmem.index.finish import write_index, write_manifest
from ffmem.index.guard import check_guarded
from ffmem.index.identity import (
    check_options,
    check_same,
    decide_projection,
    describe,
    hash_of,
    hashes_of,
    identify,
    indexed_cells,
    with_named_cells,
    without_exclusions,
)
from ffmem.index.inherit import check_extendable, copy_promoted, states_of
from ffmem.index.machine import check_device, device_memory, machine
from ffmem.index.progress import Meter, Progress, ProgressListener
from ffmem.index.request import Request
from ffmem.index.resources import check_room, free_memory, layers_bytes, state_bytes
from ffmem.index.run.choose import make_executor
from ffmem.index.run.executors import Executor
from ffmem.index.run.runlog import RunLog, was_killed_at_work
from ffmem.index.scan.accumulators import accumulator_shape
from ffmem.index.scan.batches import plan_shards
from ffmem.index.scan.exclusions import split_off, told
from ffmem.index.scan.job import IndexJob, attention_as_before
from ffmem.index.scan.tasks import ProjectLayer, promoted_path
from ffmem.index.scan.waves import may_go_in_step
from ffmem.index.state.states import Account, read_account, save_state, state_path, states_of_run
from ffmem.index.state.tree import merge_states
from ffmem.index.untouched import Untouched, locked_untouched
from ffmem.json_values import JsonObject
from ffmem.models.attached import attach
from ffmem.models.base import Batching
from ffmem.models.controls import split_control
from ffmem.models.inputs import longest_input
from ffmem.models.loading.fairseq import PREFIX as FAIRSEQ
from ffmem.models.loading.sources import BUILT_IN
from ffmem.models.registry import load_model
from ffmem.models.threads import torch_threads
from ffmem.models.transformer import Transformer
from ffmem.options import IndexOptions, RunOptions, parse_shards
from ffmem.store.fields import ACTIVE_SENTENCES
from ffmem.store.files import disk_errors, drop_unwritten, write_json
from ffmem.store.manifest import corpora_of, read_manifest
from ffmem.store.paths import StorePaths
from ffmem.store.reader import Index, open_index


def build_index(
    model: str | Path,
    corpus: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    options: IndexOptions | None = None,
    run: RunOptions | None = None,
    field: str = "text",
    encoding: str = "utf-8",
    revision: str | None = None,
    extend: str | Path | None = None,
    progress: ProgressListener | None = None,
) -> Index:
    """Index every feed-forward cell of a model over a corpus, and open the index.

    The same call again resumes a build that was stopped, and opens one that is finished.

    Args:
        model: a Hugging Face id or folder, a ``.gguf`` file, ``fairseq:FOLDER``, ``smollm2`` or ``minilm``.
        corpus: ``topics``, ``python-docs``, a file, a pattern of files, ``hf:NAME``, or ``-``: see
            docs/reference/corpora.md; or several of them, which are read one after the other.
        out: folder of the index; made if it is not there.
        options: what the index is to contain.
        run: how to go about it.
        field: where the rows of a corpus have fields, the one that holds the text.
        encoding: of files of text and of JSON lines, of standard input, and of text that a table holds as bytes.
        revision: revision of a hub model.
        extend: a finished index of this model with these options, which stays as it is: ``out`` becomes the index of its
            corpora and these, as if all had been read at once, and only the new text goes through the model.
        progress: called now and then with how far it is.

    Raises:
        InputError: unknown model or corpus, an option that does not fit, another index in ``out``, or a cluster that
            cannot be used.
        StoreError: ``out`` is in use, damaged, or cannot be written.
        ModelError: the model computes NaN, or workers die again and again, at shards that the message names; all others
            are done and kept.

    Cost: memory beside the model is bounded by workers x cells x top and one batch a worker, whatever the corpus.
    """
    names = [corpus] if isinstance(corpus, str | Path) else corpus
    request = Request(
        model=str(model),
        revision=revision,
        corpora=tuple(open_corpus(str(name), field, encoding) for name in names),
        options=options or IndexOptions(),
        base=None if extend is None else open_index(extend),
    )
    return build_requested(request, Path(out), run or RunOptions(), progress or (lambda _: None))


def build_requested(request: Request, out: Path, run: RunOptions, progress: ProgressListener) -> Index:
    """As `build_index`, of corpora that are open."""
    check_guarded()
    paths = StorePaths(out)
    with locked_untouched(paths) as before, torch_threads(request.options.threads), attention_as_before():
        Build(paths, request, run, progress, before).finish()
    return open_index(out)


class Build:
    """One run of a build, from what earlier runs left."""

    def __init__(
        self, paths: StorePaths, request: Request, run: RunOptions, listen: ProgressListener, before: Untouched
    ) -> None:
        self._paths, self._request, self._run, self._listen, self._before = paths, request, run, listen, before

    def finish(self) -> None:
        """Do all that is left to do."""
        self._listen(Progress("model"))
        began = time.monotonic()
        options = self._request.options
        device = self._own_device()
        with device_memory(device, "the model"):
            model = load_model(
                self._request.model,
                dtype=options.dtype,
                device=device,
                revision=self._request.revision,
                quantize=options.quantize,
                proved=False,  # on the corpus itself, with the certificate
                trust_remote_code=self._run.trust_remote_code,
                architecture=options.architecture,
                patches=options.patch,
                model_memory=self._run.model_bytes,
                device_map=self._run.device_map,
            )
            attach(model, options.attachments)
        self._request = replace(self._request, options=with_named_cells(model, options, self._request.base))
        options = self._request.options
        check_options(model, options)
        identity = self._identify(model)
        if self._paths.manifest.exists():
            check_same(self._paths, identity, read_manifest(self._paths.folder).identity.json)
            self._drop_unwritten()
            shutil.rmtree(self._paths.work, ignore_errors=True)  # a run that was stopped while it cleaned up
            self._listen(Progress("done"))
            return
        self._begin(identity)
        self._drop_unwritten()
        # what has killed a run may kill the next: a process of its own can die of it, and be told
        apart = was_killed_at_work(self._paths.work / "run.json")
        with closing(make_executor(options, self._run, apart=apart)) as executor:
            self._build(model, identity, executor, {"model": time.monotonic() - began})
        # a shared folder may keep files that are still mapped, or a lost worker may still write: the next opening cleans up
        shutil.rmtree(self._paths.work, ignore_errors=True)
        self._listen(Progress("done"))

    def _drop_unwritten(self) -> None:
        """What is written beside the index last, by a run that was killed at that."""
        for path in (self._paths.run, self._paths.manifest):
            drop_unwritten(path)

    def _build(
        self, model: Transformer, identity: JsonObject, executor: Executor, stages_s: Mapping[str, float]
    ) -> None:
        options = self._request.options
        job = self._job(model, identity)
        text = BuildText(self._paths.work, self._request, self._run, job.run_id)
        if not text.is_written:
            self._check_room(model, executor)
        log = RunLog(self._paths.work / "run.json", options, self._run, stages_s)
        self._prepare(model, job, executor)
        with closing(text), self._forgetting(text):
            self._begin_text(model, text)
            log.took("text", text.seconds)
            certificate = self._certify(model, text, log)
            here = machine(*model.devices)
            job = replace(job, batching=model.batching, in_step=may_go_in_step(model))
            if executor.works_here:
                job = job.with_loaded(model)
            else:
                model.release()  # only workers run it from here on, some of them perhaps on the same GPU
            self._before.is_kept = True  # what is refused from here on may be mended without another index
            with log.stage("memories"):
                states = self._scan(model, job, executor, log, text)
            counts = text.counts
            shards, excluded = split_off(text.shards or [], options.exclude_shards)
            log.took("text", text.seconds)
            assert _covered(states) == [shard.shard_id for shard in shards]
        if executor.works_here:
            model.release()
        self._listen(Progress("files"))
        with log.stage("files"):
            shape = accumulator_shape(model, options, self._counts_sentences)
            states = merge_states(states, shape, hash_of(without_exclusions(identity)), self._say_files)
            write_index(self._paths, list(states), shape)
            machines = frozenset().union(*(account.machines for account in states.values()))
            manifest = describe(model, identity, options, sorted(machines) or [here])
            log.finish(counts["n_tokens"], self._paths.run)
            manifest |= {"statistics": [ACTIVE_SENTENCES]} if self._counts_sentences else {}
            manifest |= {"counts": counts, "excluded_shards": told(excluded), "certificate": certificate}
            write_manifest(self._paths, manifest)

    @contextmanager
    def _forgetting(self, text: BuildText) -> Iterator[None]:
        """Keep nothing of a build whose text is refused, of earlier runs of it neither: what mends it makes another index."""
        try:
            yield
        except InputError:
            if text.is_refused:
                self._before.forget()
            raise

    @property
    def _counts_sentences(self) -> bool:
        """Whether it becomes known in how many sentences each cell is active: not if the index that is extended lacks that."""
        base = self._request.base
        return base is None or base.manifest.has_active_sentences

    def _say_files(self, message: str) -> None:
        self._listen(Progress("files", message=message))

    def _own_device(self) -> str:
        """Where this process has the model: it only measures its identities where workers are elsewhere."""
        device = self._request.options.device
        if self._run.executor == "ray" and device != "cpu" and not torch.cuda.is_available():
            return "cpu"
        check_device(device)
        return device

    def _check_room(self, model: Transformer, executor: Executor) -> None:
        """Refuse at once what cannot fit; `ffmem index --plan` knows more."""
        options, shape = self._request.options, accumulator_shape(model, self._request.options, self._counts_sentences)
        states = executor.n_workers * state_bytes(shape)
        disk = layers_bytes(shape, min(options.promoted, model.facts.d_vocab)) + states
        here = self._run.executor == "local" and options.device == "cpu"
        check_room(self._paths.folder, disk, states if here else 0)

    def _identify(self, model: Transformer) -> JsonObject:
        """The identity of what is asked for; corpora that can be read but once keep themselves in the work folder."""
        job, folder, begun = self._paths.work / "job.json", self._paths.folder, []
        if self._paths.manifest.exists():
            begun = corpora_of(read_manifest(folder).identity.json)
        elif job.exists():
            begun = corpora_of(json.loads(job.read_bytes()))
        else:
            self._check_free()
        base, request = self._request.base, self._request
        earlier = [] if base is None else corpora_of(base.manifest.identity.json)
        for corpus, known in zip_longest(request.corpora, begun[len(earlier) :]):
            if corpus is not None:
                with disk_errors(self._paths.work):
                    corpus.settle(self._paths.work, known)
        corpora = earlier + [corpus.identity() for corpus in request.corpora]
        identity = identify(model, request.model, request.revision, corpora, request.options)
        if base is not None:
            check_extendable(base, identity)
        return identity

    def _check_free(self) -> None:
        others = sorted(p.name for p in self._paths.folder.iterdir() if p.name not in {"lock", "work"})
        if others:
            raise InputError(
                f"{self._paths.folder} is not empty (it holds {', '.join(others[:3])}), and has no index in it",
                "Expected a new or empty folder, or one with an index to resume",
                "Choose another folder with --out",
            )

    def _begin(self, identity: JsonObject) -> None:
        """Take the folder, or go on with the build that has it."""
        job = self._paths.work / "job.json"
        if job.exists():
            begun = json.loads(job.read_bytes())
            check_same(self._paths, without_exclusions(identity), without_exclusions(begun))
            if begun != identity:  # other shards are left out
                write_json(job, identity)
            self._listen(Progress("model", message="going on with the build that was stopped"))
            return
        with disk_errors(self._paths.work):
            self._paths.work.mkdir(exist_ok=True)  # the corpus may have been there before
        write_json(job, identity)

    def _begin_text(self, model: Transformer, text: BuildText) -> None:
        """Begin to write the text; where it must be whole before the model reads it, write all of it.

        It must be where shards are left out, whose numbers are to be checked first; and where what the model gives for one
        sentence may depend on how long others are.
        """
        options = self._request.options
        if not text.is_written:
            self._listen(Progress("text"))
        may_be_apart = text.is_long and not options.exclude_shards
        text.begin(model, may_be_apart and not depends_on_length(model, longest_input(model, options.max_length)))
        if options.exclude_shards:
            split_off(text.shards or [], options.exclude_shards)

    def _take_base(self, model: Transformer, base: Index, job: IndexJob) -> None:
        """Start from what an index that is extended has found."""
        done = self._paths.work / "base.json"
        if not done.exists():
            n_sentences = base.manifest.counts.n_sentences_by_corpus
            shards = plan_shards(base.text.sentence_start, n_sentences, job.options.shard_tokens)
            covered = {shard.shard_id for shard in shards} - parse_shards(job.options.exclude_shards)
            machines = base.manifest.same_bytes.machines
            shape = accumulator_shape(model, job.options, job.active_sentences)
            save_state(state_path(job.folder, "base", 0), shape, states_of(base), job.job_hash, covered, machines)
            copy_promoted(base, job.folder)
            write_json(done, {"shards": len(shards)})

    def _certify(self, model: Transformer, text: BuildText, log: RunLog) -> JsonObject:
        """The certificate, unless an earlier run has it; from here on the model runs as its proof says."""
        done = self._paths.work / "certificate.json"
        found = dict(json.loads(done.read_bytes())) if done.exists() else {}
        if "proof" in found:
            model.adopt(Batching(**found["proof"]["batching"]))
            return found
        with log.stage("head"):
            head, tokens = text.head()
        self._listen(Progress("certificate"))
        with log.stage("certificate"), device_memory(str(model.device), "the certificate, a few sentences at a time"):
            write_json(done, certify(model, head, tokens, self._request.options, text.longest()))
        return dict(json.loads(done.read_bytes()))

    def _job(self, model: Transformer, identity: JsonObject) -> IndexJob:
        """What workers are to do, but for how the model must be run: its proof is still to come."""
        options = self._request.options
        return IndexJob(
            folder=self._paths.work.absolute(),
            model=_absolute(self._request.model),
            revision=self._request.revision,
            options=options,
            projection=decide_projection(model, options),
            run_id=secrets.token_hex(4),
            job_hash=hash_of(without_exclusions(identity)),
            checkpoint_s=float(self._run.checkpoint_s),
            active_sentences=self._counts_sentences,
            weights=hashes_of(model),
            trust_remote_code=self._run.trust_remote_code,
            model_memory=self._run.model_bytes,
            device_map=self._run.device_map,
        )

    def _prepare(self, model: Transformer, job: IndexJob, executor: Executor) -> None:
        """Let worker processes of a CPU load while this one writes the text and measures the certificate.

        Where memory may be short they only import what they will need. A GPU has no room for a second model yet.
        """
        options, work = self._request.options, self._paths.work
        if options.device != "cpu":
            return
        n_layers = len(indexed_cells(model, options).layers)
        n_tasks = sum(not promoted_path(work, layer).exists() for layer in range(n_layers))
        if self._request.base is not None and not (work / "base.json").exists():
            n_tasks = 1  # its values are there already
        n_workers, free = min(executor.n_workers, n_tasks), free_memory()
        held = self._run.model_bytes or _weights_bytes(model)
        has_room = free is not None and (n_workers + 1) * held < free / 2
        executor.prepare(job.load if has_room else job.load_nothing, n_workers)

    def _scan(
        self, model: Transformer, job: IndexJob, executor: Executor, log: RunLog, text: BuildText
    ) -> dict[Path, Account]:
        """Run the model over the shards that no state covers yet; return the states that cover them all."""
        options, work = self._request.options, self._paths.work
        if self._request.base is not None:
            self._take_base(model, self._request.base, job)
        left_out = parse_shards(options.exclude_shards)
        covered, n_dropped = adopt_states(work, job, left_out)
        if n_dropped:
            what = f"{n_dropped:,} shards are read again: their checkpoints hold what is now to be left out"
            self._listen(Progress("memories", message=what))
        n_values = [layer.n_cells for layer in indexed_cells(model, options).layers]
        missing = [layer for layer in range(len(n_values)) if not promoted_path(work, layer).exists()]
        meter = Meter(self._listen, log, n_values, set(range(len(n_values))) - set(missing))
        tasks = BuildTasks(text, meter, covered, left_out, [ProjectLayer(layer) for layer in missing])
        log.begin(resumed=bool(covered))
        abandoned = executor.run(job, tasks, meter.hear)
        found = {
            path: read_account(path, job.job_hash)
            for slot, path in states_of_run(work, job.run_id).items()
            if slot not in abandoned
        }
        return {path: account for path, account in found.items() if account is not None}


def _covered(states: Mapping[Path, Account]) -> list[int]:
    return sorted(shard for account in states.values() for shard in account.covered)


def _weights_bytes(model: Transformer) -> int:
    return sum(parameter.numel() * parameter.element_size() for parameter in model.module.parameters())


def _absolute(model: str) -> str:
    """A model's path as it is also found from another working directory."""
    control, source = split_control(model)
    prefix = FAIRSEQ if source.startswith(FAIRSEQ) else ""
    path = Path(source.removeprefix(prefix))
    found = f"{prefix}{path.absolute()}" if source not in BUILT_IN and path.exists() else source
    return f"{control}:{found}" if control else found
