"""Labels of triggers by layer: Geva et al. 2021, Figure 2."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ffmem.analyses.intervals import Estimate, mean
from ffmem.annotations.protocol import ADJUDICATED, LABELS, CellAnnotation, Label
from ffmem.annotations.store import Invalid, invalid_patterns
from ffmem.errors import InputError
from ffmem.ids import CellId
from ffmem.store.reader import Index


@dataclass(frozen=True)
class LayerSummary:
    """The cells of a layer. Intervals are of 95 %, by drawing cells."""

    layer: str
    """"all" for those of all layers together."""
    n_cells: int
    n_annotations: int
    """Cells, each as often as annotators count for it."""
    shares: dict[Label, Estimate]
    """Of the triggers with each label; together they are 1."""
    coverage: Estimate
    """Share of the triggers with a label other than "not-covered"."""
    patterns_per_cell: Estimate
    """Valid ones."""
    n_without_pattern: int
    """Annotations of a cell without any valid pattern."""


@dataclass(frozen=True)
class Summary:
    """What annotators found, by layer."""

    layers: tuple[LayerSummary, ...]
    """Those with annotations."""
    all_layers: LayerSummary
    invalid: tuple[Invalid, ...]
    """Patterns that count for nothing here."""

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self) | {"invalid": [one.to_json() for one in self.invalid]}


def summarize(index: Index, annotations: Sequence[CellAnnotation], *, annotator: str | None = None) -> Summary:
    """The table of Figure 2.

    Where a cell was adjudicated, that alone counts; elsewhere every annotator of a cell counts the same.

    Args:
        index: the index of the annotations.
        annotations: what is stored.
        annotator: only what this one says.

    Raises:
        InputError: nothing is stored, or nothing of this annotator.
    """
    names = sorted({one.annotator for one in annotations})
    if annotator is not None:
        annotations = [one for one in annotations if one.annotator == annotator]
    if not annotations:
        raise InputError(
            f"{index.folder} has no annotations" + (f" of {annotator!r}" if annotator else ""),
            f"Expected those of one of: {', '.join(names)}" if names else "Expected some annotations",
            "Import them first: ffmem annotate import DIR SHEET",
        )
    counted = _counted(annotations)
    by_place: dict[int, list[CellAnnotation]] = {}
    for one in counted:
        by_place.setdefault(index.cells.place(one.shown.cell)[0], []).append(one)
    return Summary(
        layers=tuple(_layer(index.cells.layers[place].name, by_place[place]) for place in sorted(by_place)),
        all_layers=_layer("all", counted),
        invalid=invalid_patterns(counted),
    )


def _counted(annotations: Iterable[CellAnnotation]) -> list[CellAnnotation]:
    """Without those that an adjudication of the same triggers takes precedence over."""
    annotations = list(annotations)
    settled = {(one.shown.cell, one.shown.sign) for one in annotations if one.annotator == ADJUDICATED}
    return [
        one for one in annotations if one.annotator == ADJUDICATED or (one.shown.cell, one.shown.sign) not in settled
    ]


def _layer(name: str, annotations: Sequence[CellAnnotation]) -> LayerSummary:
    numbers: dict[CellId, int] = {}
    groups = np.array([numbers.setdefault(one.shown.cell, len(numbers)) for one in annotations])
    labels = np.array([label for one in annotations for label in one.labels])
    of_label = np.repeat(groups, [len(one.labels) for one in annotations])
    n_patterns = np.array([len(one.valid) for one in annotations])
    return LayerSummary(
        layer=name,
        n_cells=len(numbers),
        n_annotations=len(annotations),
        shares={label: mean(labels == label, of_label) for label in LABELS},
        coverage=mean(labels != "not-covered", of_label),
        patterns_per_cell=mean(n_patterns, groups),
        n_without_pattern=int((n_patterns == 0).sum()),
    )
