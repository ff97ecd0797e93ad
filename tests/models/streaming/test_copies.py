"""Copies of weights, and what stands in their place."""

import torch

from ffmem.models.streaming.copies import placeholder, to_device

CPU = torch.device("cpu")


def test_a_copy_is_the_conversion_that_torch_makes_and_shares_nothing() -> None:
    source = torch.tensor([1.00390625, -3.0, 1e-30])
    with torch.inference_mode():
        found = to_device(source, torch.bfloat16, CPU)
    assert torch.equal(found, source.bfloat16()) and isinstance(found, torch.nn.Parameter)
    assert not found.requires_grad and not found.is_inference()
    same = to_device(source, torch.float32, CPU)
    assert same.data_ptr() != source.data_ptr() and torch.equal(same, source)


def test_what_stands_in_place_of_a_weight_takes_no_memory_and_spoils_what_is_computed_with_it() -> None:
    found = placeholder(torch.Size([1000, 1000]), torch.float16, CPU)
    assert found.shape == (1000, 1000) and found.dtype == torch.float16
    assert found.untyped_storage().nbytes() == 2
    assert bool((found[:3, :3] + 1).isnan().all())
    assert placeholder(torch.Size([2]), torch.int64, CPU).tolist() == [0, 0]
