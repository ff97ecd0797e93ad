"""A table or a picture of a page as a file: its rows as CSV and JSON, and, where it is drawn, as SVG and PNG."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ffmem.cell import Name
from ffmem.csv_text import write_csv
from ffmem.errors import InputError
from ffmem.json_values import JsonObject, json_text, to_json
from ffmem.server.pages import VISIBLE, printable
from ffmem.studies import charts
from ffmem.studies.exhibit import Chart, Row

FileForm = Literal["svg", "png", "csv", "json"]
MEDIA: dict[FileForm, str] = {
    "svg": "image/svg+xml",
    "png": "image/png",
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
}
"""What each form is called over HTTP."""
MAX_DRAWN = 64
"""Tokens of a text that a picture has room for; the rows have all of them."""


@dataclass(frozen=True)
class Taken:
    """What stands behind one table or picture of a page."""

    name: str
    """Of its file."""
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    """The numbers of the page, with all their digits."""
    chart: Chart | None = None
    """What is drawn of them; None: nothing."""

    def file(self, form: FileForm) -> bytes:
        """The bytes of one form.

        Raises:
            InputError: it is not drawn.
        """
        if form == "csv":
            texts = [name for name in self.columns if any(isinstance(_plain(row, name), str) for row in self.rows)]
            rows = ({name: _text(_plain(row, name)) for name in self.columns} for row in self.rows)
            return write_csv(rows, self.columns, texts)
        if form == "json":
            rows_as_json = [{name: to_json(row.get(name)) for name in self.columns} for row in self.rows]
            told: JsonObject = {"name": self.name, "columns": self.columns, "rows": rows_as_json}
            return json_text(told).encode("utf-8", "backslashreplace")
        if self.chart is None:
            raise InputError(
                f"there is no picture of {self.name!r}", "Expected csv or json: it has rows alone", "Take its rows"
            )
        picture = charts.svg(charts.spec(self.chart))
        return picture.encode() if form == "svg" else charts.png(picture)


def named(name: Name | None) -> str | None:
    """What a cell is called, in a table."""
    return None if name is None else name.text


def bars(
    rows: Iterable[tuple[str, float]], *, panel: str = "", series: str = "amount", percent: bool = False
) -> list[Row]:
    """Rows of a chart of bars that lie: categories and numbers from the top."""
    return [
        {"panel": panel, "category": category, "series": series, "value": value, "percent": percent}
        for category, value in rows
    ]


def numbered(tokens: Sequence[str], first: int = 0, n: int | None = None) -> list[str]:
    """Tokens with their numbers, as an axis names them: two may be alike. Those beside the text have none.

    Args:
        tokens: all of them.
        first: where the text begins among them.
        n: tokens of the text itself; by default all from there on.
    """
    last = len(tokens) if n is None else first + n
    return [
        f"{place - first} {visible(token)}" if first <= place < last else f"({place}) {visible(token)}"
        for place, token in enumerate(tokens)
    ]


def visible(token: str) -> str:
    """A token on an axis, with its white space made visible."""
    return "".join(VISIBLE.get(one) or printable(one) for one in token) or "(empty)"


def _plain(row: Row, name: str) -> Any:
    value = row.get(name)
    return " ".join(map(str, value)) if isinstance(value, tuple | list) else to_json(value)


def _text(value: Any) -> str:
    """As CSV has it: nothing for None, every digit of a number."""
    return "" if value is None else str(value)
