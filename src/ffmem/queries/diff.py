"""The cells that differ most between two indexes."""

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from ffmem.cell import Name
from ffmem.errors import InputError
from ffmem.ids import CellId
from ffmem.json_values import Record
from ffmem.markup import captioned
from ffmem.queries.matches import Masks
from ffmem.queries.names import places
from ffmem.queries.overlap import PERSISTENCE, rank_biased_overlap, without_repeats
from ffmem.store.arrays import LayerArrays, total_of
from ffmem.store.keys import NO_TOKEN
from ffmem.store.reader import Index

Change = Literal["triggers", "promoted", "active", "mean"]
_NAMES: tuple[Change, ...] = get_args(Change)


@dataclass(frozen=True)
class CellDiff(Record):
    """A cell in two indexes, the first before the second."""

    cell: CellId
    trigger_overlap: float
    """Rank-biased overlap of its trigger lists, from 0 to 1; of gated cells the mean over both signs."""
    promoted_overlap: float
    """Rank-biased overlap of its promoted tokens."""
    active_difference: float
    """(p2 - p1) / sqrt((p1 (1 - p1) + p2 (1 - p2)) / 2), with p the active fraction."""
    mean_difference: float
    """(m2 - m1) / sqrt((v1 + v2) / 2), with m the mean coefficient and v its variance."""
    active_fractions: tuple[float, float]
    means: tuple[float, float]
    name: Name | None = None
    """What it is called in the first index."""


@dataclass(frozen=True)
class Diff(Record):
    """The cells that differ most."""

    compared: Literal["triggers", "firing tokens"]
    """What the trigger lists hold for the comparison: sentence and position where both indexes have the same
    sentences, else the distinct tokens that the triggers fire on."""
    by: Change
    p: float
    """Of the rank-biased overlap."""
    mean_overlap: float
    """Mean `trigger_overlap` of all cells compared."""
    rows: tuple[CellDiff, ...]
    n_compared: int = 0
    """Cells that were compared, those beyond the limit included."""

    def _repr_html_(self) -> str:
        """For notebooks."""
        rows = [
            (str(row.cell), row.name, f"{row.trigger_overlap:.3f}", f"{row.promoted_overlap:.3f}",
             f"{row.active_difference:.3f}", f"{row.mean_difference:.3f}")
            for row in self.rows
        ]  # fmt: skip
        head = ("cell", "name", f"overlap of {self.compared}", "overlap of promoted tokens", "active", "mean")
        return captioned(f"largest differences by {self.by}", head, rows)


def diff(
    left: Index,
    right: Index,
    *,
    by: Change = "triggers",
    layer: str | int | None = None,
    among: Masks | None = None,
    start: int = 0,
    limit: int = 20,
) -> Diff:
    """The cells that differ most between two indexes of models with the same layers.

    Args:
        left: an opened index.
        right: another.
        by: "triggers", "promoted": smallest rank-biased overlap first, with p = 0.9; "active", "mean": largest
            standardised difference first. Of equal ones those that are active most in both come first, then by cell id:
            lists of cells that are rarely active differ easily.
        layer: a layer, or a range of them such as ``10:``.
        among: for each layer, by its place, whether each of its cells is compared at all.
        start: so many cells are passed over first.
        limit: at most this many cells.

    Raises:
        InputError: the layers differ, or the cells that are indexed.

    Cost: a sort of the lists of one layer at a time.
    """
    if by not in _NAMES:
        raise InputError(f"--by is {by!r}", f"Expected one of: {', '.join(_NAMES)}", "Write --by triggers")
    check_same_layers(left, right)
    tokens = _Tokens(left, right)
    layers = places(left, layer)
    measured = [
        _measure(left.layer(place), right.layer(place), tokens, left.cells.layers[place].group_size) for place in layers
    ]
    columns = [np.concatenate(column) for column in zip(*measured, strict=True)]
    if among is not None:
        chosen = np.flatnonzero(np.concatenate([among[place] for place in layers]))
        columns = [column[chosen] for column in columns]
    else:
        chosen = np.arange(len(columns[0]))
    key = np.abs(columns[_NAMES.index(by)])
    key = key if by in ("triggers", "promoted") else -key
    starts = np.cumsum([0, *(len(part[0]) for part in measured)])
    rows = []
    start, active_in_both = max(start, 0), np.minimum(columns[4], columns[5])
    for i in np.lexsort((-active_in_both, key))[start : start + max(limit, 0)].tolist():
        number = int(chosen[i])
        part = int(np.searchsorted(starts, number, side="right")) - 1
        triggers, promoted, active, mean, *pairs = (float(column[i]) for column in columns)
        cell = left.cells.cell_id(layers[part], number - int(starts[part]))
        rows.append(CellDiff(cell, triggers, promoted, active, mean, (pairs[0], pairs[1]), (pairs[2], pairs[3])))
    compared: Literal["triggers", "firing tokens"] = "triggers" if tokens.same_text else "firing tokens"
    return Diff(compared, by, PERSISTENCE, float(columns[0].mean()), left.names.on(rows), len(columns[0]))


def _is_finite(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def check_same_layers(left: Index, right: Index) -> None:
    """Refuse two indexes whose cells are not the same places of models of one shape.

    Raises:
        InputError: the layers differ, or the cells that are indexed.
    """
    if left.cells.whole.layers != right.cells.whole.layers or left.n_signs != right.n_signs:
        sizes = [
            f"{index.folder} has {index.cells.whole.describe()}{', gated' if index.n_signs == 2 else ''}"
            for index in (left, right)
        ]
        raise InputError(
            f"the indexes are of models of different shapes: {'; '.join(sizes)}",
            "Expected the same layers with the same numbers of cells",
            "Compare indexes of one model over two corpora, or of two checkpoints of one model",
        )
    if left.cells.layers != right.cells.layers:
        sizes = [f"{index.folder} has {index.cells.describe()}" for index in (left, right)]
        raise InputError(
            f"the indexes have different cells of their models: {'; '.join(sizes)}",
            "Expected the same cells in both",
            "Build one of them again with --cells and --seed of the other",
        )


class _Tokens:
    """Makes the token indices and token ids of two indexes comparable."""

    def __init__(self, left: Index, right: Index) -> None:
        self._texts = left.text, right.text
        starts, ids = ([getattr(text, name) for text in self._texts] for name in ("sentence_start", "token_id"))
        vocabularies = [text.vocabulary for text in self._texts]
        same_tokens = vocabularies[0] == vocabularies[1]
        # equal token ids in equal sentences: then a token index names the same sentence and position in both
        self.same_text = same_tokens and np.array_equal(*starts) and np.array_equal(*ids)
        self._translated = None if same_tokens else _translate(*vocabularies)

    def comparable(self, ids: np.ndarray, side: int) -> np.ndarray:
        """Token ids of one index; equal numbers are equal texts, and -1 stays."""
        ids = ids.astype(np.int64)
        if side == 0 or self._translated is None:
            return ids
        return np.where(ids < 0, -1, self._translated[np.maximum(ids, 0)])

    def lists(self, triggers: np.ndarray, side: int) -> np.ndarray:
        """What the trigger lists (cells, top) of one index hold; -1 in empty slots."""
        tokens = triggers.astype(np.int64)
        empty = tokens == NO_TOKEN
        if self.same_text:
            return np.where(empty, -1, tokens)
        firing = self._texts[side].token_id[np.where(empty, 0, tokens)]
        return without_repeats(np.where(empty, -1, self.comparable(firing, side)))


def _translate(left: tuple[str, ...], right: tuple[str, ...]) -> np.ndarray:
    """For each token of the right vocabulary the id of the left one with its text, or a number that none there has."""
    by_text = {token: number for number, token in reversed(list(enumerate(left)))}
    return np.array([by_text.get(token, len(left) + number) for number, token in enumerate(right)])


def _measure(left: LayerArrays, right: LayerArrays, tokens: _Tokens, group_size: int) -> tuple[np.ndarray, ...]:
    """The fields of `CellDiff` of all cells of a layer, as columns."""
    sides = (left, right)
    by_sign = []
    for number in range(left.trigger_token.shape[1]):
        first, second = (tokens.lists(arrays.trigger_token[:, number], side) for side, arrays in enumerate(sides))
        by_sign.append(rank_biased_overlap(first, second))
    overlaps = np.stack(by_sign)
    n_known = (~np.isnan(overlaps)).sum(0)  # a sign whose lists are both empty says nothing
    triggers = np.where(n_known > 0, np.nansum(overlaps, axis=0) / np.maximum(n_known, 1), 1.0)
    first, second = (tokens.comparable(np.asarray(arrays.promoted_ids), side) for side, arrays in enumerate(sides))
    promoted = rank_biased_overlap(first, second)
    (p1, m1, v1), (p2, m2, v2) = (_moments(arrays, group_size) for arrays in sides)
    active, mean = _standardised(p1, p2, p1 * (1 - p1), p2 * (1 - p2)), _standardised(m1, m2, v1, v2)
    return triggers, promoted, active, mean, p1, p2, m1, m2


def _moments(arrays: LayerArrays, group_size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Active fraction, mean and variance of each cell."""
    n = np.repeat(np.maximum(arrays.counts[:, 0], 1), group_size)
    mean = total_of(arrays.sum) / n
    variance = np.maximum(total_of(arrays.square_sum) / n - mean**2, 0.0)
    return arrays.n_active / n, mean, variance


def _standardised(left: np.ndarray, right: np.ndarray, left_var: np.ndarray, right_var: np.ndarray) -> np.ndarray:
    """(right - left) over the root of the mean variance; 0 where both are equal, else infinite if there is none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found: np.ndarray = (right - left) / np.sqrt((left_var + right_var) / 2)
    return np.where(left == right, 0.0, found)
