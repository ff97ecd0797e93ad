"""Commands that read an index."""

from typing import Annotated

from cyclopts import Parameter

import ffmem
from ffmem import queries, render
from ffmem.cli.app import Count, Json, show
from ffmem.cli.options import IndexFolder, Layers


def info(folder: IndexFolder, /, *, json: Json = False) -> None:
    """Show what an index is: model, corpus, options, counts, certificate."""
    opened = ffmem.open_index(folder)
    show(queries.info(opened) if json else render.info(opened))


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
