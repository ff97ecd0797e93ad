"""Commands that read an index."""

import ffmem
from ffmem import queries, render
from ffmem.cli.app import Count, Json, show


def info(folder: str, /, *, json: Json = False) -> None:
    """Show what an index is: model, corpus, options, counts, certificate.

    Parameters
    ----------
    folder
        An index.
    json
        Print one JSON document.
    """
    opened = ffmem.open_index(folder)
    show(queries.info(opened) if json else render.info(opened))


def cell(folder: str, cell_id: str, /, *, json: Json = False, triggers: Count = 10) -> None:
    """Show a cell: its trigger examples, its statistics, the tokens its value promotes and suppresses.

    Parameters
    ----------
    folder
        An index.
    cell_id
        For example L9.2997: layer 9, index 2997, both from 0.
    json
        Print one JSON document, with every trigger.
    triggers
        How many triggers of each sign to show.
    """
    found = queries.cell(ffmem.open_index(folder), cell_id)
    show(found.to_json() if json else render.cell(found, triggers))


def cells(
    folder: str, /, *, layer: str | None = None, sort: queries.SortKey = "index", limit: Count = 20, json: Json = False
) -> None:
    """Show a table of cells by a statistic.

    Parameters
    ----------
    folder
        An index.
    layer
        Only this layer (9, L9, dec.L3), or these (10:, :5, 3:7, without the last).
    sort
        Largest first, except min and index: smallest first. top is the coefficient of the last trigger kept.
    limit
        At most this many rows.
    json
        Print one JSON document.
    """
    rows = queries.cells(ffmem.open_index(folder), layer=layer, sort=sort, limit=limit)
    show(rows.to_json() if json else render.cells(rows))
