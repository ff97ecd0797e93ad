"""Commands about attention: weights beside norms, other weights in their place, and one map with the memories."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

import ffmem
from ffmem import render
from ffmem.analyses.attention.maps import attention_maps
from ffmem.analyses.attention.one_map import Unit, one_map
from ffmem.analyses.attention.patches import Patch, patch_attention, patch_sweep
from ffmem.analyses.attention.split import Bias
from ffmem.cli.app import FLAT, Count, Json, show
from ffmem.cli.options import KnownFrom, KnownModel, ModelOptions, Quiet, Text
from ffmem.errors import InputError


def attention(
    model: KnownModel,
    text: Text,
    /,
    *,
    target: str | None = None,
    layer: str | None = None,
    head: int | None = None,
    at: int = -1,
    bias: Bias = "inside",
    html: Path | None = None,
    options: Annotated[ModelOptions, FLAT] = ModelOptions(),  # noqa: B008 (frozen)
    json: Annotated[Json, Parameter(help="Print one JSON document, with all maps.")] = False,
) -> None:
    """Show attention weights beside the norms of what they add: alpha, ‖f(x)‖, ‖alpha f(x)‖, ‖sum of alpha f(x)‖ over heads.

    Parameters
    ----------
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
    """
    if head is not None and layer is None:
        raise InputError(
            f"--head is {head}, but no layer is named", "Expected a head of one layer", "Add for example --layer L0"
        )
    _, loaded = options.load_known(model)
    found = attention_maps(
        loaded,
        text,
        target=target,
        bias=bias,
        layers=None if layer is None else [layer],
    )
    if html is not None:
        found.write_html(html)
    show(found if json else render.attention(found, at, layer, head, html))


def patch(
    model: KnownModel,
    text: Text,
    /,
    *heads: str,
    by: Patch = "uniform",
    target: str | None = None,
    at: int = -1,
    limit: Count = 10,
    quiet: Quiet = False,
    options: Annotated[ModelOptions, FLAT] = ModelOptions(),  # noqa: B008 (frozen)
    json: Json = False,
) -> None:
    """Show what a prediction owes to attention: other weights in place of a head's own, one head at a time or several together.

    Parameters
    ----------
    heads
        L3.H5, or L3 for a whole layer: all together. Without any: each layer and each head by itself.
    by
        What replaces the weights: uniform, 1 / number of sources; or norms, shares of ‖f(x)‖.
    target
        For an encoder-decoder, what its decoder is given.
    at
        The token whose prediction is examined, special tokens counted, from 0, or from the end if negative.
    limit
        Heads to show.
    """
    _, loaded = options.load_known(model)
    named: dict[str, Any] = {"patch": by, "target": target, "at": at}
    if heads:
        effect = patch_attention(loaded, text, heads, **named)
        show(effect if json else render.patch_effect(effect))
        return
    with render.steps(quiet) as listen:
        sweep = patch_sweep(loaded, text, on_layer=lambda done, n: listen("sub-layers", done, n), **named)
    show(sweep if json else render.patch_sweep(sweep, limit))


def map_(
    model: KnownModel,
    text: Text,
    /,
    *,
    at: int = -1,
    target: str | None = None,
    index: KnownFrom = None,
    by: Unit = "norm",
    limit: Count = 3,
    bias: Bias = "inside",
    options: Annotated[ModelOptions, FLAT] = ModelOptions(),  # noqa: B008 (frozen)
    json: Json = False,
) -> None:
    """Show in one map what attention and each cell added to one position, and which token fired which cell.

    By the attention of each layer alone: what earlier layers had moved between tokens counts for the token where it stood.

    Parameters
    ----------
    at
        The position, special tokens counted, from 0, or from the end if negative.
    target
        The token whose score is shared out, exactly one, spaces included. By default the model's own prediction.
    by
        What cells are chosen by: norm of what they add, or their share of the logit.
    limit
        Cells of each layer.
    bias
        Where the bias of W_V goes: inside f, or constant, with b_O.
    """
    opened = None if index is None else ffmem.open_index(index)
    _, loaded = options.load_known(model)
    found = one_map(
        loaded,
        text,
        at=at,
        target=target,
        index=opened,
        by=by,
        limit=limit,
        bias=bias,
    )
    show(found.to_json() if json else render.one_map(found))
