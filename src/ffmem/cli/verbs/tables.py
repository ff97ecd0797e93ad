"""Verbs that give an index as tables."""

import sys
from typing import Literal

import ffmem
from ffmem import queries, render
from ffmem.cli.app import Json, show
from ffmem.cli.choosing import among
from ffmem.cli.options import Cells, IndexFolder
from ffmem.errors import InputError


def query(
    folder: IndexFolder,
    sql: str | None = None,
    /,
    *,
    views: bool = False,
    format: Literal["table", "json", "csv"] = "table",
    limit: int = 1000,
    memory_mb: int = 2048,
    timeout_s: float = 60.0,
) -> None:
    """Query an index in SQL (DuckDB's), read-only. Needs the extra sql.

    Parameters
    ----------
    sql
        One statement, for example "select layer, avg(active_fraction) from cells group by layer".
    views
        List the views with their columns, and run nothing.
    format
        Of the rows.
    limit
        At most this many rows.
    memory_mb
        Most memory that the statement may use, in MB.
    timeout_s
        Longest time that it may take, in seconds.
    """
    opened = ffmem.open_index(folder)
    if views:
        show(render.views())
        return
    if sql is None:
        raise InputError("no statement is given", "Expected SQL after the folder, or --views", f"{_EXAMPLE}")
    found = queries.query(opened, sql, limit=limit, memory_mb=memory_mb, timeout_s=timeout_s)
    if format == "table":
        show(render.query(found))
        return
    show(found if format == "json" else render.query_csv(found))
    if found.is_cut:
        print(f"ffmem: there are more than {limit:,} rows; raise --limit to see them", file=sys.stderr)


_EXAMPLE = 'Write: ffmem query DIR "select layer, avg(active_fraction) from cells group by layer"'


def export(folder: IndexFolder, /, *, parquet: str, cells: Cells = None, json: Json = False) -> None:
    """Write an index as Parquet files, for pandas, polars, DuckDB, Spark. Needs the extra parquet.

    Parameters
    ----------
    parquet
        The folder to make.
    """
    index = ffmem.open_index(folder)
    say = None if json else render.say("writing")
    found = queries.export(index, parquet, among=among(index, cells), progress=say)
    show(found if json else render.exported(found))
