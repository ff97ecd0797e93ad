"""One function for each question a user asks of an index; the command line, servers and notebooks go through these."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from ffmem.cell import Cell
from ffmem.errors import InputError
from ffmem.ids import CellId
from ffmem.index.reader import Index
from ffmem.index.store import NO_TOKEN, total_of

SortKey = Literal["max", "min", "mean", "mean-square", "active", "top", "index"]


@dataclass(frozen=True)
class CellRow:
    """A line of a table of cells."""

    cell: CellId
    active_fraction: float
    mean: float
    mean_square: float
    minimum: float
    maximum: float
    n_triggers: int
    """Filled slots of its lists, both signs together."""
    trigger: str | None
    """String of the token on which its best trigger fires."""
    promoted: tuple[str, ...]
    """Its three most promoted tokens."""

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return self.__dict__ | {"cell": str(self.cell), "promoted": list(self.promoted)}


def info(index: Index) -> dict[str, Any]:
    """What an index is: its manifest without the list of files, and its size on disk."""
    manifest = {name: value for name, value in index.manifest.items() if name != "files"}
    sizes = {
        "n_layers": index.n_layers,
        "d_ff": index.d_ff,
        "n_cells": index.n_cells,
        "n_signs": index.n_signs,
        "n_bytes": sum(file["bytes"] for file in index.manifest["files"].values()),
    }
    return sizes | manifest


def cell(index: Index, cell_id: str) -> Cell:
    """Everything about one cell."""
    return index.cell(cell_id)


def cells(index: Index, *, layer: int | None = None, sort: SortKey = "index", limit: int = 20) -> list[CellRow]:
    """A table of cells, by a statistic.

    Args:
        index: an opened index.
        layer: one layer, or all of them.
        sort: "max", "mean", "mean-square", "active": largest first; "min": smallest first; "top": the largest of the
            last trigger, so cells with many strong triggers; "index": as they stand. Equal ones by cell id.
        limit: at most this many rows.

    Raises:
        InputError: no such layer or statistic.
    """
    if sort not in get_args(SortKey):
        raise InputError(f"--sort is {sort!r}", f"Expected one of: {', '.join(get_args(SortKey))}", "Write --sort max")
    layers = range(index.n_layers) if layer is None else [layer]
    keys = np.concatenate([_sort_key(index, one, sort) for one in layers])
    order = np.argsort(keys, kind="stable")[: max(limit, 0)]
    first = layers[0]
    return [_row(index, CellId(first + int(i) // index.d_ff, int(i) % index.d_ff)) for i in order]


def _sort_key(index: Index, layer: int, sort: SortKey) -> np.ndarray:
    """Smaller comes first."""
    arrays = index.layer(layer)
    if sort == "max":
        return -arrays.maximum.astype(np.float64)
    if sort == "min":
        return arrays.minimum.astype(np.float64)
    if sort == "mean":
        return -total_of(arrays.sum)
    if sort == "mean-square":
        return -total_of(arrays.square_sum)
    if sort == "active":
        return -arrays.n_active.astype(np.float64)
    if sort == "top":
        return -arrays.trigger_coefficient[:, 0, -1].astype(np.float64)
    return np.zeros(index.d_ff)


def _row(index: Index, cell_id: CellId) -> CellRow:
    arrays, statistics = index.layer(cell_id.layer), index.statistics(cell_id)
    tokens = arrays.trigger_token[cell_id.index]
    best = int(tokens[0, 0])
    trigger = None
    if best != NO_TOKEN:
        sentence_id, position = index.text.locate(best)
        trigger = index.text.sentence(sentence_id).token_strings()[position]
    return CellRow(
        cell=cell_id,
        active_fraction=statistics.active_fraction,
        mean=statistics.mean,
        mean_square=statistics.mean_square,
        minimum=statistics.minimum,
        maximum=statistics.maximum,
        n_triggers=int((tokens != NO_TOKEN).sum()),
        trigger=trigger,
        promoted=tuple(index.text.token_strings(arrays.promoted_ids[cell_id.index, :3].tolist())),
    )


@dataclass(frozen=True)
class Highlight:
    """A cell worth a first look, and why it was chosen."""

    why: str
    cell: Cell


_N_COMPARED = 10
"""Triggers of a cell, and promoted tokens, that a highlight is judged by."""


def highlights(index: Index) -> list[Highlight]:
    """Three cells that show what memories are, each the best of its third of the layers by a stated rule.

    Lower third: the cell whose first ten triggers fire most often on one and the same token (a shallow pattern).
    Middle third: the cell whose first ten triggers fire on the most different tokens while most of them come from one
    document (a topic). Upper third: the cell of whose first ten triggers most are followed by one of the ten tokens that
    its value promotes most (key and value agree). Ties go to the more diverse contexts, then the smaller cell id; cells
    whose first trigger fires on a mark or a number are passed over.
    """
    thirds = np.array_split(np.arange(index.n_layers), 3) if index.n_layers >= 3 else [np.arange(index.n_layers)] * 3
    rules = (
        ("its triggers fire on one and the same token", _same_token),
        ("its triggers fire on different tokens of one document", _same_document),
        ("its triggers are followed by tokens that its value promotes", _agreement),
    )
    found = []
    for layers, (why, rule) in zip(thirds, rules, strict=True):
        scored = [score for layer in layers.tolist() for score in _scored(index, layer, rule)]
        best = (index.cell(cell_id) for _, cell_id in sorted(scored))
        chosen = next((one for one in best if _fires_on_a_word(one)), None)
        if chosen is not None:
            found.append(Highlight(why, chosen))
    return found


def _fires_on_a_word(one: Cell) -> bool:
    first = one.triggers[0]
    return any(character.isalpha() for character in first.tokens[first.position])


@dataclass(frozen=True)
class _Firing:
    """The first triggers of a cell, as numbers."""

    tokens: list[int]
    following: list[int]
    sentences: list[int]
    documents: list[int]
    promoted: set[int]


def _scored(index: Index, layer: int, rule: Any) -> list[tuple[Any, CellId]]:
    arrays = index.layer(layer)
    n = min(_N_COMPARED, index.top)
    triggers = arrays.trigger_token[:, 0, :n]
    whole = np.flatnonzero((triggers != NO_TOKEN).all(1))
    if len(whole) == 0:
        return []
    places = triggers[whole].astype(np.int64)
    sentences = index.text.sentence_of(places)
    tokens, following = index.text.token_id[places], index.text.following(places)
    documents = index.text.document_of(sentences)
    return [
        (
            rule(_Firing(t.tolist(), f.tolist(), s.tolist(), d.tolist(), set(p.tolist()))),
            CellId(layer, int(cell)),
        )
        for cell, t, f, s, d, p in zip(
            whole, tokens, following, sentences, documents, arrays.promoted_ids[whole, :_N_COMPARED], strict=True
        )
    ]


def _same_token(firing: _Firing) -> tuple[int, int]:
    _, n_same = Counter(firing.tokens).most_common(1)[0]
    return -n_same, -len(set(firing.documents))


def _same_document(firing: _Firing) -> tuple[int, int]:
    _, n_same = Counter(firing.documents).most_common(1)[0]
    return -(n_same + len(set(firing.tokens))), -len(set(firing.sentences))


def _agreement(firing: _Firing) -> tuple[int, int]:
    n_agreeing = sum(token in firing.promoted for token in firing.following)
    return -n_agreeing, -len(set(firing.following))
