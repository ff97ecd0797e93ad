"""Sheets and exports as rows: one for each pattern and for each trigger of a cell, in CSV; nested, in JSON."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from ffmem.csv_text import unharmed, write_csv
from ffmem.errors import InputError
from ffmem.json_values import JsonObject
from ffmem.store.files import parse_json

SHEET = ("cell", "row", "number", "text", "class", "patterns", "batch", "annotator")
"""Columns of what an annotator fills in; a cell is a number there."""
ADJUDICATION = (*SHEET, "said")
EXPORT = (
    "index", "batch", "annotator", "cell", "sign", "n_triggers", "row", "number", "text", "class", "patterns",
    "sentence_id", "position",
)  # fmt: skip
_OF_FILE = ("index", "batch", "annotator")
_OF_CELL = ("cell", "sign", "n_triggers")
_OF_PATTERN = ("number", "text", "class", "said")
_OF_TRIGGER = ("number", "text", "patterns", "said", "sentence_id", "position")
_NUMBERS = ("cell", "sign", "n_triggers", "number", "sentence_id", "position")
_LISTS = {"pattern": "patterns", "trigger": "triggers"}
"""Under which name JSON has the rows of a kind."""
Values = dict[str, str]
"""Of a row, by column."""


@dataclass(frozen=True)
class Row:
    """A row that was read."""

    where: str
    """File and row, for messages."""
    values: Values

    def __getitem__(self, column: str) -> str:
        return self.values.get(column, "").strip()

    def number(self, column: str) -> int:
        """A whole number.

        Raises:
            InputError: it is none.
        """
        if re.fullmatch(r"-?\d{1,15}", self[column], re.ASCII) is None:
            raise self.wrong(
                f"its {column} is {self[column]!r}", "a whole number", "Write the number that the sheet had there"
            )
        return int(self[column])

    def wrong(self, got: str, expected: str, mend: str) -> InputError:
        """The error for this row."""
        return InputError(f"{self.where}: {got}", f"Expected {expected}", f"{mend}, and import the file again")


def numbers_of(patterns: str) -> list[str]:
    """The numbers in a list of them."""
    return re.findall(r"[^\s,;]+", patterns)


def to_csv(rows: Iterable[Values], columns: Sequence[str]) -> bytes:
    """Rows as a spreadsheet opens them: UTF-8 with its mark, commas."""
    return write_csv(rows, columns, _TEXTS)


_TEXTS = ("text", "said")


def rows_to_json(rows: Iterable[Values]) -> list[JsonObject]:
    """Rows as JSON values: one for each annotator and batch, that holds cells, that hold patterns and triggers."""
    found = []
    for file, of_file in groupby(rows, lambda row: _typed(row, _OF_FILE)):
        cells = groupby(of_file, lambda row: _typed(row, _OF_CELL))
        found.append(file | {"cells": [cell | _lists(list(of_cell)) for cell, of_cell in cells]})
    return found


def _lists(rows: list[Values]) -> JsonObject:
    columns = {"pattern": _OF_PATTERN, "trigger": _OF_TRIGGER}
    return {
        name: [_typed(row, columns[kind]) for row in rows if row["row"] == kind] for kind, name in _LISTS.items()
    }  # fmt: skip


def _typed(row: Values, columns: Sequence[str]) -> JsonObject:
    found: JsonObject = {}
    for column, value in ((column, row[column]) for column in columns if column in row):
        if column == "patterns":
            found[column] = [int(one) for one in numbers_of(value) if one != "0"] if value else None
        else:
            found[column] = int(value) if column in _NUMBERS and value.lstrip("-").isdecimal() else value
    return found


def read_rows(path: Path) -> list[Row]:
    """The rows of a file, whichever its form.

    Raises:
        InputError: it cannot be read, or is no sheet and no export.
    """
    if path.suffix.lower() not in (".csv", ".json"):
        raise _unreadable(path, f"its name ends in {path.suffix!r}", "Give a sheet or an export: a .csv or .json file")
    try:
        text = path.read_bytes().decode("utf-8-sig")
        return list(_csv_rows(path, text) if path.suffix.lower() == ".csv" else _json_rows(path, text))
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error), "Check the path") from error
    except UnicodeDecodeError as error:
        raise _unreadable(path, "it is not UTF-8", "Save it as CSV UTF-8") from error
    except (csv.Error, ValueError) as error:
        raise _unreadable(path, str(error), "Save it again as CSV or JSON") from error


def _unreadable(path: Path, why: str, mend: str) -> InputError:
    return InputError(
        f"{path} cannot be read: {why}",
        "Expected a sheet or an export, in CSV (UTF-8) or JSON, with all its columns",
        mend,
    )


def _csv_rows(path: Path, text: str) -> Iterator[Row]:
    head = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=head.count)  # a spreadsheet may save with another one than it has opened
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns = [name.strip().lower() for name in next(lines, [])]
    if {*columns} not in ({*SHEET}, {*ADJUDICATION}, {*EXPORT}) or len({*columns}) != len(columns):
        raise ValueError(f"its first row is {', '.join(columns) or 'empty'}, and not {', '.join(SHEET)}")
    for number, line in enumerate(lines, 2):
        if any(line[len(columns) :]):
            raise ValueError(f"row {number} has more fields than there are columns")
        values = dict(zip(columns, line, strict=False))
        values |= {column: unharmed(values[column]) for column in _TEXTS if column in values}
        if any(line):
            yield Row(f"{path}, row {number}", values)


def _json_rows(path: Path, text: str) -> Iterator[Row]:
    found = parse_json(text)
    try:
        for part in found.get("annotations", [found]):
            of_file = {name: value for name, value in part.items() if name != "cells"}
            for i, cell in enumerate(part["cells"]):
                of_cell = of_file | {name: value for name, value in cell.items() if name not in _LISTS.values()}
                for kind, name in _LISTS.items():
                    for j, item in enumerate(cell[name]):
                        where = f"{path}, {of_file.get('annotator')}: cells[{i}].{name}[{j}]"
                        yield Row(where, {"row": kind} | _plain_values(of_cell | item, where))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it is not laid out as one ({error})") from error


def _plain_values(values: JsonObject, where: str) -> Values:
    found = {}
    for name, value in values.items():
        if name not in (*EXPORT, *ADJUDICATION):
            raise ValueError(f"{where} has {name!r}, which does not belong there")
        if isinstance(value, list) and all(type(one) is int for one in value):
            found[name] = " ".join(map(str, value)) or "0"
        elif value is None or type(value) in (str, int):
            found[name] = "" if value is None else str(value)
        else:
            raise ValueError(
                f"{where} has {json.dumps(value)}, which is neither text nor a number nor a list of numbers"
            )
    return found
