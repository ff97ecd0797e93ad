"""The model as layers."""

from dataclasses import dataclass, replace

from ffmem.json_values import JsonObject, fields_to_json, to_json
from ffmem.queries.highlights import Highlight, highlights
from ffmem.queries.look_up import info
from ffmem.queries.overview import LayerRow, n_dead, overview
from ffmem.server.explorer import Explorer
from ffmem.store.reader import Index
from ffmem.studies.geva2021.cell_patterns import patterns_of

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
    told: tuple[str, ...] = ()
    """Of each highlight, what the study found in all of its triggers; empty without one."""
    labels_wait: bool = False
    """Whether the labels of layers are still being read."""

    @property
    def waits(self) -> bool:
        """Whether a page of it is not whole yet."""
        return self.labels_wait or self.highlights is None

    def to_json(self) -> JsonObject:
        """As plain JSON values."""
        first = [
            {"why": one.why, "cell": str(one.cell.cell), "names": to_json(one.cell.names)}
            | ({"study": self.told[number]} if self.told else {})
            for number, one in enumerate(self.highlights or ())
        ]
        return fields_to_json(self, "n_dead", "highlights", "told", "labels_wait") | {"highlights": first}


def overview_view(explorer: Explorer, wait: bool = True) -> OverviewView:
    """See `OverviewView`; what does not change is computed once.

    Args:
        explorer: of the index.
        wait: False: without labels that have not been read yet.
    """
    studies = explorer.studies
    labels_wait = not wait and explorer.patterns_folder is not None and explorer.report(wait=False) is None
    labels = {} if labels_wait else labels_by_layer(explorer)
    rows = explorer.kept("overview", lambda: overview(explorer.index))
    chosen = explorer.ready(_HIGHLIGHTS)
    named = None if chosen is None else tuple(_named(explorer.index, one) for one in chosen)
    return OverviewView(
        info=info(explorer.index),
        layers=tuple(LayerView(row, labels.get(row.layer)) for row in rows),
        n_dead=n_dead(rows),
        study={"available": bool(studies.results), "why": studies.why},
        highlights=named,
        told=tuple(_told(explorer, one) for one in named or ()) if explorer.patterns_folder else (),
        labels_wait=labels_wait,
    )


def _told(explorer: Explorer, one: Highlight) -> str:
    """What the study found in all triggers of a cell, which may be less than its first ones make believe."""
    index, cell, folder = explorer.index, one.cell.cell, explorer.patterns_folder
    layer = index.cells.layers[index.cells.place(cell)[0]].name
    found = patterns_of(folder, layer, cell) if folder else None
    if found is None:
        return ""
    n = len(one.cell.triggers)
    if not found:
        return f"The study finds nothing in its {n} triggers that chance would not have made too."
    first = "; ".join(f"{pattern.text} ({pattern.pattern_class}, {len(pattern.triggers)})" for pattern in found[:2])
    return f"Of its {n} triggers, the study finds more than chance would have it: {first}."


def _named(index: Index, one: Highlight) -> Highlight:
    """With the names that its cell has now, which change while what is kept does not."""
    return replace(one, cell=replace(one.cell, names=index.names.of_cell(one.cell.cell)))


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
