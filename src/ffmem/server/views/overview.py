"""The model as layers."""

from dataclasses import dataclass

from ffmem.json_values import JsonObject, fields_to_json
from ffmem.queries.highlights import Highlight, highlights
from ffmem.queries.overview import LayerRow, n_dead, overview
from ffmem.queries.table import info
from ffmem.server.explorer import Explorer

_HIGHLIGHTS = "highlights"
LABELS = ("shallow", "shallow+semantic", "semantic", "not-covered")
"""In the order of the paper's Figure 2."""


@dataclass(frozen=True)
class LayerView:
    """A layer on the overview."""

    row: LayerRow
    labels: dict[str, float] | None
    """Share of its triggers with each label, from a study; None without one."""

    def to_json(self) -> JsonObject:
        """As plain JSON values."""
        return fields_to_json(self.row) | {"labels": self.labels}


@dataclass(frozen=True)
class OverviewView:
    """The overview: what the index is, its layers, a few cells worth a first look."""

    info: JsonObject
    layers: tuple[LayerView, ...]
    n_dead: int
    study: JsonObject
    highlights: tuple[Highlight, ...] | None
    """None while they are being chosen, which takes a look at all triggers of all cells."""

    def to_json(self) -> JsonObject:
        """As plain JSON values."""
        first = [{"why": one.why, "cell": str(one.cell.cell)} for one in self.highlights or ()]
        return fields_to_json(self, "n_dead", "highlights") | {"highlights": first}


def overview_view(explorer: Explorer) -> OverviewView:
    """See `OverviewView`; what does not change is computed once."""
    studies = explorer.studies
    labels = labels_by_layer(explorer)
    rows = explorer.kept("overview", lambda: overview(explorer.index))
    return OverviewView(
        info=info(explorer.index),
        layers=tuple(LayerView(row, labels.get(row.layer)) for row in rows),
        n_dead=n_dead(rows),
        study={"available": bool(studies.results), "why": studies.why},
        highlights=explorer.ready(_HIGHLIGHTS),
    )


def choose_highlights(explorer: Explorer) -> None:
    """Let later overviews have their highlights."""
    explorer.kept(_HIGHLIGHTS, lambda: tuple(highlights(explorer.index)))


def labels_by_layer(explorer: Explorer) -> dict[str, dict[str, float]]:
    """Share of triggers with each label, by layer; empty if no patterns were looked for."""
    report = explorer.report() if explorer.patterns_folder else None
    chart = report.charts.get("labels") if report else None
    labels: dict[str, dict[str, float]] = {}
    for row in chart.rows if chart else ():
        labels.setdefault(row["name"], {})[row["series"]] = row["value"]
    return labels
