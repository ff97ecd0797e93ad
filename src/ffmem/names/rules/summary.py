"""Names by rule in a few numbers: by layer, by kind, and the surest ones."""

from dataclasses import dataclass
from itertools import tee

import numpy as np

from ffmem.ids import CellId
from ffmem.json_values import Record
from ffmem.names.rules.features import FAMILIES
from ffmem.names.rules.labels import labels_of
from ffmem.names.rules.naming import CONFIDENT, GRADES, Names
from ffmem.names.rules.units import CERTAIN
from ffmem.store.labels import Labels

N_BEST = 5


@dataclass(frozen=True)
class Layer(Record):
    """The names of a layer's units; shares are of all its units."""

    layer: str
    n_units: int
    grades: dict[str, float]
    """Share with each of the grades "A", "B" and "C"."""
    certain: float
    """Share that is dead, always on or rare."""
    kinds: dict[str, float]
    """Share with each kind of name; "unclear" and "none" are none."""


@dataclass(frozen=True)
class Best(Record):
    """One of the surest names."""

    cell: CellId
    sign: int
    text: str
    grade: str
    f1: float
    low: float


@dataclass(frozen=True)
class Summary(Record):
    """Names by rule of an index."""

    n_units: int
    n_named: int
    """Units with a grade, or of which something certain is said."""
    n_confident: int
    """Units with one of the grades A and B."""
    is_tested: bool
    """Whether there was held-out text; else no name has a grade."""
    layers: tuple[Layer, ...]
    best: tuple[Best, ...]


def keep(names: Names, labels: Labels, *, whole: bool) -> int:
    """Write names into the labels of their index, and say how many there are.

    Args:
        names: them.
        labels: beside their index.
        whole: they are of all cells, and replace all earlier names by rule.
    """
    if whole:
        for_labels, for_scores = tee(labels_of(names))  # read in step: no more than one of them waits
        return labels.replace_rules((label for label, _ in for_labels), (scores for _, scores in for_scores))
    both = list(labels_of(names))
    return len(labels.add([label for label, _ in both], [scores for _, scores in both]))


def summarize(names: Names) -> Summary:
    """The names in numbers."""
    units = names.units
    graded = (names.grade < len(GRADES) - 1) & (units.certain == 0) & names.is_tested
    layers = []
    for place in np.unique(units.place).tolist():
        here = units.place == place
        n = int(here.sum())
        kinds, counts = np.unique(names.kind[here].astype(str), return_counts=True)
        order = {one: i for i, one in enumerate((*FAMILIES, *CERTAIN, "unclear", "none"))}
        by_kind = sorted(zip(kinds.tolist(), counts.tolist(), strict=True), key=lambda one: order[one[0]])
        layers.append(
            Layer(
                layer=names.index.cells.layers[place].name,
                n_units=n,
                grades={
                    grade: float((here & graded & (names.grade == i)).sum() / n) for i, grade in enumerate(GRADES[:-1])
                },
                certain=float((units.certain[here] > 0).mean()),
                kinds={kind: count / n for kind, count in by_kind},
            )
        )
    return Summary(
        n_units=len(units.place),
        n_named=int((graded | (units.certain > 0)).sum()),
        n_confident=int((graded & (names.grade < CONFIDENT)).sum()),
        is_tested=names.is_tested,
        layers=tuple(layers),
        best=_best(names, graded),
    )


def _best(names: Names, graded: np.ndarray) -> tuple[Best, ...]:
    """The units with the largest lower ends, one for each family and first value at most, over all layers."""
    low = np.where(graded, np.nan_to_num(names.units.judged("low")), -1.0)
    wanted = np.argsort(-low, kind="stable")[: 40 * N_BEST]
    wanted = wanted[low[wanted] > 0]
    said = dict(zip(sorted(wanted.tolist()), (one for one, _ in labels_of(names, set(wanted.tolist()))), strict=True))
    found: list[Best] = []
    seen: set[str] = set()
    f1, ends = names.units.judged("f1"), names.units.judged("low")
    for number in wanted.tolist():
        label = said[number]
        first = str((label.evidence or {}).get("values", [""])[0])
        if first not in seen and len(found) < N_BEST:
            seen.add(first)
            found.append(
                Best(
                    label.cell,
                    label.sign,
                    label.text,
                    label.grade,
                    round(float(f1[number]), 4),
                    round(float(ends[number]), 4),
                )
            )
    return tuple(found)
