"""One pass, module by module."""

import torch
from torch import Tensor, nn

from ffmem.models.structure.recording import mark, record, run_again


class Twice(nn.Module):
    """Runs one module two times, by name, on states of a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.same, self.block = nn.Embedding(5, 2), nn.Identity(), nn.Sequential(nn.ReLU())

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        x = self.block(input=self.same(self.table(ids)))
        return self.same(x - 1), torch.ones(1, 3, 2, 2)


def test_runs_are_in_order_with_what_went_in_and_out() -> None:
    module = Twice().eval()
    module.table.weight.data = torch.tensor([[0.0, 1.0], [-2.0, 3.0], [4.0, -5.0], [0.0, 0.0], [1.0, 1.0]])
    recording = record(module, {"ids": torch.tensor([[2, 1]])})
    assert [one.path for one in recording.calls] == ["", "table", "same", "block", "block.0", "same"]
    whole, table, first, block, relu, second = recording.calls
    assert torch.equal(whole.ids[0], torch.tensor([[2, 1]])) and whole.named == {"ids"}
    assert torch.equal(table.output, torch.tensor([[4.0, -5.0], [-2.0, 3.0]])) and not table.inputs
    assert table.axes == 3 and block.named == {"input"}
    assert torch.equal(relu.output, torch.tensor([[4.0, 0.0], [0.0, 3.0]]))
    assert torch.equal(second.input, torch.tensor([[3.0, -1.0], [-1.0, 2.0]]))
    assert whole.weights is not None and whole.weights.shape == (1, 3, 2, 2)
    assert recording.of(module.same) == [first, second]
    assert recording.within(block) == [relu] and len(recording.within(whole)) == 5
    assert recording.givers(relu.output) == [relu, block]
    assert recording.takers(table.output) == [first, block, relu]


def test_what_is_changed_in_place_later_is_kept_as_it_was() -> None:
    module = nn.Sequential(nn.Identity(), nn.ReLU(inplace=True))
    recording = record(module, {"input": torch.tensor([[-1.0, 2.0]])})
    assert torch.equal(recording.of(module[0])[0].output, torch.tensor([[-1.0, 2.0]]))
    assert not module[0]._forward_hooks and not module._forward_pre_hooks


def test_marks_are_of_numbers() -> None:
    x = torch.arange(6.0)
    assert mark(x.view(2, 3)) == mark(x.view(1, 2, 3)) != mark(x.view(3, 2))
    assert mark(torch.tensor([0.0])) == mark(torch.tensor([-0.0])) != mark(torch.tensor([1e-30]))


def test_a_module_is_run_again_where_its_numbers_are() -> None:
    """On a GPU what is recorded lies elsewhere than the module."""
    seen = []

    class Elsewhere(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("beta", torch.empty(1, device="meta"))

        def forward(self, states: Tensor) -> tuple[Tensor, str]:
            seen.append(states.device.type)
            return torch.full(states.shape, 3.0), "more"

    assert run_again(Elsewhere(), torch.zeros(1, 2)).tolist() == [[3.0, 3.0]] and seen == ["meta"]
    assert run_again(nn.ReLU(), torch.tensor([-1.0, 2.0])).tolist() == [0.0, 2.0]
