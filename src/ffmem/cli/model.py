"""Commands that run a model."""

from typing import Annotated

import ffmem
from ffmem import render
from ffmem.cli.app import FLAT, Count, Json, app, show
from ffmem.cli.options import ModelName, ModelOptions
from ffmem.errors import InputError


@app.command
def activate(
    model: ModelName,
    text: str,
    /,
    *,
    index: str | None = None,
    by: str = "norm",
    layer: str | None = None,
    limit: Count = 5,
    options: Annotated[ModelOptions, FLAT] = ModelOptions(),  # noqa: B008 (frozen)
    json: Json = False,
) -> None:
    """The cells that a text activates most, token by token.

    Parameters
    ----------
    text
        Words in quotes.
    index
        An index of this model: shows what each cell is known for.
    by
        How cells are compared: norm (coefficient x length of the value, what a cell adds), coefficient, or share (of the
        cell's largest in the index).
    layer
        One layer: 9, L9, dec.L3.
    limit
        Cells a token.
    json
        Print one JSON document.
    """
    from typing import get_args

    from ffmem.analyses.activation import Strength
    from ffmem.analyses.activation import activate as find

    if by not in get_args(Strength):
        raise InputError(f"--by is {by!r}", f"Expected one of: {', '.join(get_args(Strength))}", "Write --by norm")
    opened = None if index is None else ffmem.open_index(index)
    loaded = options.load(model)
    found = find(loaded, text, index=opened, by=by, layer=layer, limit=limit)  # type: ignore[arg-type]
    show(found if json else render.activation(found))
