"""The whole way on a GPU."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ffmem
from ffmem import IndexOptions, RunOptions
from ffmem.analyses.activation import activate
from ffmem.analyses.explain import explain
from ffmem.index.indexed_model import load_indexed_model
from ffmem.index.progress import Progress
from ffmem.index.scan.accumulators import accumulator_shape, make_accumulator
from ffmem.index.scan.batches import Shard
from ffmem.index.scan.shard_text import ShardText, Tokens
from ffmem.index.state.places import Places
from ffmem.index.verification.verify import verify_index
from ffmem.models.masks import one_text_a_row
from ffmem.models.registry import load_model
from ffmem.options import PerSentence
from ffmem.queries import similar
from ffmem.store.arrays import total_of
from tests.conftest import write_corpus
from tests.families import D_MODEL
from tests.models.dictionaries.making import gemma_scope, mirror, saelens

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU; there is none on this machine"),
]


def build(model: str | Path, corpus: str | Path, out: Path, told: list[Progress] | None = None, **options: Any) -> Any:
    chosen = IndexOptions(**({"top": 10, "holdout": 0} | options))
    listen = (lambda _: None) if told is None else told.append
    return ffmem.build_index(model, corpus, out, options=chosen, run=RunOptions(workers=0), progress=listen)


@pytest.mark.parametrize("variant", ["gpt2", "opt", "llama", "bert", "t5", "mixtral"])
def test_the_gpu_finds_what_the_cpu_finds(variant: str, tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "words.txt", 300, seed=3)
    torch.backends.cuda.matmul.allow_tf32 = False
    sizes = {"batch_tokens": 512, "shard_tokens": 2048, "sample": 6}
    cpu = build(tiny_folder(variant), corpus, tmp_path / "cpu", **sizes)
    gpu = build(tiny_folder(variant), corpus, tmp_path / "gpu", device="cuda", **sizes)
    assert not gpu.manifest.same_bytes.holds and "cuda" in gpu.manifest.same_bytes.why
    assert torch.cuda.get_device_name() in gpu.manifest.same_bytes.machines[0]
    for layer in range(cpu.n_layers):
        a, b = cpu.layer(layer), gpu.layer(layer)
        np.testing.assert_array_equal(a.counts, b.counts)
        np.testing.assert_allclose(a.trigger_coefficient, b.trigger_coefficient, rtol=1e-3, atol=1e-4)
        assert (
            a.trigger_token == b.trigger_token
        ).mean() > 0.5  # near ties, of which there are many, may change places
        np.testing.assert_allclose(total_of(a.sum), total_of(b.sum), rtol=1e-3, atol=0.05)
        np.testing.assert_array_equal(a.sample_count.sum(1), b.sample_count.sum(1))
        assert (a.sample_token == b.sample_token).mean() > 0.95  # few lie so near the edge of a stratum
        assert (a.promoted_ids[:, :5] == b.promoted_ids[:, :5]).mean() > 0.95
    assert verify_index(gpu).problems == ()


def test_a_stopped_build_goes_on(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "words.txt", 300, seed=3)
    sizes: dict[str, Any] = {"device": "cuda", "batch_tokens": 512, "shard_tokens": 1024}
    whole = build(tiny_folder("llama"), corpus, tmp_path / "whole", **sizes)

    class StopError(Exception):
        pass

    def stop(now: Progress) -> None:
        if now.n_shards >= 3:
            raise StopError

    options = IndexOptions(top=10, holdout=0, **sizes)
    run = RunOptions(workers=0, checkpoint_s=0)
    with pytest.raises(StopError):
        ffmem.build_index(tiny_folder("llama"), corpus, tmp_path / "i", options=options, run=run, progress=stop)
    again = ffmem.build_index(tiny_folder("llama"), corpus, tmp_path / "i", options=options, run=run)
    for layer in range(whole.n_layers):
        names = (
            "trigger_coefficient",
            "trigger_token",
            "sum",
            "square_sum",
            "histogram",
            "n_active",
            "n_active_sentences",
        )
        for name in names:
            assert np.array_equal(getattr(whole.layer(layer), name), getattr(again.layer(layer), name)), name


@pytest.mark.parametrize("variant", ["gpt2", "opt", "llama", "gpt_neox"])
@pytest.mark.parametrize("per_sentence", ["1", "all"])
def test_the_host_does_not_wait_within_a_batch(
    variant: str, per_sentence: PerSentence, tiny_folder: Callable[[str], Path]
) -> None:
    options = IndexOptions(device="cuda", dtype="bfloat16", per_sentence=per_sentence)
    model = load_model(tiny_folder(variant), dtype="bfloat16", device="cuda")
    lengths = np.array([0, 9, 9, 8, 20])
    starts = np.cumsum(lengths).astype(np.uint64)
    text = ShardText(Tokens(0, starts, np.arange(3, 3 + lengths.sum()).astype(np.uint16), None), model, options)
    accumulator = make_accumulator(accumulator_shape(model, options), "cuda")
    batches = list(text.batches(Shard(0, 0, 4, int(lengths.sum()))))

    def read(mode: str) -> None:
        accumulator.begin_shard()
        for batch in batches:
            places = text.places(batch)

            def observe(layer: int, m: torch.Tensor, places: Places = places) -> None:
                torch.cuda.set_sync_debug_mode("error")
                accumulator.observe(layer, m, places)
                torch.cuda.set_sync_debug_mode(mode)

            torch.cuda.set_sync_debug_mode(mode)
            with one_text_a_row(), model.watch_coefficients(observe):
                model.forward(*text.inputs(batch))

    try:
        with torch.inference_mode():
            read("default")  # compiles
            # some versions of transformers ask the device whether OPT's mask is all ones
            read("default" if variant == "opt" else "error")
    finally:
        torch.cuda.set_sync_debug_mode("default")
    accumulator.close_shard(0, "m")
    assert accumulator.first_not_finite() is None


def test_some_cells_are_kept_as_among_all(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "words.txt", 100, seed=3)
    sizes: dict[str, Any] = {"device": "cuda", "batch_tokens": 512, "shard_tokens": 2048}
    whole = build(tiny_folder("llama"), corpus, tmp_path / "whole", **sizes)
    some = build(tiny_folder("llama"), corpus, tmp_path / "some", cells="L1.3-9,L2.0", **sizes)
    for cell in ("L1.3", "L1.9", "L2.0"):
        ours, theirs = some[cell], whole[cell]
        assert [t.coefficient for t in ours.triggers] == [t.coefficient for t in theirs.triggers]
        assert [t.sentence_id for t in ours.triggers] == [t.sentence_id for t in theirs.triggers]


def test_too_little_memory_halves_the_budget(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "words.txt", 20_000, seed=3)
    told: list[Progress] = []
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    try:
        torch.cuda.set_per_process_memory_fraction(0.4e9 / total)
        index = build(
            tiny_folder("gpt2"), corpus, tmp_path / "i", told, device="cuda", batch_tokens=2**20, shard_tokens=2**20
        )
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert any("too little memory for batches" in one.message for one in told)
    assert index.layer(0).counts[0, 0] == index.manifest.counts.n_tokens


@pytest.mark.parametrize(
    ("family", "place", "dtype"), [("opt", "update", "float32"), ("gemma2", "mlp-output", "bfloat16")]
)
def test_dictionaries_are_on_the_gpu_with_their_model(
    family: str, place: str, dtype: str, tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    corpus = write_corpus(tmp_path / "words.txt", 60, seed=3)
    hooks = {"architecture": "topk", "k": 20, "hook_name": "blocks.1.hook_resid_post", "apply_b_dec_to_input": True}
    told = (
        f"L1=jump@{place}:{gemma_scope(tmp_path / 'jump', **mirror(D_MODEL), threshold=torch.full((2 * D_MODEL,), 0.3))}",
        f"L1=top:{saelens(tmp_path / 'top', hooks, **mirror(D_MODEL, 0.1))}",
    )
    cpu, gpu = (
        build(tiny_folder(family), corpus, tmp_path / device, device=device, dtype=dtype, dictionary=told)
        for device in ("cpu", "cuda")
    )
    loose = 20 if dtype == "bfloat16" else 1
    for name in ("L1.jump", "L1.top"):
        a, b = (one.layer(one.cells.parse_layer(name)) for one in (cpu, gpu))
        np.testing.assert_allclose(a.trigger_coefficient, b.trigger_coefficient, rtol=1e-3 * loose, atol=2e-3 * loose)
        measured = [one.manifest.certificate.json["dictionaries"][name]["unexplained"] for one in (cpu, gpu)]
        assert measured[0] == pytest.approx(measured[1], rel=0.01 * loose)
    assert verify_index(gpu).problems == ()
    model = load_indexed_model(gpu)
    text = gpu.text.sentence(0).text
    assert len(explain(model, text, index=gpu, limit=3).dictionaries) == (1 if place == "update" else 0)
    shown = activate(model, text, index=gpu, layer="L1.top", limit=2, by="share").tokens
    assert all(one.cell.dictionary == "top" for token in shown for one in token.cells)
    near = similar(gpu, "L1.jump.3", by="key", model=model, limit=1) if family == "opt" else None
    assert near is None or str(near.rows[0].cell) == "L1.top.3"
