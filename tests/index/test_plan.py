"""What a build would take: the formulas against files, the probe against builds, and what cannot fit."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ffmem import Index, IndexOptions, InputError, RunOptions
from ffmem.index import resources
from ffmem.index.plan import plan_index
from ffmem.index.resources import check_room, layers_bytes, state_bytes
from ffmem.index.state.accumulator import LayerAccumulator
from ffmem.index.state.layers import Shape
from ffmem.json_values import to_json
from tests.conftest import write_corpus
from tests.fixtures.programs import ffmem


@pytest.mark.parametrize("family", ["gpt2", "llama", "mixtral", "t5"])
def test_the_sizes_are_those_of_the_files(family: str, index_of: Callable[[str], Index], tmp_path: Path) -> None:
    index = index_of(family)
    options = index.manifest.options
    shape = Shape(index.cells.layers, index.n_signs, options.top, options.per_sentence)
    found = sum(path.stat().st_size for path in (index.folder / "index" / "layers").iterdir())
    header = 1200 * index.n_layers
    assert 0 <= found - layers_bytes(shape, options.promoted) <= header
    (tmp_path / "state").write_bytes(LayerAccumulator(shape).dump("job"))
    assert 0 <= (tmp_path / "state").stat().st_size - state_bytes(shape) <= 1000 * index.n_layers


def test_a_plan_is_near_the_build(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "words.txt", 300)
    options = IndexOptions(top=5)
    found = plan_index(
        tiny_folder("llama"), corpus, tmp_path / "out", options=options, run=RunOptions(workers=1), probe_s=1.0
    )
    assert not (tmp_path / "out").exists()
    command = ("index", tiny_folder("llama"), corpus, "--top", 5)
    ffmem(*command, "--out", tmp_path / "out", "--workers", 1, "--quiet")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_bytes())
    assert found.n_tokens.low == found.n_tokens.high == manifest["counts"]["n_tokens"]  # small enough to be counted
    n_bytes = sum(file["bytes"] for file in manifest["files"].values())
    assert found.index_bytes == pytest.approx(n_bytes, rel=0.25)
    assert found.whole_corpus and found.n_workers == 1
    assert found.seconds.low <= found.seconds.expected <= found.seconds.high
    assert set(found.stages_s) == {"model", "certificate", "text", "workers", "values", "memories", "files"}
    assert json.loads(json.dumps(to_json(found)))["memory_bytes"] > 10**7


def test_the_rest_of_a_long_corpus_is_counted(
    tiny_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ffmem.index.plan.TEXT_TOKENS", 3000)
    corpus = write_corpus(tmp_path / "words.txt", 300)
    small = IndexOptions(top=3, holdout=0, duplicates="keep")
    found = plan_index(
        tiny_folder("gpt2"), corpus, tmp_path / "out", options=small, run=RunOptions(workers=0), probe_s=0.5
    )
    model, counts = tiny_folder("gpt2"), tmp_path / "whole"
    command = ("index", model, corpus, "--out", counts, "--top", 3)
    ffmem(*command, "--holdout", 0, "--duplicates", "keep", "--workers", 0, "--quiet")
    n_tokens = json.loads((counts / "manifest.json").read_bytes())["counts"]["n_tokens"]
    assert found.n_tokens.low < n_tokens < found.n_tokens.high and n_tokens > 6000
    assert found.n_tokens.expected == pytest.approx(n_tokens, rel=0.1)


def test_what_cannot_fit_is_refused(
    tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ffmem import build_index

    monkeypatch.setattr(resources, "free_disk", lambda _: 1000)
    with pytest.raises(
        InputError, match=r"the index needs [\d.]+ MB of disk in .*, and 0\.0 MB is free\..*lower --top"
    ):
        build_index(tiny_folder("llama"), corpus, tmp_path / "out", run=RunOptions(workers=0))
    assert not (tmp_path / "out" / "index").exists()
    monkeypatch.setattr(resources, "free_disk", lambda _: 10**12)
    monkeypatch.setattr(resources, "free_memory", lambda: 10**4)
    with pytest.raises(
        InputError, match=r"the build needs [\d.]+ MB of memory, and 0\.0 MB is free\..*Lower --workers"
    ):
        build_index(tiny_folder("llama"), corpus, tmp_path / "out", run=RunOptions(workers=0))
    monkeypatch.setattr(resources, "free_memory", lambda: None)  # where the system does not say, nothing is refused
    check_room(tmp_path / "not there yet", 10, 10**20)


@pytest.mark.skipif(not hasattr(os, "sysconf"), reason="asks for memory as POSIX does")
def test_free_memory_is_less_than_there_is() -> None:
    free = resources.free_memory()
    assert free is not None and 0 < free <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
