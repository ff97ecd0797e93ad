"""What the cells of a picture are coloured by: a number for each, on a scale or of a class."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from ffmem.errors import InputError
from ffmem.json_values import JsonObject, fields_to_json
from ffmem.queries.atlas.points import CellNumbers
from ffmem.store.arrays import total_of
from ffmem.store.atlas import Atlas
from ffmem.store.keys import NO_TOKEN
from ffmem.store.reader import Index

ColourBy = Literal[
    "layer", "kind", "topic", "documents", "grade", "active", "size", "largest", "agreement", "norm", "kept"
]
NOTHING = 255
"""The number of a cell that has no colour."""
STEPS = 254
"""The last number of a scale, and of a class."""
_MOST = 0.2
"""Share of a cell's triggers whose documents have one topic, from which on the commonest is its colour."""
_NAMED = {"kind": "kind of name", "topic": "topic that the name claims", "grade": "grade of the name"}
_SCALES = {
    "active": "share of positions where it is active", "size": "root mean square of its coefficients",
    "largest": "largest coefficient", "norm": "length of its vector",
    "kept": "share of its nearest cells that are near it here",
}  # fmt: skip


@dataclass(frozen=True)
class ColourClass:
    """Cells of one colour, or a step of a scale."""

    label: str
    number: int
    n_cells: int | None
    """None on a scale."""


@dataclass(frozen=True)
class Colour:
    """A colour for each cell, and what it means."""

    by: ColourBy
    title: str
    is_scale: bool
    """Whether numbers from 0 to `STEPS` mean less and more, each cell by its rank among all."""
    legend: tuple[ColourClass, ...]
    """Of a scale five steps, lowest first; of classes the largest first."""
    n_without: int
    numbers: np.ndarray
    """(cells,) uint8, `NOTHING` for those without."""

    def to_json(self) -> JsonObject:
        """As plain JSON values, without the numbers, which have an address of their own."""
        return fields_to_json(self, "numbers")


def colour_cells(index: Index, by: ColourBy, atlas: Atlas | None = None) -> Colour | None:
    """The colour of each cell of an index; None if nothing is known of that.

    Args:
        index: an opened index.
        by: what it means.
        atlas: the picture, which "norm" and "kept" are of.
    """
    if by not in get_args(ColourBy):
        raise InputError(f"the colour is {by!r}", f"Expected one of: {', '.join(get_args(ColourBy))}", "Choose layer")
    if by == "layer":
        return _layers(index)
    if by in _NAMED:
        return _by_name(index, by)
    if by == "documents":
        return _by_documents(index)
    if by == "agreement":
        return _agreement(index)
    if by == "norm" or by == "kept":
        values = None if atlas is None else getattr(atlas, by)
        return None if values is None or not len(values) or np.isnan(values).all() else _scale(by, values)
    return _scale(by, np.concatenate([_statistic(index, place, by) for place in range(index.n_layers)]))


def _layers(index: Index) -> Colour:
    n = index.n_layers
    steps = [round(place * STEPS / max(n - 1, 1)) for place in range(n)]
    sizes = [one.n_cells for one in index.cells.layers]
    numbers = np.repeat(np.array(steps, dtype=np.uint8), sizes)
    shown = sorted({round(i * (n - 1) / 4) for i in range(5)})
    legend = tuple(ColourClass(index.cells.layers[one].name, steps[one], None) for one in shown)
    return Colour("layer", "layer", True, legend, 0, numbers)


def _scale(by: ColourBy, values: np.ndarray) -> Colour:
    known = ~np.isnan(values)
    ordered = np.sort(values[known])
    middle = (np.searchsorted(ordered, values[known], "left") + np.searchsorted(ordered, values[known], "right")) / 2
    numbers = np.full(len(values), NOTHING, dtype=np.uint8)
    numbers[known] = np.clip(np.round((middle - 0.5) / max(len(ordered) - 1, 1) * STEPS), 0, STEPS)
    legend = tuple(
        ColourClass(f"{float(np.quantile(ordered, share)):.3g}", round(share * STEPS), None)
        for share in (0, 0.25, 0.5, 0.75, 1)
    )
    return Colour(by, _SCALES[by], True, legend, int((~known).sum()), numbers)


def _statistic(index: Index, place: int, by: ColourBy) -> np.ndarray:
    arrays, layer = index.layer(place), index.cells.layers[place]
    seen = np.maximum(np.repeat(arrays.counts[:, 0], layer.group_size), 1)
    found: np.ndarray
    if by == "active":
        found = np.asarray(arrays.n_active) / seen
        return found
    if by == "size":
        found = np.sqrt(np.maximum(total_of(arrays.square_sum) / seen, 0))
        return found
    highest, lowest = np.asarray(arrays.maximum, dtype=float), np.asarray(arrays.minimum, dtype=float)
    largest = np.maximum(highest, -lowest) if index.signs_of(place) == 2 else highest
    return np.where(np.isfinite(largest), largest, np.nan)  # an expert may have seen nothing


def _classes(by: ColourBy, title: str, labels: Sequence[str], of_cell: np.ndarray) -> Colour | None:
    """From the number of each cell's label, -1 for none; beyond those that have a number, the rarest are one class."""
    counts = Counter(of_cell[of_cell >= 0].tolist())
    if not counts:
        return None
    ordered = sorted(counts, key=lambda one: (-counts[one], labels[one]))
    numbers = np.full(len(of_cell), NOTHING, dtype=np.uint8)
    place = np.full(len(labels) + 1, NOTHING, dtype=np.uint8)
    place[ordered] = np.minimum(np.arange(len(ordered)), STEPS)
    numbers = place[of_cell]
    first = [ColourClass(labels[one], i, counts[one]) for i, one in enumerate(ordered[:STEPS])]
    rest = sum(counts[one] for one in ordered[STEPS:])
    legend = (*first, *([ColourClass("others", STEPS, rest)] if rest else []))
    return Colour(by, title, False, legend, int((of_cell < 0).sum()), numbers)


def _by_name(index: Index, by: ColourBy) -> Colour | None:
    cells, labels = CellNumbers(index), dict[str, int]()
    of_cell = np.full(index.n_cells, -1)
    for cell, sign, name in index.names.all_names():
        label = {"kind": name.kind or name.source, "topic": name.topic, "grade": name.grade}[by]
        if label and cell in index.cells:
            number = cells.number(cell)
            if of_cell[number] < 0 or sign == 1:
                of_cell[number] = labels.setdefault(label, len(labels))
    return _classes(by, _NAMED[by], list(labels), of_cell)


def _by_documents(index: Index) -> Colour | None:
    found = index.text.document_labels()
    if found is None or len(found.names) > STEPS:
        return None
    parts = []
    for place in range(index.n_layers):
        tokens = np.asarray(index.layer(place).trigger_token[:, 0])
        filled = tokens != NO_TOKEN
        of_trigger = found.of_document[index.text.document_of(index.text.sentence_of(tokens[filled].astype(np.int64)))]
        rows = np.nonzero(filled)[0]
        counts = np.bincount(rows * len(found.names) + of_trigger, minlength=len(tokens) * len(found.names))
        table = counts.reshape(len(tokens), len(found.names))
        best, n = table.argmax(1), table.sum(1)
        parts.append(np.where((n > 0) & (table.max(1) >= _MOST * n), best, -1))
    title = f"commonest {found.field} of its triggers, from {_MOST:.0%} of them on"
    return _classes("documents", title, found.names, np.concatenate(parts))


def _agreement(index: Index) -> Colour | None:
    if not index.manifest.model.predicts_next_token:
        return None
    parts = []
    for place in range(index.n_layers):
        arrays = index.layer(place)
        first = np.asarray(arrays.trigger_token[:, 0, 0])
        rows = np.flatnonzero(first != NO_TOKEN)
        following = index.text.following(first[rows].astype(np.int64))
        agrees = (np.asarray(arrays.promoted_ids[:, 0])[rows] == following).astype(np.int64)
        of_cell = np.full(len(first), -1)
        of_cell[rows] = np.where(following < 0, -1, agrees)
        parts.append(of_cell)
    labels = ("another token followed its first trigger", "its top token followed its first trigger")
    return _classes("agreement", "key and value agree", labels, np.concatenate(parts))
