"""Text in CSV: rows as a spreadsheet opens them, none of which it would run as a formula."""

import csv
import io
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_LONGEST = 2**31 - 1
"""Characters of a field; csv itself reads no more than 131,072."""


def harmless(text: str) -> str:
    """A spreadsheet would run a text that begins like a formula; behind an apostrophe it does not."""
    return "'" + text if _FORMULA.match(text) else text


def unharmed(text: str) -> str:
    """The text that `harmless` was given."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def write_csv(rows: Iterable[Mapping[str, str]], columns: Sequence[str], texts: Collection[str]) -> bytes:
    """Rows as a spreadsheet opens them: UTF-8 with its mark, commas.

    Args:
        rows: values by column; what is missing is empty.
        columns: their names, in order.
        texts: columns whose values come from people.
    """
    return b"".join(stream_csv(rows, columns, texts))


def stream_csv(rows: Iterable[Mapping[str, str]], columns: Sequence[str], texts: Collection[str]) -> Iterator[bytes]:
    """The bytes of `write_csv`, a thousand rows at a time."""
    buffer = io.StringIO("\ufeff")
    buffer.seek(0, io.SEEK_END)
    writer = csv.DictWriter(buffer, columns, restval="")
    writer.writeheader()
    left = iter(rows)
    while some := list(islice(left, 1000)):
        writer.writerows({**row, **{name: harmless(row[name]) for name in texts if name in row}} for row in some)
        yield buffer.getvalue().encode("utf-8", "backslashreplace")
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue().encode()


def read_csv(text: str, texts: Collection[str]) -> list[dict[str, str]]:
    """The rows that `write_csv` was given.

    Raises:
        csv.Error: it is no CSV.
        ValueError: a row has more values than there are columns, or a column is there twice.
    """
    before = csv.field_size_limit(_LONGEST)
    try:
        first = text.split("\n", 1)[0]
        delimiter = max(",;\t", key=first.count)  # a spreadsheet may save with another one than it has opened
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        head = [name.strip().lower() for name in next(lines, [])]
        if len(set(head)) != len(head):
            raise ValueError("a column is there twice")
        rows = [line for line in lines if line]
    finally:
        csv.field_size_limit(before)
    for number, row in enumerate(rows, 1):
        if len(row) > len(head):
            raise ValueError(f"row {number} has {len(row)} values for {len(head)} columns")
    found = [dict(zip(head, row, strict=False)) for row in rows]
    return [{name: unharmed(value) if name in texts else value for name, value in row.items()} for row in found]
