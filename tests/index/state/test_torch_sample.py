"""The sample kept by tensors against that of the compiled loops: the same bytes."""

import numpy as np
import pytest
import torch

from ffmem.ids import LayerCells
from ffmem.index.state.layers import CpuLayer, Shape, TorchLayer
from ffmem.index.state.torch_sample import TorchSample
from tests.index.state.test_sample import SAMPLE, batches, same

DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[
            pytest.mark.gpu,
            pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU; there is none on this machine"),
        ],
    ),
]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("n_signs", [1, 2])
@pytest.mark.parametrize("most", [40, 2**22])
def test_tensors_keep_what_the_compiled_loops_keep(
    device: str, n_signs: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ffmem.index.state.torch_sample._MOST", most)  # few rows at a time, and all at once
    shape = Shape((LayerCells(0, 20),), n_signs, 3, "1", sample=3)
    made, seen = batches(11, 20, 12)
    compiled, tensors, later = CpuLayer(20, shape), TorchLayer(20, shape, device), TorchLayer(20, shape, device)
    for number, (values, places) in enumerate(made):
        if number == 6:
            later.load(tensors.state())
            tensors = later
        compiled.observe(values, places)
        tensors.observe(values.to(device), places)
        compiled.close_shard()
        tensors.close_shard()
    assert same(tensors.state(), compiled.state()) and same(tensors.state(), seen.expected(n_signs, 3))
    assert [tensors.state()[name].dtype for name in SAMPLE] == [np.int64, np.float32, np.int64]


def test_half_precision_is_widened_and_a_shard_can_be_rolled_back() -> None:
    shape = Shape((LayerCells(0, 20),), 2, 3, "1", sample=3)
    sizes = shape.sizes(shape.layers[0])
    made, _ = batches(12, 20, 6)
    ours, wide = TorchSample(2, sizes, "cpu"), TorchSample(2, sizes, "cpu")
    for values, places in made[:4]:
        ours.observe(values.half(), places)
        wide.observe(values.half().float(), places)
    before = {name: array.copy() for name, array in ours.state().items()}
    assert same(before, wide.state())
    ours.keep()
    for values, places in made[4:]:
        ours.observe(values * 8, places)
    assert not same(ours.state(), before)
    ours.roll_back()
    assert same(ours.state(), before)
    for values, places in made[4:]:
        ours.observe(values, places)
        wide.observe(values, places)
    assert same(ours.state(), wide.state())
