"""Passes that are made ahead give what they give alone, and are handed out once each."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

import ffmem
from ffmem.models.streaming.ahead import Ahead, may_gain
from tests.models.streaming.smallest import smallest_budget

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what memory is mapped from files")
Ids = list[int]


def test_results_are_handed_out_once_and_what_was_not_made_is_run(tiny_folder: Callable[[str], Path]) -> None:
    folder = tiny_folder("llama")
    model = ffmem.load_model(folder, model_memory=smallest_budget(folder), proved=False)
    run: list[Ids] = []

    @contextmanager
    def watching() -> Iterator[Callable[[Ids], torch.Tensor]]:
        def call(ids: Ids) -> torch.Tensor:
            run.append(ids)
            return model.forward(torch.tensor([ids]))

        yield call

    ahead, inputs = Ahead(model.module, watching), [[5, 6, 7], [8], [5, 6, 7], [9, 10]]
    expected = [ahead.alone(ids) for ids in inputs]
    run.clear()
    made = ahead.make(inputs)
    assert run == inputs and all(torch.equal(one, other) for one, other in zip(made, expected, strict=True))
    run.clear()
    ahead.keep(inputs, made)
    assert [ahead(ids) is one for ids, one in zip(inputs, made, strict=True)] == [True] * 4 and run == []
    assert torch.equal(ahead([8]), expected[1]) and run == [[8]], "a second time it is run"


def test_an_error_of_one_pass_ends_all_and_nothing_is_kept(tiny_folder: Callable[[str], Path]) -> None:
    folder = tiny_folder("llama")
    model = ffmem.load_model(folder, model_memory=smallest_budget(folder), proved=False)
    left: list[str] = []

    @contextmanager
    def watching() -> Iterator[Callable[[int], torch.Tensor]]:
        try:
            yield lambda token: model.forward(torch.tensor([[token]]))
        finally:
            left.append("hooks")

    ahead = Ahead(model.module, watching)
    with pytest.raises(IndexError):
        ahead.make([5, 10**6, 7])
    assert left == ["hooks"]
    assert torch.equal(ahead(5), model.forward(torch.tensor([[5]])))


def test_only_weights_that_are_brought_for_each_pass_gain(tiny_folder: Callable[[str], Path]) -> None:
    folder = tiny_folder("llama")
    budget = smallest_budget(folder)
    assert may_gain(ffmem.load_model(folder, model_memory=budget, proved=False).module)
    assert not may_gain(ffmem.load_model(folder, model_memory=10**9, proved=False).module)
    assert not may_gain(ffmem.load_model(folder, proved=False).module)
