"""Batches in waves: an index of a streamed model has the bytes of one held whole."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import ffmem
from ffmem import IndexOptions, ModelError, RunOptions
from ffmem.index.scan import waves
from ffmem.index.scan.batches import Batch, Run
from ffmem.index.scan.waves import Waves, may_go_in_step
from ffmem.models.base import Batching
from ffmem.models.transformer import Transformer
from ffmem.store.paths import StorePaths
from tests.models.streaming.smallest import smallest_budget

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what memory is mapped from files")
OPTIONS: dict[str, Any] = {"top": 4, "promoted": 5, "batch_tokens": 64, "shard_tokens": 300, "holdout": 0.0}


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("waves") / "lines.txt"
    path.write_text("".join(f"the {n} of the river and {'a letter ' * (n % 7)}\n" for n in range(24)))
    return path


def batch(n_rows: int, length: int) -> Batch:
    return Batch(tuple(range(n_rows)), (Run(0, n_rows, length),))


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path not in (StorePaths(folder).run, folder / "lock")
    }


@pytest.mark.parametrize(
    ("variant", "more"),
    [
        ("llama", {"quadrants": True, "sample": 2}),
        ("opt_post_ln", {"cells": "L1", "dtype": "bfloat16"}),
        ("qwen3_moe", {"batch_tokens": 33, "per_sentence": "all"}),
        ("t5", {"shard_tokens": 10_000}),
        ("wikilm", {}),
    ],
)
def test_the_index_has_the_same_bytes(
    variant: str, more: dict[str, Any], lines: Path, tmp_path: Path, tiny_folder: Callable[[str], Path]
) -> None:
    folder, options = tiny_folder(variant), IndexOptions(**(OPTIONS | {"split": "lines"} | more))
    budget = smallest_budget(folder, options.dtype)
    for name, memory in (("whole", None), ("streamed", f"{budget}B")):
        run = RunOptions(workers=0, model_memory=memory)
        ffmem.build_index(folder, lines, tmp_path / name, options=options, run=run)
    assert files(tmp_path / "whole") == files(tmp_path / "streamed")


def test_a_build_goes_on_with_a_budget_and_without(
    lines: Path, tmp_path: Path, tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, options = tiny_folder("llama"), IndexOptions(**OPTIONS, split="lines")
    streamed = RunOptions(workers=0, model_memory=f"{smallest_budget(folder)}B", checkpoint_s=0)
    ffmem.build_index(folder, lines, tmp_path / "whole", options=options, run=RunOptions(workers=0))
    run, n_run = Waves.run, []

    def stopped(self: Waves, *args: Any) -> None:
        n_run.append(1)
        if len(n_run) == 2:
            raise KeyboardInterrupt
        run(self, *args)

    monkeypatch.setattr(Waves, "run", stopped)
    with pytest.raises(KeyboardInterrupt):
        ffmem.build_index(folder, lines, tmp_path / "resumed", options=options, run=streamed)
    monkeypatch.setattr(Waves, "run", run)
    ffmem.build_index(folder, lines, tmp_path / "resumed", options=options, run=RunOptions(workers=0))
    assert files(tmp_path / "resumed") == files(tmp_path / "whole")


def test_waves_are_as_large_as_the_memory_holds(tiny_folder: Callable[[str], Path], monkeypatch: Any) -> None:
    model = ffmem.load_model(tiny_folder("llama"), proved=False)
    batches = [batch(2, 10), batch(3, 10), batch(1, 10), batch(9, 10), batch(1, 10)]
    width = lambda one: one.max_length  # noqa: E731
    assert list(Waves(model).of(batches, width)) == [[one] for one in batches], "held whole: one by one"
    monkeypatch.setattr(waves, "_most_positions", lambda _: 60)
    assert list(Waves(model, True).of(batches, width)) == [batches[:3], [batches[3]], [batches[4]]]
    monkeypatch.setattr(waves, "_MOST", 2)
    assert [len(one) for one in Waves(model, True).of(batches, width)] == [2, 1, 1, 1]
    assert list(Waves(model, False).of([], width)) == []
    assert list(Waves(model, False).of(batches, width)) == [[one] for one in batches]


def test_a_model_that_keeps_something_of_its_input_is_found_out(tiny_folder: Callable[[str], Path]) -> None:
    folder = tiny_folder("llama")
    model = ffmem.load_model(folder, model_memory=smallest_budget(folder), proved=False)
    assert may_go_in_step(model)
    body = model.module.model
    kept: list[int] = []
    body.register_forward_pre_hook(
        lambda _, __, named: kept.append(named["input_ids"].shape[1]) or None, with_kwargs=True
    )
    hook = body.layers[1].register_forward_hook(lambda _, __, state: state * kept[-1])
    assert not may_go_in_step(model), "the last input that was begun is not the one that is read"
    hook.remove()
    model.batching = Batching(True, fresh=True)
    assert not may_go_in_step(model)
    assert not may_go_in_step(ffmem.load_model(folder, proved=False))


def test_what_is_not_finite_is_refused_as_ever(
    lines: Path, tmp_path: Path, tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_folder("llama")
    run, stage = RunOptions(workers=0, model_memory=f"{smallest_budget(folder)}B"), []
    forward = Transformer.forward

    def spoiled(self: Transformer, token_ids: torch.Tensor, *rest: Any) -> torch.Tensor:
        if stage[-1:] != ["memories"]:
            return forward(self, token_ids, *rest)
        hook = self.module.model.layers[1].mlp.down_proj.register_forward_pre_hook(
            lambda _, x: (x[0] * float("nan"),), prepend=True
        )
        try:
            return forward(self, token_ids, *rest)
        finally:
            hook.remove()

    monkeypatch.setattr(Transformer, "forward", spoiled)
    with pytest.raises(ModelError, match="not a finite number"):
        ffmem.build_index(
            folder,
            lines,
            tmp_path / "out",
            options=IndexOptions(**OPTIONS, split="lines"),
            run=run,
            progress=lambda now: stage.append(now.stage),
        )
