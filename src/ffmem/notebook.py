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
