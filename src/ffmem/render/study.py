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
    controls = report.controls
    names = [one.name for one in controls]
    numbers = [("", "quantity", "paper", "here", *names)]
    for item, one in report.numbers:
        there = (control.numbers.get((item, one.quantity)) for control in controls)
        beside = ("-" if number is None else number.text(interval=False) for number in there)
        numbers.append((item, one.quantity, one.paper, one.text(), *beside))
    claims = [("", "claim", "here", *names, "because")]
    for item, claim in report.claims:
        same = (control.claims.get((item, claim.statement)) for control in controls)
        verdicts = ("-" if other is None else other.verdict for other in same)
        here = "says nothing" if report.also_shown_by(item, claim) else claim.verdict
        claims.append((item, claim.statement, here, *verdicts, claim.why))
    parts = [table(rows) for rows in (numbers, claims) if len(rows) > 1]
    told = [f"{one.name}: {one.definition}." for one in controls]
    return "\n\n".join([report.title, *parts, *(["\n".join(told)] if told else []), f"The page: {page}"])


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
