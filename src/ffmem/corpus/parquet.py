"""Parquet files."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ffmem.corpus.documents import Document, Rows, as_json
from ffmem.corpus.encodings import UTF_8, readable
from ffmem.corpus.files import File, encoding_identity
from ffmem.errors import InputError
from ffmem.extras import extra_module
from ffmem.json_values import JsonObject

_ROWS_AT_ONCE = 1000


class Parquet(File, Rows):
    """A Parquet file: a document a row, its text in one column, the others as metadata.

    Args:
        path: the file.
        text_field: the column; it may hold strings, or bytes in the encoding.
        encoding: as `encodings.encoding_named` spells it.

    Cost: at most one row group in memory, and as Python objects 1000 rows; other columns of bytes are not read.
    """

    kind = "parquet"

    def __init__(self, path: Path, text_field: str, encoding: str = UTF_8) -> None:
        Rows.__init__(self, text_field, encoding)
        self.path, self.name = path, readable(path.name)

    def identity(self) -> JsonObject:
        """See Corpus.identity."""
        return super().identity() | {"field": self.text_field} | encoding_identity(self.encoding)

    def __iter__(self) -> Iterator[Document]:
        self.n_undecodable_bytes = 0
        parquet = extra_module("pyarrow.parquet", "parquet", f"{self.path} cannot be read")
        number = 0
        try:
            with parquet.ParquetFile(self.path) as file:
                columns = self._columns(file.schema_arrow)
                for group in range(file.num_row_groups):
                    for rows in file.iter_batches(_ROWS_AT_ONCE, row_groups=[group], columns=columns):
                        # a name may also select others, those that go on after it with a dot
                        values = [self._values(name, rows.column(name), number) for name in columns]
                        for row in zip(*values, strict=True):
                            number += 1
                            fields = dict(zip(columns, row, strict=True))
                            yield self._document(fields, f"row {number} of {self.path}", f"row {number}")
        except (OSError, ValueError) as error:  # pyarrow's errors are both, and so is text that is no UTF-8
            raise InputError(
                f"{self.path} is truncated or corrupt after row {number}: {str(error).splitlines()[0]}",
                "Expected a whole Parquet file",
                "Fetch it again, or write it again",
            ) from error

    def _values(self, name: str, column: Any, n_before: int) -> list[Any]:
        """The values of some rows of a column as JSON has them; text may be bytes."""
        pyarrow = extra_module("pyarrow", "parquet", f"{self.path} cannot be read")
        try:
            if _is_nanoseconds(pyarrow, column.type):
                return _nanoseconds(pyarrow, column)
            kind = _in_microseconds(pyarrow, column.type)  # a cast that would lose something is an error
            values: list[Any] = (column if kind.equals(column.type) else column.cast(kind)).to_pylist()
        except UnicodeDecodeError:
            raise
        except (ValueError, OverflowError, TypeError, pyarrow.ArrowException) as error:
            raise InputError(
                f"the column {name!r} of {self.path}, of type {column.type}, has a value in rows {n_before + 1} to "
                f"{n_before + len(column)} that cannot be read: {(str(error).splitlines() or [''])[0]}",
                "Expected values that Python can represent",
                "Leave the column out, or write it as text",
            ) from error
        return values if name == self.text_field else [as_json(value) for value in values]

    def _columns(self, schema: Any) -> list[str]:
        """The columns to be read: all that are not bytes, and the text."""
        names = [column.name for column in schema]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise InputError(
                f"{self.path} has two columns called {twice!r}", "Expected each name once", "Rename one of the two"
            )
        kinds = {column.name: self._kind(column.type) for column in schema}
        others = [name for name, kind in kinds.items() if kind != "bytes"]
        if self.text_field not in kinds:
            raise InputError(
                f"{self.path} has no column of text called {self.text_field!r}",
                f"Expected one of its columns: {', '.join(names) or 'none'}",
                "Name the column that holds the text: --field NAME",
            )
        if kinds[self.text_field] == "":
            raise InputError(
                f"the column {self.text_field!r} of {self.path} holds {schema.field(self.text_field).type}, not text",
                f"Expected a column of strings, or of bytes: {', '.join(n for n in names if kinds[n]) or 'it has none'}",
                "Name the column that holds the text: --field NAME",
            )
        return [name for name in names if name in others or name == self.text_field]

    def _kind(self, kind: Any) -> str:
        """What a column of this type holds: text, bytes, or "" for anything else."""
        types = extra_module("pyarrow.types", "parquet", f"{self.path} cannot be read")
        if types.is_dictionary(kind):
            kind = kind.value_type
        texts = (types.is_string, types.is_large_string, types.is_string_view, types.is_null)
        binary = (types.is_binary, types.is_large_binary, types.is_fixed_size_binary, types.is_binary_view)
        return "text" if any(test(kind) for test in texts) else "bytes" if any(test(kind) for test in binary) else ""


_CLOCK = re.compile(r"(\d+:\d\d:\d\d)(?:\.(\d{6}))?")


def _nanoseconds(pyarrow: Any, column: Any) -> list[str | None]:
    """Times with nine digits after the second: Python's own have six, and what stands in for them is an extra package."""
    counts = column.cast(pyarrow.int64()).to_pylist()
    kind = _in_microseconds(pyarrow, column.type)
    times = pyarrow.array([None if n is None else n // 1000 for n in counts], pyarrow.int64()).cast(kind).to_pylist()
    return [
        None if n is None else _with_nanoseconds(as_json(time), n % 1000) for time, n in zip(times, counts, strict=True)
    ]


def _with_nanoseconds(text: str, rest: int) -> str:
    return _CLOCK.sub(lambda found: f"{found[1]}.{found[2] or '000000'}{rest:03}", text, count=1) if rest else text


def _is_nanoseconds(pyarrow: Any, kind: Any) -> bool:
    types = pyarrow.types
    return any(is_one(kind) for is_one in (types.is_timestamp, types.is_time64, types.is_duration)) and bool(
        kind.unit == "ns"
    )


def _in_microseconds(pyarrow: Any, kind: Any) -> Any:
    """A type with microseconds in place of nanoseconds, also within lists and structures."""
    types = pyarrow.types

    def inner(one: Any) -> Any:
        return _in_microseconds(pyarrow, one)

    if _is_nanoseconds(pyarrow, kind):
        if types.is_timestamp(kind):
            return pyarrow.timestamp("us", kind.tz)
        return pyarrow.time64("us") if types.is_time64(kind) else pyarrow.duration("us")
    if types.is_struct(kind):
        return pyarrow.struct([field.with_type(inner(field.type)) for field in kind])
    if types.is_map(kind):
        return pyarrow.map_(
            kind.key_field.with_type(inner(kind.key_type)), kind.item_field.with_type(inner(kind.item_type))
        )
    if types.is_fixed_size_list(kind):
        return pyarrow.list_(kind.value_field.with_type(inner(kind.value_type)), kind.list_size)
    if types.is_list(kind):
        return pyarrow.list_(kind.value_field.with_type(inner(kind.value_type)))
    if types.is_large_list(kind):
        return pyarrow.large_list(kind.value_field.with_type(inner(kind.value_type)))
    return kind
