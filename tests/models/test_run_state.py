"""What a model keeps beside its parameters is seen to change, and put back."""

import torch
from torch import nn

from ffmem.models.run_state import RunState


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.ones(4))
        self.n_seen, self._own_book = 0, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.n_seen += 1
        self._own_book += 1
        self.frequencies *= 2
        return x


def test_changes_are_named_and_put_back() -> None:
    module = nn.Sequential(nn.Linear(2, 2), Counting())
    state = RunState(module)
    assert state.changed() == []
    module(torch.zeros(1, 2))
    assert sorted(state.changed()) == ["1.frequencies", "1.n_seen"]  # what begins with "_" is book-keeping
    state.restore()
    assert state.changed() == []
    assert module[1].n_seen == 0 and module[1].frequencies.tolist() == [1] * 4


def test_what_is_put_back_is_a_copy() -> None:
    module = Counting()
    state = RunState(module)
    for _ in range(2):
        module(torch.zeros(1))
        state.restore()
    assert module.frequencies.tolist() == [1] * 4


def test_a_large_buffer_is_only_noticed() -> None:
    module = nn.Module()
    module.register_buffer("mask", torch.zeros(1_000_001))
    state = RunState(module)
    module.mask[3] = 1
    assert state.changed() == [".mask"]
    state.restore()
    assert module.mask[3] == 1
