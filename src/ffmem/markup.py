"""The one way from data to HTML: every text is escaped here and nowhere else.

Pages are made from templates (jinja2, of an extra); what a notebook shows is made from `Markup` and needs no extra.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import fields
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeVar

from ffmem.json_values import to_json

if TYPE_CHECKING:
    from jinja2 import Environment

Row = TypeVar("Row")

_N_SHOWN = 100


class Markup(str):
    """Text that is HTML already. What is put into it by `format` or `join` is escaped, unless it is `Markup` itself.

    jinja2 leaves it as it is (``__html__``); it stands in for markupsafe's, which notebooks without the extra do not have.
    """

    __slots__ = ()

    def __html__(self) -> str:
        """As jinja2 asks for it."""
        return str(self)

    def __add__(self, other: object) -> Markup:
        return Markup(str.__add__(self, escape(other)))

    def format(self, *values: object, **named: object) -> Markup:
        """As `str.format` has it."""
        return Markup(str.format(self, *map(_Field, values), **{name: _Field(one) for name, one in named.items()}))

    def join(self, parts: Iterable[object]) -> Markup:
        """As `str.join` has it."""
        return Markup(str.join(self, map(escape, parts)))


class _Field:
    """A value on its way into a text: formatted first, then escaped."""

    __slots__ = ("_value",)

    def __init__(self, value: object) -> None:
        self._value = value

    def __format__(self, form: str) -> str:
        return self._value if isinstance(self._value, Markup) else html.escape(format(self._value, form))


def escape(value: object) -> Markup:
    """A text as HTML."""
    return value if isinstance(value, Markup) else Markup(html.escape(str(value)))


def each(template: str, rows: Iterable[Sequence[object]]) -> Markup:
    """The template filled in with each row, one after the other."""
    return Markup().join(Markup(template).format(*row) for row in rows)


@lru_cache(maxsize=8)
def environment(*packages: str) -> Environment:
    """The templates of packages, the first that has one: every value is escaped, and a name that is not there is an error."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined  # an extra

    def source(name: str) -> str | None:
        folders = (files(package).joinpath(f"templates/{name}") for package in packages)
        return next((file.read_text("utf-8") for file in folders if file.is_file()), None)

    return Environment(
        loader=FunctionLoader(source),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


class Table(list[Row]):
    """A list of records of one dataclass that shows itself as a table."""

    def to_json(self) -> list[Any]:
        """As plain JSON values."""
        return [to_json(row) for row in self]

    def _repr_html_(self) -> str:
        """For notebooks."""
        if not self:
            return "<p>no rows</p>"
        names = [field.name for field in fields(self[0])]  # type: ignore[arg-type]
        return table(names, [[getattr(row, name) for name in names] for row in self])


def table(head: Iterable[str], rows: Sequence[Sequence[Any]]) -> Markup:
    """An HTML table: numbers with four digits; at most 100 rows."""
    lines = ([Markup().join(map(_cell, row))] for row in rows[:_N_SHOWN])
    more = Markup("<p>and {:,} rows more</p>").format(len(rows) - _N_SHOWN) if len(rows) > _N_SHOWN else ""
    return Markup("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>{}").format(
        each("<th>{}</th>", ([name] for name in head)), each("<tr>{}</tr>", lines), more
    )


def captioned(caption: str, head: Iterable[str], rows: Iterable[Sequence[Any]]) -> Markup:
    """An HTML table with a line above it."""
    return Markup("<p>{}</p>{}").format(caption, table(head, list(rows)))


def heatmap(caption: str, rows: Sequence[str], columns: Sequence[str], values: Sequence[Sequence[float]]) -> Markup:
    """An HTML table of shaded boxes, a row for each query and a column for each source; the number is in a box's title.

    The darkest box is the largest number, which the caption tells.
    """
    largest = max((max(row) for row in values if len(row)), default=0.0) or 1.0
    box = '<td style="--share: {:.3f}" title="{} &#8592; {}: {:.4g}"></td>'
    lines = (
        (name, each(box, ((max(0.0, one) / largest, name, to, one) for to, one in zip(columns, row, strict=True))))
        for name, row in zip(rows, values, strict=True)
    )
    return Markup(
        '<table class="heatmap"><caption>{}; darkest {:.3g}</caption>'
        "<thead><tr><td></td>{}</tr></thead><tbody>{}</tbody></table>"
    ).format(
        caption,
        largest,
        each('<th scope="col"><span>{}</span></th>', ([one] for one in columns)),
        each('<tr><th scope="row">{}</th>{}</tr>', lines),
    )


HEATMAP_STYLE = Markup("""
.heatmaps { display: flex; flex-wrap: wrap; gap: 1rem 2rem; align-items: flex-start; }
table.heatmap { width: auto; border-collapse: collapse; font-size: 0.75rem; line-height: 1.1; }
table.heatmap caption { text-align: left; font-size: 0.85rem; padding: 0.2rem 0; }
table.heatmap th { border: 0; padding: 0 0.3em; font-weight: normal; text-align: right; white-space: pre; }
table.heatmap thead th { vertical-align: bottom; text-align: left; padding: 0.2em 0; }
table.heatmap thead th span { writing-mode: vertical-rl; max-height: 8em; overflow: hidden; }
table.heatmap td { border: 1px solid rgba(128, 128, 128, 0.15); padding: 0; min-width: 1.1em; height: 1.1em;
  background: rgba(0, 114, 178, var(--share, 0)); }
table.heatmap thead td { border: 0; background: none; }
""")
"""What a page with heat maps needs."""


def _cell(value: Any) -> Markup:
    if value is None:
        return Markup("<td></td>")
    if isinstance(value, float):
        return Markup("<td>{:.4g}</td>").format(value)
    if isinstance(value, tuple | list):
        return Markup("<td>{}</td>").format(
            Markup(" ").join(Markup("<code>{}</code>").format(one) for one in value[:20])
        )
    if isinstance(value, str):
        return Markup("<td style='text-align:left;white-space:pre-wrap'>{}</td>").format(value)
    return Markup("<td>{}</td>").format(value)
