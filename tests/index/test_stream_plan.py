"""What a loaded model is to a stream of weights, and what a plan makes of it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ffmem import IndexOptions, InputError, RunOptions, load_model
from ffmem.index import stream_plan
from ffmem.index.plan import plan_index
from ffmem.index.stream_cost import Bandwidths
from ffmem.index.stream_plan import Memory, find_memory, plan_stream, weights_of
from tests.conftest import write_corpus


@pytest.mark.parametrize("family", ["gpt2", "llama", "mixtral", "t5"])
def test_blocks_and_what_stays_add_up_to_the_model(family: str, tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder(family), proved=False)
    (file,) = tiny_folder(family).glob("*.safetensors")
    found = weights_of(model, file.stat().st_size, 0)
    parameters = dict(model.module.named_parameters())
    assert found.n_bytes == sum(4 * one.numel() for one in parameters.values())
    assert len(found.blocks) == model.facts.n_layers and min(found.blocks) > 0
    assert 1.0 <= found.stored_share < 1.5  # the header of a tiny file
    module = model.layer(0).module
    (prefix,) = [name for name, one in model.module.named_modules() if one is module]
    own = [4 * one.numel() for name, one in parameters.items() if name.startswith(f"{prefix}.")]
    assert found.blocks[0] == sum(own)
    assert found.resident_bytes >= 4 * model.module.get_input_embeddings().weight.numel()


def test_a_repeated_layer_is_brought_once(tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(tiny_folder("llama"), proved=False)
    first = model.layer(0)
    monkeypatch.setattr(model, "layer", lambda _: first)
    found = weights_of(model, 1, 0)
    assert found.blocks[0] > 0 and set(found.blocks[1:]) == {0}


def test_workers_share_disk_and_host(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("t5"), proved=False)
    options = IndexOptions(shard_tokens=1000)
    memory = Memory(10**9, Bandwidths(1e6), file_bytes=4 * 10**6, host_bytes=10**6)
    one = plan_stream(model, replace(memory, budget=weights_of(model, 1, 0).prefetch_bytes), options, 100.0, 1)
    both = plan_stream(model, replace(memory, budget=weights_of(model, 1, 0).prefetch_bytes), options, 100.0, 2)
    assert both.weights_s == pytest.approx(2 * one.weights_s) and both.prefetches and one.prefetches
    states = 1000 * model.facts.d_model * 4 * 2  # of the encoder and the decoder
    assert (one.host_state_bytes, one.spilled_bytes) == (min(states, 500_000), max(states - 500_000, 0))
    assert both.host_state_bytes == 250_000 and both.spilled_bytes == states - 250_000
    with pytest.raises(InputError, match=r"--model-memory is [0-9]+ KB, and the largest of"):
        plan_stream(model, replace(memory, budget=weights_of(model, 1, 0).least_bytes - 1), options, 100.0, 2)


@pytest.mark.parametrize("n_workers", [1, 2])
def test_a_plan_refuses_no_budget_that_a_build_takes(tiny_folder: Callable[[str], Path], n_workers: int) -> None:
    """At the smallest budget of the stream itself; each worker has all of it."""
    with pytest.raises(InputError) as refused:
        load_model(tiny_folder("llama"), proved=False, model_memory=1)
    least = int(
        "".join(
            letter
            for letter in str(refused.value).split("Expected at least ")[1].split(" bytes")[0]
            if letter.isdigit()
        )
    )
    for budget in (least, 2 * least, 10**9):
        model = load_model(tiny_folder("llama"), proved=False, model_memory=budget)
        memory = Memory(budget, Bandwidths(1e6), file_bytes=10**5, host_bytes=10**6)
        found = plan_stream(model, memory, IndexOptions(shard_tokens=1000), 100.0, n_workers)
        assert model.stream is not None
        assert (found.moved_bytes == 0) == model.stream.is_whole
        assert found.weights_bytes == model.stream.n_bytes


def test_a_model_that_is_held_whole_is_not_measured(tiny_folder: Callable[[str], Path]) -> None:
    assert find_memory(str(tiny_folder("gpt2")), None, IndexOptions(), RunOptions(), None) is None
    with pytest.raises(InputError, match="--model-memory is 'much'"):
        find_memory(str(tiny_folder("gpt2")), None, IndexOptions(), RunOptions(model_memory="much"), None)


def test_a_plan_tells_what_the_stream_adds(
    tiny_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_plan, "measure_bandwidths", lambda files, device: Bandwidths(float(_size(files))))
    folder, corpus = tiny_folder("llama"), write_corpus(tmp_path / "words.txt", 100)
    model = load_model(folder, proved=False)
    weights = weights_of(model, _size(folder.glob("*.safetensors")), 0)
    found = plan_index(
        folder,
        corpus,
        tmp_path / "out",
        options=IndexOptions(top=3, shard_tokens=500),
        run=RunOptions(workers=0, model_memory=f"{weights.least_bytes}B"),
        probe_s=0.3,
    )
    stream = found.stream
    assert stream is not None and stream.moved_bytes == sum(weights.blocks) and not stream.prefetches
    # the disk gives all files in a second, and a stream reads the blocks of them for each shard
    assert stream.weights_s == pytest.approx(sum(weights.blocks) / weights.n_bytes)
    n_shards = found.n_tokens.expected / 500
    assert found.stages_s["weights"] == pytest.approx(stream.weights_s * n_shards)
    assert found.seconds.expected == pytest.approx(sum(found.stages_s.values()))


def _size(files: object) -> int:
    return sum(file.stat().st_size for file in files)  # type: ignore[attr-defined]
