"""Reports side by side as tables of text: Markdown for documents, and rows for a terminal."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ffmem.studies.report import Report

Cells = tuple[str, ...]


def numbers_table(reports: Sequence[Report]) -> list[Cells]:
    """The paper's numbers and those of each report: a row each, the first being the head; "-" where a report has none."""
    columns = [{(name, one.quantity, one.paper): one.text() for name, one in report.numbers} for report in reports]
    return [("", "quantity", "paper", *(report.title for report in reports)), *_aligned(columns)]


def claims_table(reports: Sequence[Report], *, why: bool = False) -> list[Cells]:
    """What the paper saw, and the verdict of each report.

    Args:
        reports: of the same study.
        why: with the numbers that decided.
    """
    columns = [
        {(name, one.statement): f"{one.verdict}: {one.why}" if why else one.verdict for name, one in report.claims}
        for report in reports
    ]
    return [("", "what the paper saw", *(report.title for report in reports)), *_aligned(columns)]


def costs_table(reports: Sequence[Report]) -> list[Cells]:
    """How many seconds each experiment took."""
    columns = [{(name,): f"{seconds:,.0f}" for name, seconds in report.costs} for report in reports]
    totals = (f"{sum(seconds for _, seconds in report.costs):,.0f}" for report in reports)
    return [("experiment", *(f"{report.title}, s" for report in reports)), *_aligned(columns), ("all", *totals)]


def _aligned(columns: Sequence[Mapping[Any, str]]) -> list[Cells]:
    keys: list[Cells] = list(dict.fromkeys(key for column in columns for key in column))
    return [(*key, *(column.get(key, "-") for column in columns)) for key in keys]


def markdown(rows: Sequence[Cells]) -> str:
    """Rows as a table in Markdown; the first is the head."""
    lines: Iterable[Cells] = (rows[0], tuple("---" for _ in rows[0]), *rows[1:])
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def report_as_markdown(reports: Sequence[Report]) -> str:
    """Numbers, claims and costs of reports of one study, side by side."""
    parts = (
        ("Numbers", numbers_table(reports)),
        ("What the paper saw", claims_table(reports, why=len(reports) == 1)),
        ("What it took", costs_table(reports)),
    )
    return "\n\n".join(f"## {title}\n\n{markdown(rows)}" for title, rows in parts if len(rows) > 1)
