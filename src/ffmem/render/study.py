"""Studies as text: their numbers beside the paper's."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from ffmem.studies.geva2021.findings import Findings
from ffmem.studies.geva2021.headlines import headlines, shapes


def study(found: Findings, page: Path) -> str:
    """What a study found, and where its page is."""
    return f"{comparison([found])}\n\nThe page: {page}"


def attention_study(numbers: Sequence[tuple[str, ...]], claims: Sequence[tuple[str, ...]], page: Path) -> str:
    """What a study of attention found, what the papers' claims came to, and where its page is."""
    return "\n\n".join(_plain(head, rows) for head, *rows in (numbers, claims)) + f"\n\nThe page: {page}"


def comparison(studies: Sequence[Findings], *, markdown: bool = False) -> str:
    """Two tables: the numbers, and whether the paper's shapes hold. A row for each quantity, a column for each study."""
    names = [f"{found.model} on {found.corpus}" for found in studies]
    numbers = _aligned(
        [{(one.item, one.quantity, one.paper): one.text() for one in headlines(found)} for found in studies]
    )
    held = _aligned(
        [{(one.item, one.claim): "yes" if one.holds else "not shown" for one in shapes(found)} for found in studies]
    )
    tables = (
        (("", "quantity", "paper", *names), [(*key, *values) for key, values in numbers]),
        (("", "what the paper saw", *names), [(*key, *values) for key, values in held]),
    )
    draw = _markdown if markdown else _plain
    return "\n\n".join(draw(head, rows) for head, rows in tables if rows)


def _aligned(columns: list[dict[tuple[str, ...], str]]) -> list[tuple[tuple[str, ...], list[str]]]:
    """All keys, each with its value in every column; "-" where a column has none."""
    keys = list(dict.fromkeys(key for column in columns for key in column))
    return [(key, [column.get(key, "-") for column in columns]) for key in keys]


def _markdown(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _plain(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Columns as wide as they need to be; the name of a figure stands above its rows."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(1, len(head))]

    def line(cells: Sequence[str]) -> str:
        return "  " + "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()

    parts = [line(head[1:])]
    for item, some in groupby(rows, key=lambda row: row[0]):
        parts += [item, *(line(row[1:]) for row in some)]
    return "\n".join(parts)
