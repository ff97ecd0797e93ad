"""Commands that draw where a prediction comes from."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

import ffmem
from ffmem import render
from ffmem.analyses import flow as flowing
from ffmem.analyses.flow_parts import cut
from ffmem.cli.app import FLAT, Json, Share, as_json, show
from ffmem.cli.options import IndexModelOptions, KnownFrom, ModelOptions, Text
from ffmem.errors import InputError
from ffmem.render.flow_svg import as_file, flow_svg
from ffmem.store.paths import StorePaths
from ffmem.store.reader import Index

if TYPE_CHECKING:
    from ffmem.models.transformer import Transformer

_FORMS = (".svg", ".json")


def flow(
    model: Annotated[
        str, Parameter(help="An index, whose model is asked; or a model, as `ffmem explain` is given one.")
    ],
    text: Text,
    /,
    *,
    target: str | None = None,
    against: str | None = None,
    at: int | None = None,
    pin: tuple[str, ...] = (),
    share: Share = None,
    index: KnownFrom = None,
    out: Path | None = None,
    options: Annotated[ModelOptions, FLAT] = ModelOptions(),  # noqa: B008 (frozen)
    json: Json = False,
) -> None:
    """Show where a prediction comes from: heads by the token that they read, cells and biases, as one exact sum and a picture.

    Parameters
    ----------
    target
        The token to explain, exactly one, spaces included: " Paris". By default the model's own prediction.
    against
        A second token: then everything is a part of the difference of the two scores.
    at
        The token of the text after which is asked, from 0; by default the last.
    pin
        A cell that is shown in any case, with what made it fire: L9.203. May be given several times.
    share
        How much is shown, as a part of the sum of all sizes; by default the 24 largest parts, and 150 at most.
    out
        Write the picture (.svg) or everything (.json) into this file.
    """
    if out is not None and out.suffix not in _FORMS:
        raise InputError(
            f"--out is {out}", f"Expected a name that ends with {' or '.join(_FORMS)}", "Write --out flow.svg"
        )
    opened, loaded = _load(model, index, options)
    cells = [loaded.cells.parse(one) for one in pin]
    found = flowing.flow(loaded, text, target=target, against=against, at=at, index=opened, cells=cells)
    drawn = cut(found.sum, share, tuple(map(str, cells)), n_before=found.n_before)
    if out is not None:
        picture = as_file(flow_svg(found, drawn, pinned=tuple(map(str, cells))))
        _write(out, picture if out.suffix == ".svg" else f"{as_json({'flow': found, 'drawn': drawn})}\n".encode())
    told = render.flow(found, drawn) + (f"\nwritten: {out}" if out else "")
    show({"flow": found, "drawn": drawn} if json else told)


def _load(model: str, index: str | None, options: ModelOptions) -> "tuple[Index | None, Transformer]":
    """An index and its model, or a model and the index that is given beside it."""
    if not StorePaths(Path(model)).manifest.is_file():
        opened = None if index is None else ffmem.open_index(index)
        return opened, options.load(model)
    if index is not None or options != replace(
        ModelOptions(), threads=options.threads, trust_remote_code=options.trust_remote_code
    ):
        raise InputError(
            f"{model} is an index, and says itself which model it is of and how that is read",
            "Expected no --index, --revision, --dtype, --device, --architecture or --patch beside it",
            "Leave them out, or give the model first and the index by --index",
        )
    whole = ffmem.open_index(model)
    return whole, IndexModelOptions(options.threads, trust_remote_code=options.trust_remote_code).load(whole, None)


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror}", "Expected a file in a folder that exists", "Name another"
        ) from error
