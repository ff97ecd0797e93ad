"""Commands that run a model."""

import ffmem
from ffmem import render
from ffmem.cli.app import Json, app, show
from ffmem.errors import InputError


@app.command
def activate(
    model: str,
    text: str,
    /,
    *,
    index: str | None = None,
    by: str = "norm",
    layer: str | None = None,
    limit: int = 5,
    revision: str | None = None,
    dtype: str = "float32",
    device: str = "cpu",
    json: Json = False,
) -> None:
    """The cells that a text activates most, token by token.

    Parameters
    ----------
    model
        A Hugging Face id (or id@revision) or folder, a .gguf file, fairseq:FOLDER, reference, smollm2 or minilm.
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
    revision
        Revision of a hub model.
    dtype
        Number type of the model's weights.
    device
        Where the model runs.
    json
        Print one JSON document.
    """
    from typing import get_args

    from ffmem.analyses.activation import Strength
    from ffmem.analyses.activation import activate as find
    from ffmem.index.identity import check_device

    if by not in get_args(Strength):
        raise InputError(f"--by is {by!r}", f"Expected one of: {', '.join(get_args(Strength))}", "Write --by norm")
    opened = None if index is None else ffmem.open_index(index)
    check_device(device)
    loaded = ffmem.load_model(model, dtype=dtype, device=device, revision=revision)  # type: ignore[arg-type]
    found = find(loaded, text, index=opened, by=by, layer=layer, limit=limit)  # type: ignore[arg-type]
    show(found.to_json() if json else render.activation(found))
