"""Commands that draw where a prediction comes from."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from ffmem import render
from ffmem.analyses import flow as flowing
from ffmem.analyses.flow_parts import cut
from ffmem.cli.app import FLAT, Json, Share, as_json, show
from ffmem.cli.options import KnownFrom, KnownModel, ModelOptions, Text
from ffmem.errors import InputError
from ffmem.render.flow_svg import as_file, flow_svg

if TYPE_CHECKING:
    pass

_FORMS = (".svg", ".json")


def flow(
    model: KnownModel,
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
    opened, loaded = options.load_known(model, index)
    cells = [loaded.cells.parse(one) for one in pin]
    found = flowing.flow(loaded, text, target=target, against=against, at=at, index=opened, cells=cells)
    drawn = cut(found.sum, share, tuple(map(str, cells)), n_before=found.n_before)
    if out is not None:
        picture = as_file(flow_svg(found, drawn, pinned=tuple(map(str, cells))))
        _write(out, picture if out.suffix == ".svg" else f"{as_json({'flow': found, 'drawn': drawn})}\n".encode())
    told = render.flow(found, drawn) + (f"\nwritten: {out}" if out else "")
    show({"flow": found, "drawn": drawn} if json else told)


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror}", "Expected a file in a folder that exists", "Name another"
        ) from error
