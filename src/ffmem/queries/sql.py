"""SQL over an index, in this process and read-only."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from math import isfinite
from typing import TYPE_CHECKING, Any

from ffmem import notebook
from ffmem.errors import FfmemError, InputError
from ffmem.extras import extra_module
from ffmem.queries.relations import RELATIONS, Relation
from ffmem.store.reader import Index

if TYPE_CHECKING:
    import duckdb

    from ffmem.queries.batches import Batches

_VIEWS = ", ".join(relation.name for relation in RELATIONS)
_LIST_VIEWS = "`ffmem query DIR --views` lists the views with their columns"


@dataclass(frozen=True)
class QueryResult:
    """The rows that a statement gave."""

    columns: tuple[str, ...]
    types: tuple[str, ...]
    """SQL types of the columns."""
    rows: tuple[tuple[Any, ...], ...]
    is_cut: bool
    """There are more rows than the limit let through."""

    def to_json(self) -> dict[str, Any]:
        """As plain JSON: names and types of the columns, rows as lists, and whether there are more."""
        rows = [[_plain(value) for value in row] for row in self.rows]
        return {"columns": list(self.columns), "types": list(self.types), "rows": rows, "is_cut": self.is_cut}

    def _repr_html_(self) -> str:
        """For notebooks."""
        more = "<p>There are more rows than the limit let through.</p>" if self.is_cut else ""
        return notebook.table(self.columns, self.rows) + more


def query(index: Index, sql: str, *, limit: int = 1000, memory_mb: int = 2048, timeout_s: float = 60.0) -> QueryResult:
    """The rows that a SELECT statement gives; DuckDB's SQL over the views of docs/reference/sql.md.

    A view is read from the arrays as its rows are asked for, and no view that the statement does not name is read. The
    statement sees no file, no network and no setting.

    Args:
        index: an opened index.
        sql: one statement.
        limit: at most this many rows.
        memory_mb: most memory of DuckDB, in MB; what is read ahead of it comes on top.
        timeout_s: longest time, in seconds.

    Raises:
        InputError: the statement is wrong, writes something, or needs more time or memory; or duckdb is not installed.
    """
    for package in ("duckdb", "pyarrow"):
        extra_module(package, "sql", "the index cannot be queried in SQL")
    for name, value in (("limit", limit), ("memory_mb", memory_mb), ("timeout_s", timeout_s)):
        if not value > 0:
            flag = "--" + name.replace("_", "-")
            raise InputError(f"{flag} is {value}", "Expected a number above 0", f"Leave {flag} out for its default")
    import duckdb

    from ffmem.queries.batches import Batches

    batches = Batches(index)
    views = [_View(batches, relation) for relation in RELATIONS]
    with _connection(views, memory_mb) as connection, _interrupted_after(connection, timeout_s):
        try:
            relation = connection.sql(_checked(connection, sql))
            rows = relation.limit(limit + 1).fetchall()
        except duckdb.InterruptException as error:
            raise InputError(
                f"the statement ran for more than {timeout_s:g} s",
                "Expected it to end within its time",
                "Ask for less, for example `WHERE layer = 3`, or give it more time with --timeout-s",
            ) from error
        except duckdb.OutOfMemoryException as error:
            raise InputError(
                f"the statement needs more than {memory_mb:,} MB: {error}",
                "Expected it to fit into its memory",
                "Ask for less, for example `WHERE layer = 3`, or give it more memory with --memory-mb",
            ) from error
        except duckdb.Error as error:
            for view in views:
                if view.error is not None:  # not SQL's fault: the index is damaged
                    raise view.error from None
            raise InputError(
                f"the statement failed: {str(error).strip()}\n", f"Expected SQL over {_VIEWS}", _LIST_VIEWS
            ) from error
        types = tuple(str(one) for one in relation.types)
        return QueryResult(tuple(relation.columns), types, tuple(rows[:limit]), len(rows) > limit)


class _View:
    """A table that DuckDB may read any number of times, each time from its beginning."""

    def __init__(self, batches: "Batches", relation: Relation) -> None:
        self.relation = relation
        self.error: FfmemError | None = None
        """What went wrong while reading; DuckDB itself only passes on the text."""
        self._batches = batches
        self._schema = batches.schema(relation, encoded=True)

    def __arrow_c_schema__(self) -> object:
        return self._schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        import pyarrow as pa

        return pa.RecordBatchReader.from_batches(self._schema, self._read()).__arrow_c_stream__(requested_schema)

    def _read(self) -> Iterator[Any]:
        try:
            yield from self._batches.read(self.relation, encoded=True)
        except FfmemError as error:
            self.error = error
            raise


@contextmanager
def _connection(views: list[_View], memory_mb: int) -> "Iterator[duckdb.DuckDBPyConnection]":
    """A database of its own, with the views and nothing else; it can reach nothing outside and cannot be told to."""
    import duckdb

    config: dict[str, Any] = {
        "enable_external_access": False,
        "autoload_known_extensions": False,
        "autoinstall_known_extensions": False,
        "python_enable_replacements": False,  # names are views, never variables of this program
        "temp_directory": "",
        "memory_limit": f"{memory_mb}MB",
        "lock_configuration": True,
    }
    with duckdb.connect(config=config) as connection:
        for view in views:
            connection.register(view.relation.name, view)
        yield connection


@contextmanager
def _interrupted_after(connection: "duckdb.DuckDBPyConnection", timeout_s: float) -> Iterator[None]:
    timer = threading.Timer(timeout_s, connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def _checked(connection: "duckdb.DuckDBPyConnection", sql: str) -> str:
    """The statement, if it is one, and one that only reads."""
    import duckdb

    statements = connection.extract_statements(sql)
    if not statements:
        raise InputError(
            "no statement is given", "Expected one", f"Write for example: select * from cells. {_LIST_VIEWS}"
        )
    if len(statements) != 1:
        raise InputError(f"there are {len(statements)} statements", "Expected one", "Give them one after the other")
    kind = statements[0].type
    if kind not in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN):
        name = re.sub(r"\W+", " ", kind.name)
        raise InputError(
            f"the statement is of the kind {name}",
            f"Expected one that reads, such as SELECT: an index never changes. The views are {_VIEWS}",
            f"{_LIST_VIEWS}; to work on the data elsewhere: ffmem export DIR --parquet OUT",
        )
    return sql


def _plain(value: Any) -> Any:
    """A value as JSON knows it; NaN and infinity become null."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        return int(value)  # which a float would round beyond 2^53
    if isinstance(value, float | Decimal):
        return float(value) if isfinite(value) else None
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    return str(value)
