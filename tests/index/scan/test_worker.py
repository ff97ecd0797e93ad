"""A worker against plain transformers and a loop over sentences; its state file is read by the library of the format."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file

import ffmem
from ffmem import IndexOptions, ModelError
from ffmem.index.run.job import FolderFiles
from ffmem.index.scan.job import IndexJob
from ffmem.index.scan.tasks import ProjectLayer, ScanShard
from ffmem.index.scan.worker import IndexWorker
from tests.index.scan.hand_made import SENTENCES, SHARDS, STARTS, gpt2_coefficients, write_tokens

TOP = 3


@pytest.fixture
def job(tmp_path: Path, tiny_folder: Callable[[str], Path]) -> Callable[..., IndexJob]:
    def make(model: str = "gpt2", context: list[int] | None = None, **options: Any) -> IndexJob:
        if not (tmp_path / "text").exists():
            write_tokens(tmp_path, context)
        chosen = IndexOptions(**({"top": TOP, "promoted": 5, "bos": "no", "batch_tokens": 32} | options))
        return IndexJob(tmp_path, str(tiny_folder(model)), None, chosen, "raw", "run", "job", 0.0)

    return make


def worker_of(job: IndexJob, slot: int = 0, model: Any = None) -> IndexWorker:
    return IndexWorker(job, slot, model or ffmem.load_model(job.model, proved=False))


class Told:
    """What a worker says."""

    def __init__(self) -> None:
        self.n_tokens = self.n_values = 0

    def __call__(self, n_tokens: int, text: str = "", n_values: int = 0) -> None:
        self.n_tokens += n_tokens
        self.n_values += n_values


def best(coefficients: list[list[np.ndarray]], layer: int, cell: int, skip: list[int], every: bool) -> list[Any]:
    """(coefficient, token) of a cell's list, by the definition."""
    found = []
    for number, layers in enumerate(coefficients):
        own = [(float(value), int(STARTS[number]) + at) for at, value in enumerate(layers[layer][:, cell])]
        ranked = sorted(own[skip[number] :], key=lambda one: (-one[0], one[1]))
        found += [one for one in (ranked if every else ranked[:1]) if one[0] > 0]
    return sorted(found, key=lambda one: (-one[0], one[1]))[:TOP]


def lists_of(state: dict[str, np.ndarray], layer: int, cell: int) -> list[tuple[float, int]]:
    keys = [key for key in state[f"L{layer}.keys"][0, cell].tolist() if key]
    return [(float(np.uint32(key >> 32).view(np.float32)), 0xFFFFFFFF - (key & 0xFFFFFFFF)) for key in keys]


@pytest.mark.parametrize(("every", "skip_first", "context"), [(False, 0, None), (True, 1, [0, 4, 0, 0, 6, 0, 2, 0])])
def test_the_lists_of_all_shards_are_those_of_plain_transformers(
    job: Callable[..., IndexJob], tiny_folder: Callable[[str], Path], every: bool, skip_first: int, context: Any
) -> None:
    made = job(context=context, per_sentence="all" if every else "1", skip_first=skip_first)
    worker, told = worker_of(made), Told()
    for shard in SHARDS:
        worker.do(made.packed(ScanShard(shard)), told)
    assert told.n_tokens == sum(map(len, SENTENCES))
    assert worker.save() == {"shard-0", "shard-1", "shard-2"}
    state = load_file(made.folder / "state-run-0.safetensors")
    expected, skip = gpt2_coefficients(tiny_folder("gpt2")), [max(skip_first, n) for n in context or [0] * 8]
    n_places = 0
    for layer in range(3):
        for cell in range(expected[0][layer].shape[1]):
            wanted, found = best(expected, layer, cell, skip, every), lists_of(state, layer, cell)
            assert [one[0] for one in found] == pytest.approx([one[0] for one in wanted], rel=1e-4, abs=1e-6)
            gaps = np.diff([one[0] for one in wanted])
            if len(wanted) == TOP and (np.abs(gaps) > 1e-4).all():  # else rounding may turn two
                n_places += 1
                assert [one[1] for one in found[:-1]] == [one[1] for one in wanted[:-1]]
        everything = np.concatenate([one[layer][skip[number] :] for number, one in enumerate(expected)])
        np.testing.assert_allclose(state[f"L{layer}.maximum"], everything.max(0), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(state[f"L{layer}.minimum"], everything.min(0), rtol=1e-4, atol=1e-6)
        sums = state[f"L{layer}.sum"]
        np.testing.assert_allclose(sums[0] + sums[1] / 2**40, everything.sum(0), rtol=1e-4, atol=1e-4)
        n_seen = sum(len(one[layer]) > skip[number] for number, one in enumerate(expected))
        assert state[f"L{layer}.counts"].tolist() == [[len(everything), n_seen]]
    assert n_places > 30


def test_a_state_says_what_it_covers_and_a_new_worker_goes_on_from_it(job: Callable[..., IndexJob]) -> None:
    made = job()
    whole, first = worker_of(made, 7), worker_of(made)
    for shard in SHARDS:
        whole.do(made.packed(ScanShard(shard)), Told())
    whole.save()
    assert first.save() == set() and not (made.folder / "state-run-0.safetensors").exists(), "it has seen nothing"
    first.do(made.packed(ScanShard(SHARDS[1])), Told())
    assert first.save() == {"shard-1"}
    first.do(made.packed(ScanShard(SHARDS[0])), Told())  # and dies before it saves
    second = worker_of(made)
    assert second.save() == {"shard-1"}
    for shard in (SHARDS[2], SHARDS[0]):
        second.do(made.packed(ScanShard(shard)), Told())
    assert second.save() == {"shard-0", "shard-1", "shard-2"}
    ours, theirs = (load_file(made.folder / f"state-run-{slot}.safetensors") for slot in (0, 7))
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs), "the order of shards changes no bit"
    with safe_open(made.folder / "state-run-0.safetensors", framework="np") as file:
        assert file.metadata()["job"] == "job" and json.loads(file.metadata()["covered"]) == [0, 1, 2]


def test_a_shard_brings_its_text_along_where_there_is_no_work_folder(
    job: Callable[..., IndexJob], tmp_path: Path
) -> None:
    made = job()
    away = replace(made, folder=tmp_path / "away")
    away.folder.mkdir()
    for one, name in ((made, "here"), (away, "away")):
        worker = IndexWorker(one, 0, ffmem.load_model(one.model, proved=False), FolderFiles(away.folder))
        worker.do(made.packed(ScanShard(SHARDS[1])), Told())
        worker.save()
        (away.folder / "state-run-0.safetensors").rename(away.folder / name)
    assert (away.folder / "here").read_bytes() == (away.folder / "away").read_bytes()


def test_promoted_tokens_are_those_of_the_value_times_the_unembedding(
    job: Callable[..., IndexJob], tiny_folder: Callable[[str], Path]
) -> None:
    from transformers import GPT2LMHeadModel

    made, told = job(), Told()
    worker = worker_of(made)
    worker.do(ProjectLayer(1), told)
    assert worker.save() == {"values-1"}
    plain = GPT2LMHeadModel.from_pretrained(tiny_folder("gpt2"))
    scores = (plain.transformer.h[1].mlp.c_proj.weight @ plain.lm_head.weight.T).detach().double()
    assert told.n_values == len(scores)
    found = load_file(made.folder / "promoted-001.safetensors")
    for end, sign in (("promoted", 1), ("suppressed", -1)):
        expected = (sign * scores).topk(5, dim=1)
        values = found[f"{end}_scores"] * sign
        np.testing.assert_allclose(values, expected.values.numpy(), rtol=1e-4, atol=1e-5)
        picked = scores.gather(1, torch.from_numpy(found[f"{end}_ids"].astype(np.int64))).numpy() * sign
        np.testing.assert_allclose(picked, values, rtol=1e-4, atol=1e-5)
        assert (found[f"{end}_ids"] == expected.indices.numpy()).mean() > 0.99


def test_some_cells_are_those_cells(job: Callable[..., IndexJob]) -> None:
    """Layers by their place in the index, cells by their row there."""
    whole, some = job(), job(cells="L2.7,L2.30-31,L0.5")
    for made, slot in ((whole, 0), (some, 1)):
        worker = worker_of(made, slot)
        for task in (ScanShard(SHARDS[0]), ProjectLayer(1)):
            worker.do(made.packed(task), Told())
        worker.save()
        (made.folder / "promoted-001.safetensors").rename(made.folder / f"promoted-{slot}")
    ours, theirs = (load_file(whole.folder / f"state-run-{slot}.safetensors") for slot in (1, 0))
    assert np.array_equal(ours["L0.keys"], theirs["L0.keys"][:, [5]])
    assert np.array_equal(ours["L1.keys"], theirs["L2.keys"][:, [7, 30, 31]])
    assert np.array_equal(ours["L1.histogram"], theirs["L2.histogram"][:, :, [7, 30, 31]])
    worker = worker_of(whole)
    worker.do(ProjectLayer(2), Told())
    of_whole, of_some = load_file(whole.folder / "promoted-002.safetensors"), load_file(whole.folder / "promoted-1")
    np.testing.assert_allclose(of_some["promoted_scores"], of_whole["promoted_scores"][[7, 30, 31]], rtol=1e-5)


def test_a_number_that_is_not_finite_is_told_with_its_sentence_and_position(job: Callable[..., IndexJob]) -> None:
    made = job()
    model = ffmem.load_model(made.model, proved=False)
    with torch.no_grad():  # of this token alone: sentence 5 begins with it
        model.module.transformer.wte.weight[250] = torch.nan
    worker = worker_of(made, model=model)
    worker.do(made.packed(ScanShard(SHARDS[0])), Told())
    with pytest.raises(ModelError) as told:
        worker.do(made.packed(ScanShard(SHARDS[1])), Told())
    assert str(told.value) == (
        "the coefficient of cell L0.0 is not a finite number at sentence 5, position 0. Expected finite coefficients "
        "everywhere. Use --dtype float32 if the model ran in half precision; otherwise its weights are damaged."
    )
    assert worker.save() == {"shard-0"}, "the shard that failed is not covered"


def test_coefficients_that_are_too_large_to_be_summed_are_told_with_the_largest(job: Callable[..., IndexJob]) -> None:
    made = job()
    model = ffmem.load_model(made.model, proved=False)
    with torch.no_grad():
        model.key_bias(1)[11] = 5e9  # its square is more than 2^62
    with pytest.raises(
        ModelError, match=r"of cell L1\.11 are too large to be summed: in size they reach 5e\+09 at sentence"
    ):
        worker_of(made, model=model).do(made.packed(ScanShard(SHARDS[2])), Told())
