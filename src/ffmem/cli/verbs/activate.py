"""The verb that lists the cells which a text activates."""

from typing import Annotated

import ffmem
from ffmem import render
from ffmem.analyses import activation
from ffmem.analyses.activation import Strength
from ffmem.cli.app import FLAT, Count, Json, show
from ffmem.cli.options import KnownFrom, ModelName, ModelOptions, Text


def activate(
    model: ModelName,
    text: Text,
    /,
    *,
    index: KnownFrom = None,
    by: Strength = "norm",
    layer: str | None = None,
    limit: Count = 5,
    options: Annotated[ModelOptions, FLAT] = ModelOptions(),  # noqa: B008 (frozen)
    json: Json = False,
) -> None:
    """Show the cells that a text activates most, token by token.

    Parameters
    ----------
    by
        How cells are compared: norm (coefficient x length of the value, what a cell adds), coefficient, or share (of the
        cell's largest in the index).
    layer
        One layer: 9, L9, dec.L3.
    limit
        Cells shown for each token.
    """
    opened = None if index is None else ffmem.open_index(index)
    found = activation.activate(options.load(model), text, index=opened, by=by, layer=layer, limit=limit)
    show(found.to_json() if json else render.activation(found))
