"""The verb that lists the cells which a text activates."""

from typing import Annotated

from ffmem import render
from ffmem.analyses import activation
from ffmem.analyses.activation import Strength
from ffmem.cli.app import FLAT, Count, Json, show
from ffmem.cli.choosing import check_save, keep_cells
from ffmem.cli.options import KnownFrom, KnownModel, ModelOptions, Out, Save, Text
from ffmem.cli.writing import check_out, write_answer


def activate(
    model: KnownModel,
    text: Text,
    /,
    *,
    index: KnownFrom = None,
    by: Strength = "norm",
    layer: str | None = None,
    limit: Count = 5,
    out: Out = None,
    save: Save = None,
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
        One layer: 9, L9, dec.L3; or a dictionary of the index: L9.tc16k.
    limit
        Cells shown for each token.
    """
    check_out(out)
    check_save(save, index or model)
    opened, loaded = options.load_known(model, index)
    found = activation.activate(loaded, text, index=opened, by=by, layer=layer, limit=limit)
    keep_cells(opened, save, ((cell.cell, cell.coefficient) for token in found.tokens for cell in token.cells))
    if out is not None:
        rows = [
            {"position": one.position, "token": one.token, "at": cell} for one in found.tokens for cell in one.cells
        ]
        show(write_answer(out, found, rows))
        return
    show(found.to_json() if json else render.activation(found))
