"""Reports side by side as tables of text: Markdown for documents, and rows for a terminal."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ffmem.studies.exhibit import Claim, Table
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
        {
            (name, one.statement): verdict_of(report, name, one) + (f": {one.why}" if why else "")
            for name, one in report.claims
        }
        for report in reports
    ]
    return [("", "claim", *(report.title for report in reports)), *_aligned(columns)]


def verdict_of(report: Report, item: str, claim: Claim) -> str:
    """The verdict on a claim, and whether it says anything."""
    same = report.also_shown_by(item, claim)
    return f"{claim.verdict}, but says nothing (so does {' and '.join(same)})" if same else claim.verdict


def controls_table(report: Report) -> list[Cells]:
    """The numbers and claims of a report, beside those of its controls."""
    rows: list[Cells] = [("", "", "here", *(control.name for control in report.controls))]
    for item, number in report.numbers:
        there = [control.numbers.get((item, number.quantity)) for control in report.controls]
        rows.append((item, number.quantity, number.text(), *("-" if one is None else one.text() for one in there)))
    for item, claim in report.claims:
        same = [control.claims.get((item, claim.statement)) for control in report.controls]
        rows.append((item, claim.statement, claim.verdict, *("-" if one is None else one.verdict for one in same)))
    return rows


def facts_table(reports: Sequence[Report]) -> list[Cells]:
    """What was studied, and how much of it."""
    columns = [{(name,): value for name, value in report.facts} for report in reports]
    return [("", *(report.title for report in reports)), *_aligned(columns)]


def rows_of(table: Table) -> list[Cells]:
    """A table of a report, all its rows."""
    return [table.columns, *(tuple(_cell(row[name]) for name in table.columns) for row in table.rows)]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


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
    """Sample sizes, numbers, claims and costs of reports of one study, side by side; then the tables of each."""
    parts = (
        ("What was studied", facts_table(reports)),
        ("Numbers", numbers_table(reports)),
        ("What the paper saw", claims_table(reports, why=True)),
        ("What it took", costs_table(reports)),
    )
    beside = [(f"{one.title}, beside its controls", controls_table(one)) for one in reports if one.controls]
    written = [f"## {title}\n\n{markdown(rows)}" for title, rows in (*parts, *beside) if len(rows) > 1]
    return "\n\n".join([*written, *_tables(reports)])


def _tables(reports: Sequence[Report]) -> Iterator[str]:
    for report in reports:
        tables = [table for table in report.tables.values() if table.side_by_side]
        if tables:
            yield f"## {report.title}"
        for table in tables:
            yield f"{table.caption}:\n\n{markdown(rows_of(table))}"
