"""Studies as text: their numbers beside the paper's."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ffmem.studies.report import Report

Cells = tuple[str, ...]


def study(report: "Report", page: Path) -> str:
    """What a study found, and where its page is."""
    numbers = [("", "quantity", "paper", "here")]
    numbers += [(name, one.quantity, one.paper, one.text()) for name, one in report.numbers]
    claims = [("", "what the paper saw", "here", "because")]
    claims += [(name, one.statement, one.verdict, one.why) for name, one in report.claims]
    parts = [table(rows) for rows in (numbers, claims) if len(rows) > 1]
    return "\n\n".join([report.title, *parts, f"The page: {page}"])


def table(rows: Sequence[Cells]) -> str:
    """Columns as wide as they need to be, the first row being the head; the name of a figure stands above its rows."""
    head, body = rows[0], rows[1:]
    widths = [max(len(row[column]) for row in rows) for column in range(1, len(head))]

    def line(cells: Sequence[str]) -> str:
        return "  " + "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()

    parts = [line(head[1:])]
    for item, some in groupby(body, key=lambda row: row[0]):
        parts += [item, *(line(row[1:]) for row in some)]
    return "\n".join(parts)
