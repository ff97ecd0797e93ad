"""How alike cells are, and which are the nearest of each, exactly: by their vectors, or by the triggers that they share."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ffmem.errors import InputError
from ffmem.extras import extra_module
from ffmem.queries.atlas.kernel import take_nearest, take_sharing
from ffmem.queries.similar import sentence_weights
from ffmem.store.atlas import AtlasBy
from ffmem.store.reader import Index

if TYPE_CHECKING:
    from ffmem.models.transformer import Transformer

Listener = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""
_ROWS = 256
"""Cells whose nearest are looked for at a time, or fewer, so that their cosines are no more than `_BLOCK`."""
_BLOCK = 1 << 25
_TIMED = 4_096
"""Columns of the block that is timed."""


class Alike(Protocol):
    """A sense in which cells are alike; cells go by their numbers, in the order of layers and rows."""

    @property
    def n_cells(self) -> int:
        """All of them."""

    @property
    def norm(self) -> np.ndarray:
        """(cells,) length of their vectors; empty if they have none."""

    @property
    def n_bytes(self) -> int:
        """Memory that this takes."""

    def nearest(self, cells: np.ndarray, among: np.ndarray, k: int, listen: Listener) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest of each of some cells, itself left out: numbers in `among`, and how alike they are (0 to 1).

        Where fewer are alike at all, the last numbers are -1.
        """

    def axes(self, cells: np.ndarray, seed: int) -> np.ndarray:
        """(cells, 2) where the layout begins: the two directions in which they differ most."""

    def distances(self, left: np.ndarray, right: np.ndarray) -> np.ndarray | None:
        """Of pairs of cells; None if nearly all pairs have nothing in common."""

    def estimate_s(self, n_fitted: int) -> float:
        """Seconds until the nearest of all cells among so many are found, by a short trial."""


@dataclass(frozen=True)
class Vectors:
    """Cells by the cosines of their vectors."""

    unit: np.ndarray
    """(cells, d_model) of length 1, or 0."""
    norm: np.ndarray
    """(cells,) their lengths before that."""
    both_signs: bool
    """Whether a cell stays the same if its vector changes sign: then the magnitude of the cosine counts."""

    @property
    def n_cells(self) -> int:
        """See `Alike`."""
        return len(self.unit)

    @property
    def n_bytes(self) -> int:
        """Memory for the vectors, twice while they are gathered, and a block of cosines."""
        return 2 * self.unit.nbytes + 4 * min(_ROWS * len(self.unit), _BLOCK)

    def nearest(self, cells: np.ndarray, among: np.ndarray, k: int, listen: Listener) -> tuple[np.ndarray, np.ndarray]:
        """See `Alike`."""
        others = self.unit if len(among) == self.n_cells else self.unit[among]
        own = _places(cells, among)
        ids, best = _empty(len(cells), k)
        n_rows = max(1, min(_ROWS, _BLOCK // len(others)))
        for first in range(0, len(cells), n_rows):
            here = slice(first, first + n_rows)
            take_nearest(self.unit[cells[here]] @ others.T, own[here], self.both_signs, ids[here], best[here])
            listen("nearest cells", min(first + n_rows, len(cells)), len(cells))
        return ids, np.clip(best, 0, 1)

    def axes(self, cells: np.ndarray, seed: int) -> np.ndarray:
        """See `Alike`: the first two principal components."""
        rows = self.unit[cells]
        if self.both_signs:  # all turned to one side of the direction that they share most
            _, vectors = np.linalg.eigh(rows.T @ rows)
            rows = rows * np.where(rows @ vectors[:, -1] < 0, -1, 1)[:, None].astype(np.float32)
        rows = rows - rows.mean(0)
        _, vectors = np.linalg.eigh(rows.T @ rows)
        return _turned(rows @ vectors[:, [-1, -2]])

    def distances(self, left: np.ndarray, right: np.ndarray) -> np.ndarray | None:
        """See `Alike`."""
        cosines: np.ndarray = np.einsum("nd,nd->n", self.unit[left], self.unit[right])
        return 1 - (np.abs(cosines) if self.both_signs else cosines)

    def estimate_s(self, n_fitted: int) -> float:
        """See `Alike`."""
        some = np.arange(min(_TIMED, self.n_cells))
        self.nearest(some[:2], some, 1, _nobody)  # compiles
        begin = perf_counter()
        self.nearest(some[:_ROWS], some, min(15, len(some)), _nobody)
        return (perf_counter() - begin) / len(some[:_ROWS]) / len(some) * self.n_cells * n_fitted


@dataclass(frozen=True)
class SharedTriggers:
    """Cells by the sentences among their triggers: see `similar`, which has the same measure."""

    starts: np.ndarray
    """(cells + 1,) where the sentences of each begin."""
    sentences: np.ndarray
    weights: np.ndarray
    n_sentences: int

    @property
    def n_cells(self) -> int:
        """See `Alike`."""
        return len(self.starts) - 1

    @property
    def norm(self) -> np.ndarray:
        """See `Alike`: they have none."""
        return np.zeros(0, dtype=np.float32)

    @property
    def n_bytes(self) -> int:
        """Memory for the lists, from cells to sentences and back."""
        return 3 * (self.sentences.nbytes + self.weights.nbytes)

    def nearest(self, cells: np.ndarray, among: np.ndarray, k: int, listen: Listener) -> tuple[np.ndarray, np.ndarray]:
        """See `Alike`."""
        own, lists, sums = _places(cells, among), self._lists(among), self._sums()
        mine = self.starts, self.sentences, self.weights, sums
        ids, best = _empty(len(cells), k)
        best[:] = 0
        for first in range(0, len(cells), _ROWS):
            here = slice(first, first + _ROWS)
            take_sharing(cells[here], mine, lists, own[here], ids[here], best[here])
            listen("nearest cells", min(first + _ROWS, len(cells)), len(cells))
        ids[best <= 0] = -1
        return ids, best

    def axes(self, cells: np.ndarray, seed: int) -> np.ndarray:
        """See `Alike`: the singular vectors of the table of cells and sentences after the first."""
        matrix = self._matrix()[cells]
        if min(matrix.shape) < 5:
            return np.random.default_rng(seed).normal(size=(len(cells), 2)).astype(np.float32)
        start = np.random.default_rng(seed).normal(size=min(matrix.shape))
        linalg = extra_module("scipy.sparse.linalg", "atlas", "cells cannot be laid out")
        left, values, _ = linalg.svds(matrix.astype(np.float64), k=3, v0=start)
        order = np.argsort(-values)[1:]
        return _turned(left[:, order] * values[order])

    def distances(self, left: np.ndarray, right: np.ndarray) -> np.ndarray | None:
        """See `Alike`."""
        return None

    def estimate_s(self, n_fitted: int) -> float:
        """See `Alike`."""
        counts = np.bincount(self.sentences, minlength=self.n_sentences).astype(np.float64)
        share = n_fitted / max(self.n_cells, 1)
        return float((counts**2).sum()) * share * 3e-9

    def _sums(self) -> np.ndarray:
        of_cell = np.repeat(np.arange(self.n_cells), np.diff(self.starts))
        return np.bincount(of_cell, self.weights, self.n_cells).astype(np.float32)

    def _matrix(self) -> Any:
        sparse = extra_module("scipy.sparse", "atlas", "cells cannot be laid out")
        shape = (self.n_cells, self.n_sentences)
        return sparse.csr_matrix((self.weights, self.sentences, self.starts), shape=shape)

    def _lists(self, among: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """From sentences to the cells among some that have them, by their numbers in these."""
        by_sentence = self._matrix()[among].tocsc()
        by_sentence.sort_indices()
        starts, columns = (one.astype(np.int64) for one in (by_sentence.indptr, by_sentence.indices))
        return starts, columns, by_sentence.data.astype(np.float32), self._sums()[among]


def alike(index: Index, by: AtlasBy, model: "Transformer | None" = None) -> Alike:
    """How alike the cells of an index are.

    Args:
        index: an opened index.
        by: "values" and "keys" (of a gated cell: the one of its gate) need the model.
        model: the model of the index.

    Raises:
        InputError: there is no model, or there are too few cells for a picture.
    """
    if index.n_cells < 5:
        raise InputError(
            f"the index has {index.n_cells} cells", "Expected at least 5 to lay out", "Look at them one by one"
        )
    if by == "triggers":
        return _by_triggers(index)
    if model is None:
        raise InputError(
            f"--by {by} lays out vectors, which an index does not hold",
            "Expected the model that the index was built from",
            "Say where that is with --model, or write --by triggers",
        )
    rows = np.concatenate([_vectors(index, place, by, model) for place in range(index.n_layers)])
    norm = np.linalg.norm(rows, axis=1)
    rows /= np.maximum(norm, 1e-30)[:, None]
    both = by == "values" and any(index.signs_of(place) == 2 for place in range(index.n_layers))
    return Vectors(rows, norm, both)


def _vectors(index: Index, place: int, by: AtlasBy, model: "Transformer") -> np.ndarray:
    key = model.gate_keys if index.signs_of(place) == 2 else model.keys
    found: np.ndarray = index.own_rows(place, model.values if by == "values" else key).float().cpu().numpy()
    return found


def _by_triggers(index: Index) -> SharedTriggers:
    counts, sentences, weights = [], [], []
    for place, layer in enumerate(index.cells.layers):
        rows, which, weight = sentence_weights(index, place, np.arange(layer.n_cells))
        counts.append(np.bincount(rows, minlength=layer.n_cells))
        sentences.append(which)
        weights.append(weight.astype(np.float32))
    starts = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
    return SharedTriggers(starts, np.concatenate(sentences), np.concatenate(weights), index.text.n_all_sentences)


def _places(cells: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Where each cell stands among some, ascending; -1 if it is none of them."""
    at = np.minimum(np.searchsorted(among, cells), len(among) - 1)
    return np.where(among[at] == cells, at, -1)


def _empty(n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    return np.full((n, k), -1, dtype=np.int64), np.full((n, k), -2, dtype=np.float32)


def _turned(axes: np.ndarray) -> np.ndarray:
    """With the sign of each axis such that its farthest cell is on the right, or at the top."""
    farthest = axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])]
    return (axes * np.where(farthest < 0, -1, 1)).astype(np.float32)


def _nobody(_what: str, _done: int, _all: int) -> None:
    """A listener that says nothing."""
