"""Reports side by side as tables of text: Markdown for documents, and rows for a terminal."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ffmem.errors import InputError
from ffmem.store.files import atomic_write
from ffmem.studies.exhibit import Table
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
    written = [f"## {title}\n\n{markdown(rows)}" for title, rows in parts if len(rows) > 1]
    return "\n\n".join([*written, *_tables(reports)])


def _tables(reports: Sequence[Report]) -> Iterator[str]:
    for report in reports:
        tables = [table for table in report.tables.values() if table.side_by_side]
        if tables:
            yield f"## {report.title}"
        for table in tables:
            yield f"{table.caption}:\n\n{markdown(rows_of(table))}"


BEGIN, END = "<!-- tables -->", "<!-- end of tables -->"
"""What stands in a page around the tables that come out of reports."""


def put_into(page: Path, text: str) -> None:
    """Put text into a page, in the place of all that stands between the marks `BEGIN` and `END`; the rest stays as it is.

    Raises:
        InputError: there is no such page, or it does not have each mark once, in this order.
    """
    try:
        before = page.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{page} cannot be read: {error}", "Expected a page in Markdown", "Name one that is there"
        ) from error
    if before.count(BEGIN) != 1 or before.count(END) != 1 or before.index(BEGIN) > before.index(END):
        raise InputError(
            f"{page} has {before.count(BEGIN)} times {BEGIN} and {before.count(END)} times {END}",
            "Expected each once, one after the other: what stands between them is written anew",
            "Put both on lines of their own where the tables are to be",
        )
    head, _, rest = before.partition(BEGIN)
    tail = rest.partition(END)[2]
    atomic_write(page, f"{head}{BEGIN}\n\n{text.strip()}\n\n{END}{tail}".encode())
