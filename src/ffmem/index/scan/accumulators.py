"""What a worker accumulates in: its sizes, and on which device it computes."""

from collections.abc import Sequence
from importlib.util import find_spec

import torch

from ffmem.index.identity import indexed_cells
from ffmem.index.state.accumulator import Accumulator, LayerAccumulator
from ffmem.index.state.layers import Shape
from ffmem.index.state.quadrants import QuadrantAccumulator
from ffmem.index.state.spread import SpreadAccumulator
from ffmem.models.transformer import Transformer
from ffmem.options import IndexOptions


def accumulator_shape(model: Transformer, options: IndexOptions, active_sentences: bool = True) -> Shape:
    """Sizes of the accumulator of a model; gated cells keep lists of both signs.

    Args:
        model: the model.
        options: the options.
        active_sentences: see `Shape`.
    """
    layers = indexed_cells(model, options).layers
    return Shape(
        layers,
        model.facts.n_signs,
        options.top,
        options.per_sentence,
        quadrants=options.quadrants,
        sample=options.sample,
        active_sentences=active_sentences,
    )


def devices_of(model: Transformer, options: IndexOptions) -> list[torch.device]:
    """Where the coefficients of each layer of an index are; of a dictionary, where the layer is that it stands beside."""
    space, devices = indexed_cells(model, options), []
    for place in range(len(space.layers)):
        whole = space.whole_place(place)
        if whole >= model.facts.n_layers:
            whole = model.cells.parse_layer(space.layers[place].own_name)
        devices.append(model.device_of(whole))
    return devices


def make_accumulator(shape: Shape, device: str, devices: Sequence[torch.device] = ()) -> Accumulator:
    """Trigger lists and statistics on a device: in compiled loops on a CPU and a CUDA GPU, as tensors elsewhere.

    Args:
        shape: of all.
        device: where the model is.
        devices: where each layer is, where it is spread over several; the lists of a layer are beside it.
    """
    if len(set(devices)) > 1:
        return SpreadAccumulator(shape, [str(one) for one in devices], make_accumulator)
    if shape.quadrants:
        return QuadrantAccumulator(shape)
    if torch.device(device).type == "cuda" and find_spec("triton") is not None:
        # it needs triton, which only torch for a GPU brings
        from ffmem.index.state.gpu_accumulator import MAX_TOP, GpuAccumulator

        if shape.top <= MAX_TOP:
            return GpuAccumulator(shape, device)
    return LayerAccumulator(shape, device)
