"""What a worker accumulates in: the sizes that a model and the options ask for, and the form of a device."""

from collections.abc import Callable
from pathlib import Path

import pytest

import ffmem
from ffmem import IndexOptions
from ffmem.ids import LayerCells
from ffmem.index.scan import accumulators
from ffmem.index.scan.accumulators import accumulator_shape, make_accumulator
from ffmem.index.state.accumulator import LayerAccumulator
from ffmem.index.state.layers import CpuLayer, Shape, TorchLayer


@pytest.mark.parametrize(
    ("family", "n_signs", "experts"), [("gpt2", 1, 0), ("bert", 1, 0), ("llama", 2, 0), ("mixtral", 2, 4)]
)
def test_gated_cells_have_lists_of_both_signs_and_experts_cells_of_their_own(
    family: str, n_signs: int, experts: int, tiny_folder: Callable[[str], Path]
) -> None:
    model = ffmem.load_model(tiny_folder(family))
    shape = accumulator_shape(model, IndexOptions(top=6, per_sentence="all"))
    assert (shape.n_signs, shape.top, shape.per_sentence) == (n_signs, 6, "all")
    assert [one.n_experts for one in shape.layers] == [experts] * len(model.cells.layers)
    sizes = shape.sizes(shape.layers[0])
    assert sizes["cells"] == model.values(0).shape[0] and sizes["slots"] == sizes["cells"] * n_signs * 6


def test_an_index_of_some_cells_has_room_for_those_alone(tiny_folder: Callable[[str], Path]) -> None:
    shape = accumulator_shape(ffmem.load_model(tiny_folder("gpt2")), IndexOptions(cells="L2.3,L0.1-4"))
    assert [(one.name, one.group_size) for one in shape.layers] == [("L0", 4), ("L2", 1)]


def test_the_device_decides_the_form(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = Shape((LayerCells(0, 4),), 1, 2, "1")
    on_cpu = make_accumulator(shape, "cpu")
    assert isinstance(on_cpu, LayerAccumulator) and isinstance(on_cpu._groups[0][0], CpuLayer)
    elsewhere = make_accumulator(shape, "meta")
    assert isinstance(elsewhere, LayerAccumulator) and isinstance(elsewhere._groups[0][0], TorchLayer)
    pytest.importorskip("triton", reason="triton, which compiles the loops for a GPU, is not installed")
    from ffmem.index.state import gpu_accumulator

    made: list[tuple[str, Shape, str]] = []

    def form(name: str) -> Callable[[Shape, str], LayerAccumulator]:
        def make(given: Shape, device: str) -> LayerAccumulator:
            made.append((name, given, device))
            return on_cpu

        return make

    monkeypatch.setattr(gpu_accumulator, "GpuAccumulator", form("loops of a GPU"))
    monkeypatch.setattr(accumulators, "LayerAccumulator", form("tensors"))
    too_long = Shape(shape.layers, 1, gpu_accumulator.MAX_TOP + 1, "1")
    for one in (shape, too_long):
        make_accumulator(one, "cuda:0")
    monkeypatch.setattr(accumulators, "find_spec", lambda _: None)
    make_accumulator(shape, "cuda")
    expected = [("loops of a GPU", shape, "cuda:0"), ("tensors", too_long, "cuda:0"), ("tensors", shape, "cuda")]
    assert made == expected, "a program holds no longer list, and without triton there are none"
