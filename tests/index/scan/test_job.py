"""The job of a build: what its workers start from, what their files cover, and a model that is another one."""

import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ffmem
from ffmem import IndexOptions, ModelError
from ffmem.corpus.tokens import TokenizedSentence
from ffmem.index.identity import hashes_of
from ffmem.index.scan.job import IndexJob, attention_as_before, prepare_device
from ffmem.index.scan.tasks import ProjectLayer, ScanShard, promoted_path
from ffmem.index.text.token_spool import TokenSpool, writing_folder
from ffmem.models.base import Batching
from tests.index.scan.hand_made import SENTENCES, SHARDS, write_tokens


@pytest.fixture
def job(tmp_path: Path, tiny_folder: Callable[[str], Path]) -> Callable[..., IndexJob]:
    def make(
        run_id: str = "run",
        job_hash: str = "job",
        exclude: str | None = None,
        context: list[int] | None = None,
        **named: Any,
    ) -> IndexJob:
        if not (tmp_path / "text").exists():
            write_tokens(tmp_path, context)
        options = IndexOptions(top=3, promoted=5, bos="no", batch_tokens=32, exclude_shards=exclude)
        return IndexJob(tmp_path, str(tiny_folder("gpt2")), None, options, "raw", run_id, job_hash, 0.0, **named)

    return make


def silent(n_tokens: int, text: str = "", n_values: int = 0) -> None: ...


def test_what_is_covered_is_what_a_state_of_this_run_and_slot_says(job: Callable[..., IndexJob]) -> None:
    made = job(batching=Batching(causal=True))
    assert made.covered(3) == set()
    worker = made.start(3)
    for task in (ScanShard(SHARDS[2]), ScanShard(SHARDS[0]), ProjectLayer(1)):
        worker.do(made.packed(task), silent)
    assert made.covered(3) == {"values-1"}, "promoted tokens are there when they are found, a state when it is saved"
    assert worker.save() == made.covered(3) == {"shard-2", "shard-0", "values-1"}
    assert made.covered(0) == job(run_id="other").covered(3) == job(job_hash="other").covered(3) == {"values-1"}
    promoted_path(made.folder, 12).touch()
    assert made.covered(0) == {"values-1", "values-12"}
    again = made.start(3)
    assert again.save() == {"shard-2", "shard-0"}, "it goes on from the state of its slot"


def test_a_worker_runs_its_model_as_the_proof_of_the_build_says(job: Callable[..., IndexJob]) -> None:
    worker = job(batching=Batching(causal=True, rows="alone")).start(0)
    assert worker.model.batching.rows == "alone"
    assert job().start(1).model.batching.rows == "padded", "without one it proves the model itself"


def test_a_packed_shard_has_its_text_in_memory_and_a_layer_needs_none(job: Callable[..., IndexJob]) -> None:
    made = job()
    packed = made.packed(ScanShard(SHARDS[1]))
    assert isinstance(packed, ScanShard) and packed.shard == SHARDS[1] and packed.tokens is not None
    assert [tuple(packed.tokens.ids(number).tolist()) for number in (3, 4, 5)] == list(SENTENCES[3:6])
    assert packed.tokens.start(3) == 22 and packed.tokens.token_id.base is None
    assert made.packed(ProjectLayer(2)) == ProjectLayer(2)


@pytest.mark.parametrize("context", [None, [0, 4, 0, 0, 6, 0, 2, 0]])
def test_a_shard_of_a_text_that_is_being_written_is_that_of_the_whole(
    job: Callable[..., IndexJob], tmp_path: Path, context: list[int] | None
) -> None:
    whole = job(context=context)
    written = replace(whole, folder=tmp_path / "other")
    writing_folder(written.folder, written.run_id).mkdir(parents=True)
    (written.folder / "text").mkdir()
    spool = TokenSpool(writing_folder(written.folder, written.run_id) / "indexed")
    for number, sentence in enumerate(SENTENCES[:6]):
        ids = np.array(sentence, dtype=np.uint32)
        spool.add(TokenizedSentence(ids, ids, ids), [len(ids)], [context[number] if context else 0])
        spool.flush()
    for shard, first_token in zip(SHARDS[:2], (0, 22), strict=True):
        ours, theirs = (one.packed(ScanShard(shard, first_token)).tokens for one in (written, whole))
        assert (ours.first_sentence, ours.sentence_start.tolist()) == (
            shard.first_sentence,
            theirs.sentence_start.tolist(),
        )
        assert ours.token_id.tolist() == theirs.token_id.tolist()
        assert [ours.n_context(n) for n in range(shard.first_sentence, shard.end_sentence)] == [
            theirs.n_context(n) for n in range(shard.first_sentence, shard.end_sentence)
        ]
    with pytest.raises(AssertionError):  # these are not there yet
        written.packed(ScanShard(SHARDS[2], 35))
    spool.remove()
    finished = writing_folder(written.folder, written.run_id) / "tokens.safetensors"
    shutil.copyfile(whole.folder / "text" / "tokens.safetensors", finished)
    assert len(written.packed(ScanShard(SHARDS[2], 35)).tokens.token_id) == 7, "whole, and not yet in its place"
    finished.rename(written.folder / "text" / "tokens.safetensors")
    assert len(written.packed(ScanShard(SHARDS[2], 35)).tokens.token_id) == 7


@pytest.mark.parametrize(
    ("exclude", "tasks", "option"),
    [
        (None, [2, 0], "--exclude-shards 0,2"),
        ("1", [2], "--exclude-shards 1,2"),
        ("2,10", [2, 9], "--exclude-shards 2,9,10"),
    ],
)
def test_shards_can_be_left_out_beside_those_that_are_already(
    job: Callable[..., IndexJob], exclude: str | None, tasks: list[int], option: str
) -> None:
    made = job(exclude=exclude)
    shards = [ScanShard(ffmem.index.scan.batches.Shard(number, 0, 1, 1)) for number in tasks]
    assert made.leave_out(shards) == option
    assert made.leave_out([*shards, ProjectLayer(0)]) == "", "there is no index without the values of a layer"


def test_a_worker_with_another_model_is_refused_by_what_differs(
    job: Callable[..., IndexJob], tiny_folder: Callable[[str], Path]
) -> None:
    meant = hashes_of(ffmem.load_model(tiny_folder("gpt2")))
    made = job(weights=meant, batching=Batching(causal=True))
    worker = made.start(0)
    made.check(worker)
    other = job(weights=meant | {"weights_sha256": "f" * 64, "config_sha256": "e" * 64})
    with pytest.raises(ModelError) as told:
        other.check(worker)
    assert told.value.got == (
        f"the model at {made.model} is a different one there: its weights, config differ "
        f"(SHA-256 {meant['weights_sha256'][:16]}...)"
    )
    assert told.value.expected == "Expected ffffffffffffffff..., as where the build was begun"
    assert told.value.mend == "Copy the same model to every node, or name its commit with --revision"


def test_a_process_gets_the_threads_that_are_asked_for() -> None:
    before = torch.get_num_threads()
    try:
        prepare_device(IndexOptions(threads=2))
        assert torch.get_num_threads() == 2
    finally:
        prepare_device(IndexOptions(threads=before))
    assert torch.get_num_threads() == before


def test_what_a_pass_on_a_gpu_sets_for_the_whole_process_is_put_back() -> None:
    before = torch.backends.cuda.cudnn_sdp_enabled()
    assert before, "torch's own default"
    with attention_as_before():
        torch.backends.cuda.enable_cudnn_sdp(False)
    assert torch.backends.cuda.cudnn_sdp_enabled() == before


def test_a_worker_here_has_the_model_that_was_loaded_and_it_is_not_pickled(
    job: Callable[..., IndexJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = job(batching=Batching(causal=True))
    model = made.load()
    here = made.with_loaded(model)
    with monkeypatch.context() as patched:
        patched.setattr("ffmem.index.scan.job.load_model", lambda *_, **__: pytest.fail("loaded again"))
        assert here.start(0).model is here.start(0).model is model
    there = pickle.loads(pickle.dumps(here))
    assert there.loaded is None and there == made
    assert there.start(0).model is not model
    here.release()
    assert all(parameter.device.type == "meta" for parameter in model.module.parameters())
    there.release()  # nothing to give back


def test_loading_nothing_is_quick_and_picklable(job: Callable[..., IndexJob]) -> None:
    assert pickle.loads(pickle.dumps(job().load_nothing))() is None
