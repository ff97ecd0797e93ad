"""Do annotators agree? Krippendorff's alpha on the labels of triggers, and patterns matched by the triggers they share."""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import nan

from ffmem.annotations.protocol import ADJUDICATED, CellAnnotation, ShownCell
from ffmem.errors import InputError
from ffmem.json_values import Record

MIN_OVERLAP = 0.5
"""Patterns match if at least this share of the triggers that carry either carry both."""


@dataclass(frozen=True)
class PairAgreement:
    """Two annotators, over the cells that both have annotated."""

    annotators: tuple[str, str]
    n_cells: int
    alpha: float
    """Krippendorff's, of these two; NaN if there is but one label."""
    n_patterns: tuple[int, int]
    """Valid patterns of each."""
    n_matched: int
    """Pairs of them that match."""
    matched_fraction: float
    """Share of the patterns of both that have a match; NaN if there is no pattern."""
    overlap: float
    """Mean overlap of the pairs; NaN without any."""
    same_class_fraction: float
    """Share of the pairs that are of one class; NaN without any."""


@dataclass(frozen=True)
class Agreement(Record):
    """How far annotators agree. What was adjudicated has no part in it."""

    annotators: tuple[str, ...]
    n_cells: int
    """Cells that two annotators or more have annotated."""
    n_triggers: int
    """Their triggers."""
    alpha: float
    """Krippendorff's, of the labels of these triggers: 1 is full agreement, 0 is chance. NaN if there is but one label."""
    pairs: tuple[PairAgreement, ...]


def krippendorff_alpha(units: Iterable[Sequence[Hashable | None]]) -> float:
    """Krippendorff's alpha for nominal data.

    alpha = 1 - D_o / D_e, with D_o the share of unequal pairs of values within units, each unit weighted by its number of
    values, and D_e their share among all values, regardless of units.

    Args:
        units: of each, what every coder said; None where a coder said nothing. Units with fewer than two values count
            for nothing.

    Returns:
        at most 1; NaN if no two values differ anywhere, or none can be compared.

    Source: Krippendorff, Content Analysis, chapter 12.
    """
    totals: Counter[Hashable] = Counter()
    unequal = 0.0
    for unit in units:
        counts = Counter(value for value in unit if value is not None)
        m = counts.total()
        if m > 1:
            totals += counts
            unequal += (m * m - sum(n * n for n in counts.values())) / (m - 1)
    n = totals.total()
    expected = n * n - sum(one * one for one in totals.values())
    return 1 - (n - 1) * unequal / expected if expected else nan


def match(
    left: Mapping[int, frozenset[Hashable]], right: Mapping[int, frozenset[Hashable]]
) -> list[tuple[int, int, float]]:
    """Patterns of two annotators, one to one, by overlap: shared triggers over triggers of either (Jaccard).

    The pair with the largest overlap is taken first, equals by their numbers, until none has `MIN_OVERLAP`.

    Args:
        left: the triggers that carry each pattern of the one.
        right: of the other.

    Returns:
        (number, number, overlap) of each pair, in the order in which they were taken.
    """
    pairs = [(len(a & b) / len(a | b), i, j) for i, a in left.items() for j, b in right.items() if a | b]
    found: list[tuple[int, int, float]] = []
    for overlap, i, j in sorted(pairs, key=lambda pair: (-pair[0], *pair[1:])):
        if overlap >= MIN_OVERLAP and all(i != one[0] and j != one[1] for one in found):
            found.append((i, j, overlap))
    return found


def by_cell(annotations: Iterable[CellAnnotation]) -> dict[tuple[str, ShownCell], dict[str, CellAnnotation]]:
    """Of each cell of each batch, what every annotator says."""
    found: dict[tuple[str, ShownCell], dict[str, CellAnnotation]] = {}
    for one in annotations:
        found.setdefault((one.batch, one.shown), {})[one.annotator] = one
    return found


def measure_agreement(annotations: Iterable[CellAnnotation]) -> Agreement:
    """Agreement on all cells that two annotators or more have annotated in one batch.

    Args:
        annotations: of one index.

    Raises:
        InputError: there is no such cell.
    """
    cells = by_cell(one for one in annotations if one.annotator != ADJUDICATED)
    shared = [one for one in cells.values() if len(one) > 1]
    if not shared:
        raise InputError(
            "no cell has annotations of two annotators",
            "Expected two sheets of one batch, both filled in and imported",
            "Give the batch to another annotator: ffmem annotate draw",
        )
    names = tuple(sorted({name for one in shared for name in one}))
    pairs = [
        _pair((a, b), [(one[a], one[b]) for one in shared if a in one and b in one]) for a, b in combinations(names, 2)
    ]
    return Agreement(
        annotators=names,
        n_cells=len(shared),
        n_triggers=sum(len(next(iter(one.values())).labels) for one in shared),
        alpha=_alpha([list(one.values()) for one in shared]),
        pairs=tuple(one for one in pairs if one.n_cells),
    )


def _alpha(cells: Iterable[Sequence[CellAnnotation]]) -> float:
    return krippendorff_alpha(labels for cell in cells for labels in zip(*(one.labels for one in cell), strict=True))


def _pair(names: tuple[str, str], cells: Sequence[tuple[CellAnnotation, CellAnnotation]]) -> PairAgreement:
    matched: list[float] = []
    same_class = 0
    for left, right in cells:
        pairs = match(*({one.number: cell.carriers(one.number) for one in cell.valid} for cell in (left, right)))
        classes = [{one.number: one.pattern_class for one in cell.valid} for cell in (left, right)]
        same_class += sum(classes[0][i] == classes[1][j] for i, j, _ in pairs)
        matched += [overlap for _, _, overlap in pairs]
    n_left, n_right = (sum(len(one[i].valid) for one in cells) for i in (0, 1))
    n = len(matched)
    return PairAgreement(
        annotators=names,
        n_cells=len(cells),
        alpha=_alpha(cells),
        n_patterns=(n_left, n_right),
        n_matched=n,
        matched_fraction=2 * n / (n_left + n_right) if n_left + n_right else nan,
        overlap=sum(matched) / n if n else nan,
        same_class_fraction=same_class / n if n else nan,
    )
