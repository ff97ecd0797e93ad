"""Results of `ffmem query` and `ffmem export`, and what the views are."""

import csv
import io
import re
from typing import Any

from ffmem.queries import RELATIONS, Exported, QueryResult
from ffmem.render.terminal import one_line

_WIDEST = 60
"""Columns of the terminal that a value of a table gets at most."""


def query(found: QueryResult) -> str:
    """`ffmem query`: a table, numbers to the right."""
    shown = [[_short(value) for value in row] for row in found.rows]
    widths = [max(map(len, column)) for column in zip(found.columns, *shown, strict=True)]
    right = [all(isinstance(row[i], int | float | None) for row in found.rows) for i in range(len(found.columns))]

    def line(values: Any) -> str:
        cells = zip(values, widths, right, strict=True)
        return "  ".join(text.rjust(n) if to_right else text.ljust(n) for text, n, to_right in cells).rstrip()

    end = f"({len(shown):,} rows{'; there are more: --limit' if found.is_cut else ''})"
    return "\n".join([line(found.columns), "  ".join("-" * n for n in widths), *map(line, shown), end])


def _short(value: Any) -> str:
    if value is None:
        return ""
    text = f"{value:.6g}" if isinstance(value, float) else one_line(str(value))
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def query_csv(found: QueryResult) -> str:
    """`ffmem query --format csv`: a line of names, then the rows; NULL is empty."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(found.columns)
    writer.writerows(found.rows)
    return buffer.getvalue().removesuffix("\n")


def exported(found: Exported) -> str:
    """`ffmem export`."""
    rows = [f"  {name + '.parquet':20} {n:>12,} rows" for name, n in found.n_rows.items()]
    return "\n".join([f"{found.folder}: {found.n_bytes / 1e6:,.1f} MB", *rows])


def views() -> str:
    """`ffmem query --views`."""
    lines = []
    for relation in RELATIONS:
        lines += ["", f"{relation.name}: a row is {relation.row}"]
        lines += [
            f"  {column.name:18}  {column.type:10}  {column.meaning.replace('`', '')}" for column in relation.columns
        ]
    return "\n".join(lines[1:])


def views_page(page: str) -> str:
    """docs/reference/sql.md with its part on the views made anew."""
    lines = ["## Views", ""]
    for relation in RELATIONS:
        lines += [f"### `{relation.name}`", "", f"A row is {relation.row}.", "", "| column | type | meaning |"]
        lines += ["|---|---|---|"]
        lines += [f"| `{column.name}` | {column.type} | {column.meaning} |" for column in relation.columns]
        lines += [""]
    return re.sub(r"^## Views\n.*?(?=^## )", lambda _: "\n".join(lines) + "\n", page, flags=re.DOTALL | re.MULTILINE)
