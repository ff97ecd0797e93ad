"""How results look in a notebook: tables in HTML, with every text escaped."""

import html
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any, TypeVar

Row = TypeVar("Row")

_N_SHOWN = 100


class Table(list[Row]):
    """A list of records of one class (a dataclass with `to_json`) that shows itself as a table."""

    def to_json(self) -> list[dict[str, Any]]:
        """As plain JSON values."""
        return [row.to_json() for row in self]  # type: ignore[attr-defined]

    def _repr_html_(self) -> str:
        """For notebooks."""
        if not self:
            return "<p>no rows</p>"
        names = [field.name for field in fields(self[0])]  # type: ignore[arg-type]
        return table(names, [[getattr(row, name) for name in names] for row in self])


def table(head: Iterable[str], rows: Sequence[Sequence[Any]]) -> str:
    """An HTML table: strings as they are, but escaped; numbers with four digits; at most 100 rows."""
    titles = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows[:_N_SHOWN])
    more = f"<p>and {len(rows) - _N_SHOWN:,} rows more</p>" if len(rows) > _N_SHOWN else ""
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>{more}"


def captioned(caption: str, head: Iterable[str], rows: Iterable[Sequence[Any]]) -> str:
    """An HTML table with a line above it."""
    return f"<p>{html.escape(caption)}</p>{table(head, list(rows))}"


def heatmap(caption: str, rows: Sequence[str], columns: Sequence[str], values: Sequence[Sequence[float]]) -> str:
    """An HTML table of shaded boxes, a row for each query and a column for each source; the number is in a box's title.

    The darkest box is the largest number, which the caption tells.
    """
    largest = max((max(row) for row in values if len(row)), default=0.0) or 1.0
    head = "".join(f'<th scope="col"><span>{html.escape(one)}</span></th>' for one in columns)
    body = "".join(
        f'<tr><th scope="row">{html.escape(name)}</th>'
        + "".join(
            f'<td style="--share: {max(0.0, value) / largest:.3f}" '
            f'title="{html.escape(name)} &#8592; {html.escape(column)}: {value:.4g}"></td>'
            for column, value in zip(columns, row, strict=True)
        )
        + "</tr>"
        for name, row in zip(rows, values, strict=True)
    )
    return (
        f'<table class="heatmap"><caption>{html.escape(caption)}; darkest {largest:.3g}</caption>'
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


HEATMAP_STYLE = """
.heatmaps { display: flex; flex-wrap: wrap; gap: 1rem 2rem; align-items: flex-start; }
table.heatmap { width: auto; border-collapse: collapse; font-size: 0.75rem; line-height: 1.1; }
table.heatmap caption { text-align: left; font-size: 0.85rem; padding: 0.2rem 0; }
table.heatmap th { border: 0; padding: 0 0.3em; font-weight: normal; text-align: right; white-space: pre; }
table.heatmap thead th { vertical-align: bottom; text-align: left; padding: 0.2em 0; }
table.heatmap thead th span { writing-mode: vertical-rl; max-height: 8em; overflow: hidden; }
table.heatmap td { border: 1px solid rgba(128, 128, 128, 0.15); padding: 0; min-width: 1.1em; height: 1.1em;
  background: rgba(0, 114, 178, var(--share, 0)); }
table.heatmap thead td { border: 0; background: none; }
"""
"""What a page with heat maps needs."""


def _cell(value: Any) -> str:
    if value is None:
        return "<td></td>"
    if isinstance(value, float):
        return f"<td>{value:.4g}</td>"
    if isinstance(value, tuple | list):
        return "<td>" + " ".join(f"<code>{html.escape(str(one))}</code>" for one in value[:20]) + "</td>"
    text = html.escape(str(value))
    return (
        f"<td style='text-align:left;white-space:pre-wrap'>{text}</td>"
        if isinstance(value, str)
        else f"<td>{text}</td>"
    )
