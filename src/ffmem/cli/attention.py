"""Commands about attention: weights beside norms, other weights in their place, and one map with the memories."""

from pathlib import Path
from typing import Annotated, Any

import ffmem
from ffmem import render
from ffmem.analyses.attention.options import AttentionOptions
from ffmem.cli.app import FLAT, Count, Json, app, show
from ffmem.cli.options import ModelName, ModelOptions
from ffmem.errors import InputError
from ffmem.json_values import to_json


@app.command
def attention(
    model: ModelName,
    text: str,
    /,
    *,
    target: str | None = None,
    layer: str | None = None,
    head: int | None = None,
    at: int = -1,
    bias: str = "inside",
    html: Path | None = None,
    options: Annotated[ModelOptions, FLAT] = ModelOptions(),  # noqa: B008 (frozen)
    json: Json = False,
) -> None:
    """Attention weights beside the norms of what is added: alpha, ‖f(x)‖, ‖alpha f(x)‖ and, over heads, ‖sum of alpha f(x)‖.

    Parameters
    ----------
    text
        Words in quotes.
    target
        For an encoder-decoder, what its decoder is given; by default the text itself.
    layer
        One attention sub-layer, source by source: L3, enc.L0, dec.L2.cross.
    head
        One head of it, from 0.
    at
        The token that looks at the others, special tokens counted, from 0, or from the end if negative.
    bias
        Where the bias of W_V goes: inside f, or constant, with b_O.
    html
        Write all maps as one page into this file.
    json
        Print one JSON document, with all maps.
    """
    from ffmem.analyses.attention.maps import attention_maps

    _one_of("bias", bias, ("inside", "constant"))
    if head is not None and layer is None:
        raise InputError(
            f"--head is {head}, and no layer is named", "Expected a head of one layer", "Add for example --layer L0"
        )
    loaded = options.load(model)
    found = attention_maps(
        loaded,
        text,
        target=target,
        bias=bias,  # type: ignore[arg-type]
        layers=None if layer is None else [layer],
    )
    if html is not None:
        found.write_html(html)
    show(found if json else render.attention(found, at, layer, head, html))


@app.command
def patch(
    model: ModelName,
    text: str,
    /,
    *heads: str,
    by: str = "uniform",
    target: str | None = None,
    at: int = -1,
    limit: Count = 10,
    quiet: bool = False,
    options: Annotated[ModelOptions, FLAT] = ModelOptions(),  # noqa: B008 (frozen)
    json: Json = False,
) -> None:
    """What a prediction owes to where heads look: other weights in the place of their own, one at a time or together.

    Parameters
    ----------
    text
        Words in quotes.
    heads
        L3.H5, or L3 for a whole layer: all together. Without any: each layer and each head by itself.
    by
        What takes the place of the weights: uniform, 1 / number of sources; or norms, shares of ‖f(x)‖.
    target
        For an encoder-decoder, what its decoder is given.
    at
        The token whose prediction is looked at, special tokens counted, from 0, or from the end if negative.
    limit
        Heads to show.
    quiet
        Print no progress.
    json
        Print one JSON document.
    """
    from ffmem.analyses.attention.patches import patch_attention, patch_sweep

    _one_of("by", by, ("uniform", "norms"))
    loaded = options.load(model)
    named: dict[str, Any] = {"patch": by, "target": target, "at": at}
    if heads:
        effect = patch_attention(loaded, text, heads, **named)
        show(effect if json else render.patch_effect(effect))
        return
    with render.steps(quiet) as listen:
        sweep = patch_sweep(loaded, text, on_layer=lambda done, n: listen("sub-layers", done, n), **named)
    show(sweep if json else render.patch_sweep(sweep, limit))


@app.command(name="map")
def map_(
    model: ModelName,
    text: str,
    /,
    *,
    at: int = -1,
    target: str | None = None,
    index: str | None = None,
    by: str = "norm",
    limit: Count = 3,
    bias: str = "inside",
    options: Annotated[ModelOptions, FLAT] = ModelOptions(),  # noqa: B008 (frozen)
    json: Json = False,
) -> None:
    """Attention and memories in one map: what each token and each cell added to one position, and which token fired which cell.

    Parameters
    ----------
    text
        Words in quotes.
    at
        The position, special tokens counted, from 0, or from the end if negative.
    target
        The token whose score is shared out, exactly one, spaces included. By default the model's own prediction.
    index
        An index of this model: shows what each cell is known for.
    by
        What cells are chosen by: norm of what they add, or their share of the logit.
    limit
        Cells of each layer.
    bias
        Where the bias of W_V goes: inside f, or constant, with b_O.
    json
        Print one JSON document.
    """
    from ffmem.analyses.attention.one_map import one_map

    _one_of("by", by, ("norm", "logit"))
    _one_of("bias", bias, ("inside", "constant"))
    opened = None if index is None else ffmem.open_index(index)
    loaded = options.load(model)
    found = one_map(
        loaded,
        text,
        at=at,
        target=target,
        index=opened,
        by=by,  # type: ignore[arg-type]
        limit=limit,
        bias=bias,  # type: ignore[arg-type]
    )
    show(found if json else render.one_map(found))


@app.command
def reproduce_attention(
    model: ModelName,
    corpus: str,
    /,
    *,
    out: Path,
    study: Annotated[AttentionOptions, FLAT] = AttentionOptions(),  # noqa: B008 (frozen)
    field: str = "text",
    encoding: str = "utf-8",
    quiet: bool = False,
    options: Annotated[ModelOptions, FLAT] = ModelOptions(),  # noqa: B008 (frozen)
    json: Json = False,
) -> None:
    """Run the experiments of Kobayashi et al. 2020 on a model and a corpus, and write one page about them.

    Parameters
    ----------
    corpus
        topics, python-docs, a file, ..., as for `ffmem index`.
    out
        Folder for the page, its figures and the numbers.
    field
        The field of a record that holds its text.
    encoding
        Of files of text, as for `ffmem index`.
    quiet
        Print no progress.
    json
        Print the numbers as one JSON document.
    """
    from ffmem.corpus.registry import open_corpus
    from ffmem.extras import extra_module
    from ffmem.studies.kobayashi2020.experiments import reproduce_attention as run

    for package in ("altair", "vl_convert", "jinja2"):
        extra_module(package, "report", "the page cannot be written")
    from ffmem.studies.kobayashi2020.page import headlines, shapes, write_attention_report

    opened = open_corpus(corpus, field, encoding)
    opened.settle(out, None)
    loaded = options.load(model)
    with render.steps(quiet) as listen:
        found = run(loaded, opened, study, listen)
    page = write_attention_report(found, out)
    if json:
        show(to_json(found) | {"page": str(page)})
    else:
        show(render.attention_study(list(headlines(found)), list(shapes(found)), page))


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(
            f"--{name} is {value!r}", f"Expected one of: {', '.join(choices)}", f"Write --{name} {choices[0]}"
        )
