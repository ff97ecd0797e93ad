"""The experiments of the paper on this index: words, charts, and the numbers behind them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ffmem.errors import InputError
from ffmem.server.explorer import Explorer
from ffmem.studies.geva2021.findings import Findings
from ffmem.studies.geva2021.headlines import Headline, Shape, headlines, shapes
from ffmem.studies.geva2021.items import items_of
from ffmem.studies.geva2021.report import Section, facts_of, left_out, section, tables
from ffmem.studies.results import as_csv


@dataclass(frozen=True)
class FiguresView:
    """All sections of a study."""

    why: str
    """Why there are none; empty if there are some."""
    facts: tuple[tuple[str, str], ...]
    left_out: tuple[str, ...]
    sections: tuple[Section, ...]
    headlines: tuple[Headline, ...]
    shapes: tuple[Shape, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values: the numbers; charts have addresses of their own."""
        return {
            "why": self.why,
            "facts": dict(self.facts),
            "numbers": [one.__dict__ for one in self.headlines],
            "shapes": [one.__dict__ for one in self.shapes],
            "figures": [figure.name for one in self.sections for figure in one.figures],
        }


def figures_view(explorer: Explorer) -> FiguresView:
    """See `FiguresView`; made anew when results are added."""
    study = explorer.study
    found = study.findings
    if found is None:
        return FiguresView(study.why, (), (), (), (), ())
    return explorer.kept(f"figures {id(found)}", lambda: _view(found, explorer))


def _view(found: Findings, explorer: Explorer) -> FiguresView:
    from ffmem.studies.geva2021.figures import names_of

    names = names_of(found)
    return FiguresView(
        why="",
        facts=tuple(facts_of(found, explorer.index)),
        left_out=tuple(left_out(found)),
        sections=tuple(section(found, explorer.index, one, names) for one in items_of(found)),
        headlines=tuple(headlines(found)),
        shapes=tuple(shapes(found)),
    )


def figure_spec(explorer: Explorer, name: str) -> dict[str, Any]:
    """A chart as Vega-Lite.

    Raises:
        InputError: there is none of that name.
    """
    from ffmem.studies.geva2021.figures import FIGURES, names_of

    found = explorer.study.findings
    names = names_of(found) if found else []
    if found is None or name not in names:
        raise InputError(
            f"there is no figure {name[:100]!r}", f"Expected one of: {', '.join(names) or 'none yet'}", "See /figures"
        )
    spec: dict[str, Any] = explorer.kept(f"spec {name} {id(found)}", lambda: FIGURES[name][1](found).to_dict())
    return spec


def figure_image(explorer: Explorer, name: str) -> bytes:
    """A chart as SVG; see `figure_spec`."""
    from ffmem.studies.charts import image
    from ffmem.studies.geva2021.figures import FIGURES

    figure_spec(explorer, name)
    found = explorer.study.findings
    assert found is not None
    return explorer.kept(f"svg {name} {id(found)}", lambda: image(FIGURES[name][1](found), "svg"))


def figure_table(explorer: Explorer, name: str) -> bytes:
    """The numbers of a chart, or a table that a section has, as CSV.

    Raises:
        InputError: there is none of that name.
    """
    from ffmem.studies.charts import rows_of
    from ffmem.studies.geva2021.figures import FIGURES, names_of

    found = explorer.study.findings
    if found is not None and name in names_of(found):
        return as_csv(rows_of(FIGURES[name][1](found)))
    made = {} if found is None else explorer.kept(f"tables {id(found)}", lambda: tables(found, explorer.index))
    if name not in made:
        raise _no_table(name)
    return as_csv(made[name])


def patterns_table(explorer: Explorer, name: str) -> bytes:
    """All patterns of the cells of a layer, as the study wrote them.

    Raises:
        InputError: there is no such layer, or no such table.
    """
    beside: Path | None = explorer.study.folder
    known = [layer.name for layer in explorer.index.cells.layers if layer.name == name]
    files = [beside / "patterns" / f"{one}.csv" for one in known] if beside else []
    if not files or not files[0].is_file():
        raise _no_table(name)
    return files[0].read_bytes()


def _no_table(name: str) -> InputError:
    return InputError(f"there is no table {name[:100]!r}", "Expected one that /figures leads to", "See /figures")
