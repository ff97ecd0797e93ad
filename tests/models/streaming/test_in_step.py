"""Passes side by side: their order is known, each computes what it computes alone, and none outlives an error."""

import contextvars
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

import ffmem
from ffmem.models.streaming.in_step import run_in_step
from ffmem.models.streaming.spill import Spill

WORD = contextvars.ContextVar("word", default="")


class Model(nn.Module):
    """Notes who goes through which of its blocks."""

    def __init__(self, n_blocks: int = 3) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(n_blocks))
        self.seen: list[tuple[str, int]] = []

    def forward(self, name: str, x: torch.Tensor, order: tuple[int, ...] = (0, 1, 2)) -> torch.Tensor:
        self.seen.append((name, -1))
        for number in order:
            x = self.layers[number](x)
            self.seen.append((name, number))
        return x


def alive() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("pass-")]


def run(model: Model, passes: list[Callable[[], None]]) -> list[int]:
    ended: list[int] = []
    run_in_step(model, list(model.layers), passes, ended.append)
    return ended


def test_all_go_through_a_block_before_one_goes_through_the_next() -> None:
    model, x, found = Model(), torch.ones(1, 2), {}

    def read(name: str) -> None:
        found[name] = model(name, x)

    assert run(model, [partial(read, name) for name in "abc"]) == [0, 1, 2]
    assert model.seen == [(name, number) for number in (-1, 0, 1, 2) for name in "abc"]
    alone = model("alone", x)
    assert all(torch.equal(one, alone) for one in found.values())
    assert not alive() and not any(block._forward_pre_hooks for block in model.layers)


def test_passes_may_differ_in_the_blocks_that_they_take_and_blocks_come_again() -> None:
    model, x = Model(), torch.ones(1, 2)
    orders = {"a": (0,), "b": (1, 1, 1), "c": (2, 0)}
    assert run(model, [partial(model, name, x, order) for name, order in orders.items()]) == [0, 2, 1]
    for name, order in orders.items():
        assert [number for one, number in model.seen if one == name] == [-1, *order]


def test_who_runs_the_model_meanwhile_outside_a_pass_does_not_wait() -> None:
    model, x = Model(), torch.ones(1, 2)
    outside, note = partial(model, "outside", x), [].append
    run_in_step(model, list(model.layers), [partial(model, "a", x)] * 2, lambda _: note(outside()))
    assert model.seen.count(("outside", 2)) == 2


def test_a_pass_computes_as_its_caller_does() -> None:
    model, told = Model(), []

    def note() -> None:
        model("a", torch.ones(1, 2))
        told.append((torch.is_inference_mode_enabled(), torch.get_num_threads(), WORD.get()))

    before = torch.get_num_threads()
    token = WORD.set("said")
    try:
        torch.set_num_threads(2)
        with torch.inference_mode():
            run(model, [note])
        run(model, [note])
    finally:
        torch.set_num_threads(before)
        WORD.reset(token)
    assert told == [(True, 2, "said"), (False, 2, "said")]


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("none left"), KeyboardInterrupt(), ValueError("bad")])
@pytest.mark.parametrize("at", [-1, 1, 2])
def test_an_error_of_one_ends_all(error: BaseException, at: int) -> None:
    model, x, left = Model(), torch.ones(1, 2), []

    def read(name: str) -> None:
        try:
            model(name, x)
        finally:
            left.append(name)

    def fail() -> None:
        if at < 0:
            raise error
        model("bad", x)

    def fail_there(*_: object) -> None:
        if threading.current_thread().name == "pass-1":
            raise error

    model.layers[at].register_forward_hook(fail_there)
    with pytest.raises(type(error)) as raised:
        run(model, [partial(read, "a"), fail, partial(read, "c")])
    assert raised.value is error
    assert not alive() and "a" in left, "what had begun was ended, its own way"
    assert ("a", 2) not in model.seen or at == 2


def test_an_error_of_the_caller_ends_all() -> None:
    model, x = Model(), torch.ones(1, 2)

    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_in_step(model, list(model.layers), [partial(model, "a", x, (0,)), partial(model, "b", x)], interrupted)
    assert not alive() and ("b", 1) not in model.seen


@pytest.mark.parametrize("variant", ["llama", "bert", "qwen3_moe", "t5_gated"])
def test_models_give_the_same_bits_while_their_states_leave_the_device(
    variant: str, tiny_folder: Callable[[str], Path]
) -> None:
    model = ffmem.load_model(tiny_folder(variant), proved=False)
    inputs = [torch.tensor([[5, 7, 9, 11]]), torch.tensor([[4, 8, 15, 16, 23, 42], [9, 8, 7, 6, 5, 4]])]
    blocks = [part for name, part in model.module.named_modules() if name.split(".")[-1].isdigit()]
    now, found = threading.local(), [[], []]

    def read(number: int) -> None:
        now.kept = found[number]
        now.kept.append(model.forward(inputs[number]))

    with torch.inference_mode():
        expected: list[list[torch.Tensor]] = [[], []]
        with model.watch_coefficients(lambda _, m: now.kept.append(m.clone())):
            for number in (0, 1):
                now.kept = expected[number]
                now.kept.append(model.forward(inputs[number]))
            run_in_step(
                model.module,
                blocks,
                [partial(read, 0), partial(read, 1)],
                lambda _: None,
                lambda: Spill(model.module, least=64, always=True),
            )
    for ours, theirs in zip(found, expected, strict=True):
        assert len(ours) == len(theirs) == model.facts.n_layers + 1
        assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
