"""Commands that read an index."""

from typing import Annotated, Any

from cyclopts import Parameter

import ffmem
from ffmem import queries, render
from ffmem.cli.app import FLAT, Count, Json, show
from ffmem.cli.options import IndexFolder, Layers, ModelOptions


def info(
    folder: Annotated[str, Parameter(help="An index; with --structure, a model.")],
    /,
    *,
    structure: bool = False,
    options: Annotated[ModelOptions, FLAT] = ModelOptions(),  # noqa: B008 (frozen)
    json: Json = False,
) -> None:
    """Show what an index is: model, corpus, options, counts, certificate; or where the memories of a model lie.

    Parameters
    ----------
    structure
        Of a model: its layers, keys and values, norms, multipliers, attention and head, with the errors of the identities that
        prove them. Of one that is refused: why, and all its modules.
    """
    if structure:
        show(_structure(folder, options, json))
        return
    opened = ffmem.open_index(folder)
    show(queries.info(opened) if json else render.info(opened))


def _structure(model: str, options: ModelOptions, json: bool) -> Any:
    from ffmem.models.description import describe  # with torch, which reading an index does without
    from ffmem.models.structure.refusal import NotProvenError

    try:
        found = describe(options.load(model))
    except NotProvenError as refused:
        show(refused.modules)
        raise
    return found if json else render.structure(found)


def cell(
    folder: IndexFolder,
    cell_id: str,
    /,
    *,
    json: Annotated[Json, Parameter(help="Print one JSON document, with every trigger.")] = False,
    triggers: Count = 10,
) -> None:
    """Show a cell: its trigger examples, its statistics, the tokens its value promotes and suppresses.

    Parameters
    ----------
    cell_id
        For example L9.2997: layer 9, index 2997, both from 0.
    triggers
        How many triggers of each sign to show.
    """
    found = queries.cell(ffmem.open_index(folder), cell_id)
    show(found.to_json() if json else render.cell(found, triggers))


def cells(
    folder: IndexFolder,
    /,
    *,
    layer: Layers = None,
    sort: queries.SortKey = "index",
    limit: Count = 20,
    json: Json = False,
) -> None:
    """Show a table of cells by a statistic.

    Parameters
    ----------
    sort
        Largest first, except min and index: smallest first. top is the coefficient of the last trigger kept.
    limit
        At most this many rows.
    """
    rows = queries.cells(ffmem.open_index(folder), layer=layer, sort=sort, limit=limit)
    show(rows.to_json() if json else render.cells(rows))
