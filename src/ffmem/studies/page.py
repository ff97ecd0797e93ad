"""A report as one HTML page that needs nothing but itself, with each of its charts and tables as files beside it."""

import json
from collections.abc import Mapping
from pathlib import Path

from ffmem.json_values import JsonObject
from ffmem.markup import Markup, environment
from ffmem.store.files import atomic_write
from ffmem.studies import charts
from ffmem.studies.report import Report
from ffmem.studies.results import as_csv
from ffmem.version import __version__

N_SHOWN = 12
"""Rows of a table on a page; the file beside it has all."""


def write_page(report: Report, folder: Path) -> Path:
    """Write ``report.html`` into a folder, with ``figures/`` beside it: CSV, SVG and PNG of charts, CSV of tables and numbers.

    Returns:
        the page. It needs no network, and no other file.
    """
    beside = folder / "figures"
    beside.mkdir(parents=True, exist_ok=True)
    drawn = {name: charts.spec(chart) for name, chart in report.charts.items()}
    for name, chart in report.charts.items():
        atomic_write(beside / f"{name}.csv", as_csv(charts.csv_rows(chart)))
        picture = charts.svg(drawn[name])
        atomic_write(beside / f"{name}.svg", picture.encode())
        atomic_write(beside / f"{name}.png", charts.png(picture))
    for name, table in report.tables.items():
        atomic_write(beside / f"{name}.csv", as_csv(table.rows))
    numbers = [{"item": name} | number.__dict__ for name, number in report.numbers]
    atomic_write(beside / "numbers.csv", as_csv(numbers))
    page = folder / "report.html"
    atomic_write(page, html_of(report, drawn).encode())
    return page


def html_of(report: Report, drawn: Mapping[str, JsonObject]) -> str:
    """The page.

    Args:
        report: what it shows.
        drawn: its charts, as Vega-Lite.
    """
    return (
        environment("ffmem.studies")
        .get_template("report.html")
        .render(
            report=report,
            n_shown=N_SHOWN,
            version=__version__,
            script=Markup(charts.script().replace("</script", "<\\/script")),
            specs=Markup(json.dumps(drawn, sort_keys=True).replace("<", "\\u003c")),
        )
    )
