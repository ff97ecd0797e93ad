"""The studies of this index: words, claims, charts, and the numbers behind them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ffmem.errors import FfmemError, InputError
from ffmem.json_values import JsonObject
from ffmem.server.explorer import Explorer
from ffmem.studies import charts
from ffmem.studies.exhibit import Chart
from ffmem.studies.page import N_SHOWN
from ffmem.studies.report import Report
from ffmem.studies.results import Results, as_csv

Made = TypeVar("Made")


@dataclass(frozen=True)
class FiguresView:
    """A study, and which others there are."""

    why: str
    """Why there is none; empty if there is one."""
    report: Report | None
    studies: tuple[Results, ...]
    n_shown: int = N_SHOWN
    """Rows of a table on the page."""

    def to_json(self) -> JsonObject:
        """As plain JSON values: the numbers; charts have addresses of their own."""
        empty: JsonObject = {"facts": {}, "numbers": [], "shapes": [], "figures": [], "tables": []}
        studies = [{"study": one.study, "key": one.key} for one in self.studies]
        return {"why": self.why, "studies": studies} | (self.report.to_json() if self.report else empty)


def figures_view(explorer: Explorer, key: str = "") -> FiguresView:
    """See `FiguresView`; made anew when results are added.

    Raises:
        InputError: there are no results with this key.
    """
    studies = explorer.studies
    try:
        report = explorer.report(key)
    except InputError:
        raise
    except FfmemError as error:
        return FiguresView(str(error), None, studies.results)
    return FiguresView(studies.why, report and report.named(explorer.index.names), studies.results)


def figure_spec(explorer: Explorer, name: str, key: str = "") -> JsonObject:
    """A chart as Vega-Lite.

    Raises:
        InputError: there is none of that name.
    """
    return _made(explorer, "spec", name, key, charts.spec)


def figure_image(explorer: Explorer, name: str, key: str = "") -> bytes:
    """A chart as SVG; see `figure_spec`."""
    return _made(explorer, "svg", name, key, lambda chart: charts.svg(charts.spec(chart)).encode())


def figure_pixels(explorer: Explorer, name: str, key: str = "") -> bytes:
    """A chart as PNG; see `figure_spec`."""
    return _made(explorer, "png", name, key, lambda chart: charts.png(charts.svg(charts.spec(chart))))


def figure_table(explorer: Explorer, name: str, key: str = "") -> bytes:
    """The numbers of a chart, or a table that a section has, as CSV.

    Raises:
        InputError: there is none of that name.
    """
    report = explorer.report(key)
    if report is not None and name in report.charts:
        return as_csv(charts.csv_rows(report.charts[name]))
    if report is not None and name in report.tables:
        return as_csv(report.tables[name].rows)
    raise _no_table(name)


def patterns_table(explorer: Explorer, name: str) -> bytes:
    """All patterns of the cells of a layer, as the study wrote them.

    Raises:
        InputError: there is no such layer, or no such table.
    """
    known = [layer.name for layer in explorer.index.cells.layers if layer.name == name]
    folder = explorer.patterns_folder
    files = [folder / "patterns" / f"{one}.csv" for one in known] if folder else []
    if not files or not files[0].is_file():
        raise _no_table(name)
    return files[0].read_bytes()


def _made(explorer: Explorer, form: str, name: str, key: str, make: Callable[[Chart], Made]) -> Made:
    report = explorer.report(key)
    if report is None or name not in report.charts:
        names = ", ".join(report.charts) if report else ""
        raise InputError(
            f"there is no figure {name[:100]!r}", f"Expected one of: {names or 'none yet'}", "See /figures"
        )
    return explorer.kept(f"{form} {name} {id(report)}", lambda: make(report.charts[name]))


def _no_table(name: str) -> InputError:
    return InputError(f"there is no table {name[:100]!r}", "Expected one that /figures leads to", "See /figures")
