"""A change of a layer's values, and how a model is given it and gets its own back."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ffmem.errors import InputError
from ffmem.models.transformer import Transformer

Undo = Callable[[], None]
"""Puts the values back that were there before; a second call does nothing."""


@dataclass(frozen=True)
class Added:
    """Values that move by a matrix of low rank: V' = V + left right. No key moves."""

    left: Float[Tensor, "cells rank"]
    """Float32: by how much each cell goes along with each direction."""
    right: Float[Tensor, "rank d_model"]
    """Float32: the directions."""

    def applied(self, values: Float[Tensor, "cells d_model"]) -> Float[Tensor, "cells d_model"]:
        """The new values, in the number type of the old ones.

        The sum is made in float64, one direction after the other, so that every machine rounds to the same bytes.
        """
        total = values.double()
        for left, right in zip(self.left.T.to(values.device), self.right.to(values.device), strict=True):
            total = total + torch.outer(left.double(), right.double())
        return total.to(values.dtype)


@dataclass(frozen=True)
class Replaced:
    """Values of some cells that are replaced."""

    rows: Int[Tensor, "some"]
    """Of the cells within their layer, ascending."""
    values: Float[Tensor, "some d_model"]
    """Float32."""

    def applied(self, values: Float[Tensor, "cells d_model"]) -> Float[Tensor, "cells d_model"]:
        """The new values, in the number type of the old ones."""
        changed = values.clone()
        changed[self.rows.to(values.device)] = self.values.to(values)
        return changed


Change = Added | Replaced


def change_values(model: Transformer, changes: Mapping[int, Change]) -> Undo:
    """Give layers of a model other values.

    Args:
        model: of plain weights; its files are never written to.
        changes: by the place of the layer.

    Returns:
        what puts the very tensors back that were there, so that the weights have the hash that they had.

    Raises:
        InputError: the weights are packed, or layers share them; or a change does not fit its layer.
    """
    for place, change in changes.items():
        check_changeable(model, place)
        _check_shape(model, place, change)
    before: list[tuple[Tensor, Tensor]] = []
    for place, change in changes.items():
        layer = model.layer(place)
        found = change.applied(model.values(place))
        for weight in layer.value_weights():
            before.append((weight, weight.data))
            weight.data = weight.data.clone()  # it may be a file's
        first = 0
        for values in layer.values_in_place():
            values.copy_(found[first : first + len(values)])
            first += len(values)
    model.forget_weights_hash()
    return partial(_put_back, model, before)


def _put_back(model: Transformer, before: list[tuple[Tensor, Tensor]]) -> None:
    for weight, data in reversed(before):
        weight.data = data
    before.clear()
    model.forget_weights_hash()


@contextmanager
def changed_values(model: Transformer, changes: Mapping[int, Change]) -> Iterator[None]:
    """While it lasts, layers of a model have other values: see `change_values`."""
    undo = change_values(model, changes)
    try:
        yield
    finally:
        undo()


def check_changeable(model: Transformer, place: int) -> None:
    """Refuse a layer whose values cannot be given others.

    Raises:
        InputError: its weights are packed, or another part of the model has the same ones.
    """
    name = model.cells.layers[place].name
    weights = model.layer(place).value_weights()
    if not all(isinstance(one, nn.Parameter) and one.is_floating_point() for one in weights):
        raise InputError(
            f"the values of {name} of {model.facts.name} are packed into 8 or 4 bits",
            "Expected plain weights: a change would be rounded away",
            "Leave --quantize out, or name the unquantised model",
        )
    parameters = model.module.named_parameters(remove_duplicate=False)
    sharing = [path for path, one in parameters if any(one is weight for weight in weights)]
    runs = model.layout(place).runs[1]
    if len(sharing) > len(weights) or runs > 1:
        raise InputError(
            f"the values of {name} of {model.facts.name} are those of other layers, too: {', '.join(sharing[:3])}",
            "Expected a layer with values of its own: a change would be made in all of them at once",
            "Use a model whose layers do not share weights",
        )


def _check_shape(model: Transformer, place: int, change: Change) -> None:
    n_cells, d_model = model.values(place).shape
    if isinstance(change, Added):
        fits = len(change.left) == n_cells and change.right.shape[1] == d_model
        found = f"{len(change.left)} cells of {change.right.shape[1]} numbers"
    else:
        fits = change.values.shape[1] == d_model and bool(((change.rows >= 0) & (change.rows < n_cells)).all())
        found = f"rows up to {int(change.rows.max()) if len(change.rows) else 0} of {change.values.shape[1]} numbers"
    if not fits:
        raise InputError(
            f"a change of {model.cells.layers[place].name} is of {found}",
            f"Expected {n_cells} cells of {d_model} numbers, as {model.facts.name} has",
            "Make the change of this model's own values",
        )
