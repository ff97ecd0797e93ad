"""The whole answer of `find` as a table: CSV, JSON or Parquet, a few hundred cells at a time."""

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from ffmem.csv_text import stream_csv
from ffmem.errors import InputError
from ffmem.extras import extra_module
from ffmem.json_values import JsonObject, Record, json_text
from ffmem.queries.find import FoundCell, Matches
from ffmem.queries.relations import Column
from ffmem.store.files import atomic_file, disk_errors
from ffmem.store.reader import Index
from ffmem.version import __version__

TableFormat = Literal["csv", "json", "parquet"]
N_PROMOTED = 6
_AT_ONCE = 500
COLUMNS = (
    Column("cell", "VARCHAR", "cell id, as in `ffmem cell`"),
    Column("layer", "VARCHAR", "name of its layer"),
    Column("sign", "TINYINT", "1; -1: the cell with its negative coefficients"),
    Column("name", "VARCHAR", "what it is called; empty if it has no name"),
    Column("name_from", "VARCHAR", "where the name comes from: `by hand`, `rule B`, `lm 0.82`"),
    Column("active_fraction", "DOUBLE", "share of positions with a coefficient above 0"),
    Column("n_matching", "INTEGER", "triggers that match what was asked of triggers"),
    Column("n_triggers", "INTEGER", "triggers of this sign; 0 if nothing was asked of triggers"),
    Column("lift", "DOUBLE", "how many times the rate of all indexed positions they match; NULL if nothing was asked"),
    Column("rank", "INTEGER", "of the promoted token that was asked for, from 0; NULL if none was"),
    Column("logit", "DOUBLE", "its score; NULL if none was asked for"),
    Column("promoted", "VARCHAR", f"the first {N_PROMOTED} tokens that this sign promotes, as a JSON list"),
    Column("trigger", "VARCHAR", "the sentence of the first trigger that matches, its firing token in brackets"),
    Column("coefficient", "DOUBLE", "of that trigger"),
    Column("sentence_id", "INTEGER", "of that trigger"),
    Column("document", "VARCHAR", "name of its document"),
)
_FROM_PEOPLE = ("name", "promoted", "trigger", "document")
_NAMES = [one.name for one in COLUMNS]


@dataclass(frozen=True)
class Written(Record):
    """A file with the cells that were found."""

    file: Path
    n_cells: int
    note: str
    """What was left out; empty if nothing was."""


def format_of(out: str | Path) -> TableFormat:
    """The format that a file's name asks for.

    Raises:
        InputError: none of them.
    """
    for one in ("csv", "json", "parquet"):
        if str(out).lower().endswith(f".{one}"):
            return one
    raise InputError(
        f"--out is {str(out)!r}", "Expected a name that ends in .csv, .json or .parquet", "Write --out cells.csv"
    )


def write_found(index: Index, found: Matches, out: str | Path) -> Written:
    """Write all cells that were found into a new file, whole or not at all.

    Raises:
        InputError: the file already exists, its name says no format, or pyarrow is not installed.
        StoreError: the disk is full or may not be written to.

    Cost: memory for a few hundred cells.
    """
    out, form = Path(out), format_of(out)
    if out.exists():
        raise InputError(
            f"{out} already exists", "Expected a new name: nothing is overwritten", "Choose another name for --out"
        )
    pieces = stream_found(index, found, form, {})
    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(out) as file:
            for piece in pieces:
                file.write(piece)
    return Written(out, found.n_found, found.note)


def stream_found(index: Index, found: Matches, form: TableFormat, about: JsonObject) -> Iterator[bytes]:
    """The bytes of a table of all cells that were found, piece by piece.

    Args:
        index: an opened index.
        found: by `find`'s own conditions.
        form: which format.
        about: what the JSON says before its rows: the question, for example.

    Raises:
        InputError: pyarrow is not installed; said at once, before the first piece.
    """
    streams: dict[TableFormat, Callable[[], Iterator[bytes]]] = {
        "csv": lambda: stream_csv(map(_as_text, _records(index, found)), _NAMES, _FROM_PEOPLE),
        "json": lambda: _json(index, found, about),
        "parquet": lambda: _parquet(index, found),
    }
    if form == "parquet":
        extra_module("pyarrow", "parquet", "no Parquet can be written")
    return streams[form]()


def promoted_by(index: Index, found: FoundCell, n: int = N_PROMOTED) -> tuple[str, ...]:
    """The first tokens that a cell promotes with the sign that was found."""
    place, row = index.cells.place(found.cell)
    arrays = index.layer(place)
    ids = arrays.promoted_ids if found.sign > 0 else arrays.suppressed_ids
    return index.text.token_strings(ids[row, :n].tolist())


def _records(index: Index, found: Matches) -> Iterator[JsonObject]:
    """A row of each cell, by column."""
    for one in found.rows(n_triggers=1):
        first = one.triggers[0] if one.triggers else None
        yield {
            "cell": str(one.cell),
            "layer": one.cell.layer_name,
            "sign": one.sign,
            "name": one.name.text if one.name else "",
            "name_from": one.name.mark if one.name else "",
            "active_fraction": one.active_fraction,
            "n_matching": one.n_triggers,
            "n_triggers": one.n_all_triggers,
            "lift": one.lift,
            "rank": one.rank,
            "logit": one.logit,
            "promoted": json.dumps(promoted_by(index, one), ensure_ascii=False),
            "trigger": "".join(first.marked()) if first else "",
            "coefficient": first.coefficient if first else None,
            "sentence_id": first.sentence_id if first else None,
            "document": first.document.name if first else "",
        }


def _as_text(record: JsonObject) -> dict[str, str]:
    return {name: "" if value is None else str(value) for name, value in record.items()}


def _json(index: Index, found: Matches, about: JsonObject) -> Iterator[bytes]:
    head = json_text(about | {"n_cells": found.n_found, "note": found.note, "base_rate": found.base_rate})
    yield f'{head[:-1]}, "cells": ['.encode("utf-8", "backslashreplace")
    rows = found.rows()
    between = "\n"
    while some := list(islice(rows, _AT_ONCE)):
        told = [json_text(one.to_json() | {"promoted": promoted_by(index, one)}) for one in some]
        yield (between + ",\n".join(told)).encode("utf-8", "backslashreplace")
        between = ",\n"
    yield b"\n]}\n"


class _Pieces(io.RawIOBase):
    """A file that hands over what was written to it."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Any) -> int:
        """Keep some bytes."""
        self._pieces.append(bytes(data))
        return len(self._pieces[-1])

    def take(self) -> bytes:
        """What was written since."""
        found, self._pieces = b"".join(self._pieces), []
        return found


def _parquet(index: Index, found: Matches) -> Iterator[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from ffmem.queries.record_batches import ARROW

    schema = pa.schema(
        [pa.field(one.name, ARROW[one.type], metadata={"meaning": one.meaning}) for one in COLUMNS],
        metadata={"ffmem.version": __version__, "ffmem.table": "a row is a cell that was found"},
    )
    file, rows = _Pieces(), _records(index, found)
    with pq.ParquetWriter(pa.PythonFile(file, mode="w"), schema, compression="zstd") as writer:
        while some := list(islice(rows, 20 * _AT_ONCE)):
            writer.write_batch(pa.RecordBatch.from_pylist([_storable(one) for one in some], schema=schema))
            yield file.take()
    yield file.take()


def _storable(record: JsonObject) -> JsonObject:
    """Text without half characters, which Arrow refuses."""
    return {
        name: value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
        for name, value in record.items()
    }
