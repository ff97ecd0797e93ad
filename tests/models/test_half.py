"""A model of half precision in float32, for a while."""

import pytest
import torch
from torch import nn

from ffmem.models.half import in_float32


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_it_is_as_before_bit_by_bit(dtype: torch.dtype) -> None:
    module = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3).to(dtype))
    module[1].weight = nn.Parameter(torch.tensor([[0.1, 2.0, -3.0]] * 3, dtype=dtype))
    module.register_buffer("order", torch.arange(3))
    before = {name: one.clone() for name, one in module.state_dict().items()}

    def changed_and_broken_off() -> None:
        with in_float32(module):
            assert module(torch.ones(1, 3)).dtype == torch.float32
            assert torch.equal(module[1].weight, before["1.weight"].float())
            assert module.state_dict()["order"].dtype == torch.int64
            module[1].weight.data += 1
            raise KeyError

    with pytest.raises(KeyError):
        changed_and_broken_off()
    after = module.state_dict()
    assert all(torch.equal(after[name], one) and after[name].dtype == one.dtype for name, one in before.items())


def test_tied_weights_stay_tied() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)).half()
    module[1].weight = module[0].weight
    with in_float32(module):
        assert module[1].weight.data_ptr() == module[0].weight.data_ptr()
        assert module[0].weight.dtype == torch.float32
    assert module[1].weight is module[0].weight and module[0].weight.dtype == torch.float16
