"""Models that a finding is held against: the same architecture with nothing learned, or with its memories mixed up.

``untrained:SOURCE`` and ``shuffled:SOURCE`` load them wherever a model may be named, so that they are read, indexed and proved
as any model is. What they show as well says nothing of what the model has learned.
"""

import zlib
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from ffmem.errors import InputError
from ffmem.models.feed_forward import DenseLayer
from ffmem.models.layers import FeedForward
from ffmem.models.present import is_plain
from ffmem.models.softmax_layer import SoftmaxLayer
from ffmem.models.transformer import Transformer

ControlKind = Literal["untrained", "shuffled"]
SEED = 0
"""Of the permutations: a control is one model, with one hash."""


def split_control(source: str) -> tuple[ControlKind | None, str]:
    """What a user typed for a model -> which control of a model is meant, if one is, and that model."""
    for kind in get_args(ControlKind):
        if source.startswith(f"{kind}:"):
            return kind, source.removeprefix(f"{kind}:")
    return None, source


def as_control(model: Transformer, kind: ControlKind) -> Transformer:
    """A model changed, in its own memory, into a control of itself; the model that was given is no longer to be used.

    Args:
        model: of plain weights.
        kind: "untrained": the entries of each parameter are permuted within it, so that its moments stay and nothing learned
            does; "shuffled": within each layer, and each expert or head, values are permuted against keys.

    Raises:
        InputError: its weights are packed.
    """
    parameters = dict(model.module.named_parameters())
    if not all(is_plain(one) and one.is_floating_point() for one in parameters.values()):
        raise InputError(
            f"the weights of {model.facts.name} are packed, so that {kind}:{model.facts.name} cannot be made of them",
            "Expected plain weights",
            "Leave --quantize out, or name an unquantised model",
        )
    if kind == "untrained":
        for name, parameter in parameters.items():
            parameter.data = _permuted(parameter.data, name)
    else:
        for place, layer in enumerate(model.layer(number) for number in range(model.facts.n_layers)):
            _shuffle_values(layer, place)
    control = Transformer(f"{kind}:{model.facts.name}", model.family, model.module, model.tokenizer)
    control.adopt(model.batching)
    control.origin, control.n_embedded, control.structure = model.origin, model.n_embedded, model.structure
    return control


def _permuted(weight: Tensor, name: str) -> Tensor:
    """Its entries in another order, drawn by the name of the parameter."""
    entries = weight.reshape(-1)
    return entries[_order(name, entries)].reshape(weight.shape)


def _shuffle_values(layer: FeedForward, place: int) -> None:
    """Permute the values of a layer, in place."""
    if isinstance(layer, SoftmaxLayer):
        layer.permute_values(lambda head, vectors: _order(f"values {place} {head}", vectors))
        return
    if isinstance(layer, DenseLayer):
        weight: Tensor = layer.output_module.get_parameter("weight")
        weight.data = weight.data.clone()  # it may be a file's
        values = layer.values()
        values.copy_(values[_order(f"values {place}", values)])
        return
    weights = layer.value_weights()
    for weight in weights:
        weight.data = weight.data.clone()
    for expert, values in enumerate(layer.values_in_place()):
        values.copy_(values[_order(f"values {place} {expert}", values)])


def _order(name: str, rows: Tensor) -> Tensor:
    """A permutation of rows, drawn by a name."""
    return torch.from_numpy(_generator(name).permutation(len(rows))).to(rows.device)


def _generator(name: str) -> np.random.Generator:
    return np.random.default_rng((SEED, zlib.crc32(name.encode())))
