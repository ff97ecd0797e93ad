"""The command that lists cells."""

import ffmem
from ffmem import queries, render
from ffmem.cli.app import Count, Json, show
from ffmem.cli.choosing import among, keep
from ffmem.cli.options import Cells, IndexFolder, Layers, Save


def cells(
    folder: IndexFolder,
    /,
    *,
    layer: Layers = None,
    cells: Cells = None,
    sort: queries.SortKey = "index",
    limit: Count = 20,
    save: Save = None,
    json: Json = False,
) -> None:
    """Show a table of cells by a statistic.

    Parameters
    ----------
    sort
        Largest first, except min and index: smallest first. top is the coefficient of the last trigger kept; name: the surest
        name first, by where it comes from, grade and score.
    limit
        At most this many rows.
    """
    index = ffmem.open_index(folder)
    rows = queries.cells(index, layer=layer, among=among(index, cells), sort=sort, limit=limit)
    keep(index, save, "cells", {"layer": layer, "cells": cells, "sort": sort, "limit": limit}, rows)
    show(rows.to_json() if json else render.cells(rows))
