"""States that leave the device and come back: here both are this machine's memory."""

import torch
from torch import nn

from ffmem.models.streaming.spill import Spill


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(100))
        self.register_buffer("angles", torch.arange(100.0))
        self.cached = torch.arange(100.0)


def spill(least: int = 100) -> Spill:
    return Spill(Model(), least=least, always=True)


def bytes_of(one: torch.Tensor) -> int:
    return one.untyped_storage().nbytes()


def test_a_state_takes_no_memory_meanwhile_and_is_the_same_to_its_holders_afterwards() -> None:
    moved = spill()
    with torch.inference_mode():
        state = torch.randn(10, 10)
    view, small, before = state[2:5], torch.ones(2), state.clone()
    moved.out(((state, small), {"mask": [view], "flag": True}))
    assert bytes_of(state) == 0 == bytes_of(view) and bytes_of(small) == 8
    moved.back()
    assert torch.equal(state, before) and torch.equal(view, before[2:5])


def test_what_the_model_keeps_for_all_passes_stays() -> None:
    model = Model()
    moved = Spill(model, least=100, always=True)
    moved.out((model.weight, model.angles[:50], model.cached.view(10, 10)))
    assert bytes_of(model.weight) == bytes_of(model.angles) == bytes_of(model.cached) == 400


def test_what_a_pass_still_holds_from_an_earlier_block_leaves_as_well() -> None:
    moved, first = spill(), torch.randn(100)
    before = first.clone()
    moved.out((first,))
    moved.back()
    first += 1  # a block may write to what it is given
    second = torch.randn(100)
    moved.out((second,))
    assert bytes_of(first) == bytes_of(second) == 0
    moved.back()
    assert torch.equal(first, before + 1)
    del second
    moved.out(())
    assert bytes_of(first) == 0
    moved.back()
    assert torch.equal(first, before + 1)


def test_on_a_cpu_nothing_moves() -> None:
    state = torch.randn(100)
    moved = Spill(Model(), least=100)
    moved.out((state,))
    assert bytes_of(state) == 400
