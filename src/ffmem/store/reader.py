"""Opens a finished index: cells, their triggers with text, statistics and promoted tokens. Needs no model, no torch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ffmem.cell import Cell, Document, LabelScore, Name, PromotedToken, Quadrant, Statistics, Stratum, Trigger
from ffmem.errors import InputError
from ffmem.ids import CellId, CellSpace
from ffmem.json_values import Record
from ffmem.markup import Table, table
from ffmem.store.arrays import LayerArrays, layer_sizes, total_of
from ffmem.store.fields import QUADRANT_SIGNS, QUADRANTS
from ffmem.store.files import damaged
from ffmem.store.histogram import histogram_edges
from ffmem.store.keys import NO_TOKEN
from ffmem.store.labels import Labels
from ffmem.store.manifest import Manifest, check_files, read_manifest
from ffmem.store.paths import StorePaths, layer_path
from ffmem.store.sample import Sample, check_counts, read_sample
from ffmem.store.strata import N_ACTIVE, bounds
from ffmem.store.text import TextReader

N_EXAMPLES = 3
"""Positions of a stratum that a cell comes with."""


def open_index(folder: str | Path) -> "Index":
    """Open a finished index for reading.

    Checks the format and the length of every file (milliseconds); `ffmem verify` checks the rest.

    Raises:
        StoreError: no index there, unfinished, damaged, or of a format that this build does not read.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    check_files(folder, manifest)
    return Index(folder, manifest)


@dataclass(frozen=True)
class SentenceCell(Record):
    """A cell that has a sentence among its triggers."""

    cell: CellId
    coefficient: float
    sign: int
    rank: int
    position: int
    name: Name | None = None
    """What it is called."""


class Index:
    """A finished index, read-only. Made by `open_index`."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest
        self.cells = manifest.cells
        """All cells there are; a layer is named by its place there, which in an index of some cells may not be its place in
        the model."""
        self.n_layers = len(self.cells.layers)
        self.n_cells = self.cells.n_cells
        self.n_signs = manifest.n_signs
        self.top = manifest.options.top
        self.text = TextReader(StorePaths(folder).index)
        self._layers = [
            LayerArrays(layer_path(StorePaths(folder).index, cells), layer_sizes(manifest, cells))
            for cells in self.cells.layers
        ]
        self.names = Labels(folder, manifest)
        """What cells are called, and by whom."""
        _check_counts(self)

    def __repr__(self) -> str:
        counts = self.manifest.counts
        return (
            f"Index({str(self.folder)!r}: {self.manifest.identity.model.name}, {self.n_own_layers} layers, "
            f"{self.n_cells:,} cells, {counts.n_sentences:,} sentences, {counts.n_tokens:,} tokens)"
        )

    def _repr_html_(self) -> str:
        """For notebooks."""
        counts, identity = self.manifest.counts, self.manifest.identity
        overview = {
            "folder": str(self.folder),
            "model": identity.model.name,
            "corpus": identity.corpus.name,
            "cells": f"{self.n_cells:,}: {self.cells.describe()}",
            "documents": f"{counts.n_documents:,}",
            "sentences": f"{counts.n_sentences:,}",
            "tokens": f"{counts.n_tokens:,}",
            "triggers": f"up to {self.top} a cell{' and sign' if self.n_signs == 2 else ''}",
        }
        return table(("index", ""), list(overview.items()))

    def signs_of(self, layer: int) -> int:
        """How many signs the coefficients of the layer at a place have: 2 if its cells are gated; a dictionary's are never."""
        return 1 if self.cells.layers[layer].dictionary else self.n_signs

    @property
    def n_own_layers(self) -> int:
        """Its layers, without the dictionaries beside them."""
        return sum(not one.dictionary for one in self.cells.layers)

    def without_dictionaries(self) -> "Index":
        """The same index without the cells of its dictionaries; itself, if it has none."""
        if not self.manifest.dictionaries:
            return self
        layers = [one for one in self.cells.layers if not one.dictionary]
        projections = self.manifest.layer_projections[: len(layers)]  # dictionaries stand last
        return Index(self.folder, replace(self.manifest, dictionaries=(), layer_projections=projections))

    def layer(self, layer: int) -> LayerArrays:
        """The stored arrays of the layer at a place, memory-mapped: see docs/design/store-format.md for names and shapes."""
        if not 0 <= layer < self.n_layers:
            raise InputError(
                f"layer {layer} does not exist", f"Expected 0 to {self.n_layers - 1}", "Layers count from 0"
            )
        return self._layers[layer]

    def own_rows(self, place: int, of_layer: Callable[[int], Any]) -> Any:
        """The rows of this index's cells, of what the model has for all cells of a layer, a row each.

        Args:
            place: of the layer in this index.
            of_layer: gives the rows of all its cells by its place in the model: ``model.values``, for example.
        """
        rows, layer = of_layer(self.cells.whole_place(place)), self.cells.layers[place]
        return rows if layer.kept is None else rows[layer.whole_rows]

    def check_layers(self, cells: CellSpace) -> None:
        """Refuse a manifest that tells of other layers than its model has: where some cells are left out, no array tells.

        Raises:
            StoreError: they differ.
        """
        own = tuple(one for one in self.cells.whole.layers if not one.dictionary)
        if own != cells.layers:
            told = f"it says there are {self.cells.whole.describe()}, and the model has {cells.describe()}"
            raise damaged(StorePaths(self.folder).manifest, told)

    def check_whole(self, what: str) -> None:
        """Refuse what makes no sense without all cells of the model.

        Raises:
            InputError: not all of them are in this index, or dictionaries are.
        """
        if self.manifest.dictionaries:
            raise InputError(
                f"{what} is of the model's own cells, and {self.folder} has dictionaries beside them",
                "Expected an index without them",
                "Leave them out: index.without_dictionaries()",
            )
        if not self.cells.is_whole:
            raise InputError(
                f"{what} needs all cells of the model, and {self.folder} has {self.n_cells:,} of "
                f"{self.cells.whole.n_cells:,}: {self.cells.describe()}",
                "Expected an index of all cells",
                "Build one without --cells: ffmem index MODEL CORPUS --out DIR",
            )

    def cell_id(self, cell: str | CellId) -> CellId:
        """A cell id, parsed and checked against the sizes of this index."""
        return self.cells.parse(str(cell))

    def __getitem__(self, cell: str | CellId) -> Cell:
        """Same as `cell`."""
        return self.cell(cell)

    def cell(self, cell: str | CellId, n_triggers: int | None = None) -> Cell:
        """Everything the index knows about a cell; shows itself in a notebook.

        Args:
            cell: its id.
            n_triggers: at most so many triggers of each sign; None: all.

        Raises:
            InputError: no such cell; the message gives the range.
        """
        cell_id = self.cell_id(cell)
        layer, row = self.cells.place(cell_id)
        arrays = self.layer(layer)
        return Cell(
            cell=cell_id,
            statistics=self.statistics(cell_id),
            triggers=tuple(self._triggers(cell_id, n_triggers)),
            projection=self.manifest.layer_projections[layer],
            promoted=self._tokens(arrays, "promoted", row),
            suppressed=self._tokens(arrays, "suppressed", row),
            quadrants=self.quadrants(cell_id, n_triggers) if self.manifest.options.quadrants else (),
            strata=tuple(self._strata(cell_id)) if self.manifest.options.sample else (),
            names=self.names.of_cell(cell_id),
            labels=self._labels(arrays, row),
        )

    def statistics(self, cell_id: CellId) -> Statistics:
        """Activity statistics of a cell."""
        layer, i = self.cells.place(cell_id)
        arrays = self.layer(layer)
        n_tokens, n_sentences = arrays.counts[cell_id.expert or 0].tolist()
        n = max(n_tokens, 1)  # an expert may have seen none
        mean, mean_square = (float(total_of(parts[:, i : i + 1])[0]) / n for parts in (arrays.sum, arrays.square_sum))
        n_active, minimum, maximum = int(arrays.n_active[i]), float(arrays.minimum[i]), float(arrays.maximum[i])
        sound = -np.inf < minimum <= maximum < np.inf and mean_square >= 0 if n_tokens else n_tokens == 0
        if not (sound and 0 <= n_active <= n_tokens and n_sentences >= 0):
            raise damaged(arrays.path, f"the statistics of {cell_id} contradict each other")
        return Statistics(
            n_tokens=n_tokens,
            n_sentences=n_sentences,
            active_fraction=n_active / n,
            mean=mean,
            mean_square=mean_square,
            minimum=minimum,
            maximum=maximum,
            histogram_edges=_edges(),
            histogram=tuple(tuple(counts) for counts in arrays.histogram[i].tolist()),
        )

    def quadrants(self, cell_id: CellId, n_triggers: int | None = None) -> tuple[Quadrant, ...]:
        """What a gated cell does for each sign of its gate and of its up branch.

        Args:
            cell_id: which.
            n_triggers: at most so many triggers of each quadrant; None: all.

        Raises:
            StoreError: the index was built without `--quadrants`.
        """
        layer, row = self.cells.place(cell_id)
        arrays = self.layer(layer)
        n_all = max(int(arrays.counts[cell_id.expert or 0, 0]), 1)
        counts, sizes = arrays.quadrant_n_active[:, row].tolist(), arrays.quadrant_maximum[:, row].tolist()
        sums, squares = (
            total_of(parts[:, :, row]).tolist() for parts in (arrays.quadrant_sum, arrays.quadrant_square_sum)
        )
        found = []
        for place, ((gate, up), sign) in enumerate(zip(QUADRANTS, QUADRANT_SIGNS, strict=True)):
            n, largest = counts[place], sizes[place]
            if not (0 <= n <= n_all and 0 <= largest < np.inf and sums[place] >= 0 and squares[place] >= 0):
                raise damaged(arrays.path, f"the quadrants of {cell_id} contradict each other")
            best = arrays.quadrant_coefficient[row, place, :n_triggers].tolist()
            tokens = arrays.quadrant_token[row, place, :n_triggers].tolist()
            found.append(
                Quadrant(
                    gate=gate,
                    up=up,
                    n_positions=n,
                    share=n / n_all,
                    mean=sign * sums[place] / n if n else 0.0,
                    mean_square=squares[place] / n if n else 0.0,
                    largest=sign * largest if n else 0.0,
                    triggers=tuple(self._list(cell_id, sign, best, tokens)),
                )
            )
        return tuple(found)

    def sample(self, cell: str | CellId, sign: int = 1) -> Sample:
        """Positions of a cell drawn from each stratum of its coefficients, with how many there are.

        Args:
            cell: its id.
            sign: of a gated cell, that of the coefficients which count as active; otherwise 1.

        Raises:
            InputError: the index was built without a sample; no such cell, or sign.
        """
        cell_id = self.cell_id(cell)
        if not self.manifest.options.sample:
            raise InputError(
                f"{self.folder} was built without a sample of positions",
                "Expected an index that was built with --sample",
                "Build one: ffmem index MODEL CORPUS --sample 24 --out DIR",
            )
        layer, row = self.cells.place(cell_id)
        return read_sample(self.layer(layer), row, cell_id, sign)

    def _strata(self, cell_id: CellId) -> Iterator[Stratum]:
        """What there is of a cell from its strongest positions down."""
        layer, row = self.cells.place(cell_id)
        arrays = self.layer(layer)
        n_drawn = check_counts(arrays, row, cell_id).tolist()
        extremes = (float(arrays.maximum[row]), -float(arrays.minimum[row]))
        counts = arrays.sample_count[row].tolist()
        for number, n in enumerate(counts):
            silent, second = number == len(counts) - 1, number >= N_ACTIVE
            sign = 0 if silent else -1 if second else 1
            low, high = (0.0, 0.0) if silent else bounds(extremes[second], number - N_ACTIVE * second)
            drawn = zip(arrays.sample_coefficient[row, number], arrays.sample_token[row, number], strict=True)
            shown = [(float(c), int(token)) for c, token in islice(drawn, min(n_drawn[number], N_EXAMPLES))]
            examples = tuple(self.trigger(sign or 1, rank, *one) for rank, one in enumerate(shown))
            if n:
                yield Stratum(sign, low, high, n, n / sum(counts), n_drawn[number], examples)

    def _triggers(self, cell_id: CellId, limit: int | None = None) -> Iterator[Trigger]:
        layer, row = self.cells.place(cell_id)
        arrays = self.layer(layer)
        coefficients = arrays.trigger_coefficient[row, :, :limit].tolist()
        tokens = arrays.trigger_token[row, :, :limit].tolist()
        for sign, best, best_tokens in zip((1, -1), coefficients, tokens, strict=False):
            yield from self._list(cell_id, sign, best, best_tokens)

    def _list(self, cell_id: CellId, sign: int, coefficients: list[float], tokens: list[int]) -> Iterator[Trigger]:
        """The triggers of one list, up to its first empty slot."""
        for rank, (coefficient, token) in enumerate(zip(coefficients, tokens, strict=True)):
            if token == NO_TOKEN:
                break
            if not np.isfinite(coefficient):
                path = self.layer(self.cells.place(cell_id)[0]).path
                raise damaged(path, f"a coefficient of {cell_id} is {coefficient}")
            yield self.trigger(sign, rank, coefficient, token)

    def trigger(self, sign: int, rank: int, coefficient: float, token: int) -> Trigger:
        """A slot of a trigger list, with the text that its token index stands for."""
        sentence_id, position = self.text.locate(token)
        sentence = self.text.sentence(sentence_id)
        document = self.text.document(sentence.document_id)
        tokens = sentence.token_strings()
        return Trigger(
            sign=sign,
            rank=rank,
            coefficient=coefficient,
            sentence_id=sentence_id,
            position=position,
            tokens=tokens,
            text=sentence.text,
            span=(int(sentence.token_starts[position]), int(sentence.token_ends[position])),
            next_token=tokens[position + 1] if position + 1 < len(tokens) else None,
            n_occurrences=sentence.n_occurrences,
            document=Document(document.id, document.name, document.metadata),
        )

    def _tokens(self, arrays: LayerArrays, end: str, row: int) -> tuple[PromotedToken, ...]:
        ids, scores = getattr(arrays, f"{end}_ids")[row], getattr(arrays, f"{end}_scores")[row]
        if not np.isfinite(scores).all():
            raise damaged(arrays.path, f"a score of a {end} token is not a finite number")
        strings = self.text.token_strings(ids.tolist())
        return tuple(
            PromotedToken(token, token_id, score)
            for token, token_id, score in zip(strings, ids.tolist(), scores.tolist(), strict=True)
        )

    def _labels(self, arrays: LayerArrays, row: int) -> tuple[LabelScore, ...]:
        """Highest score first; of equal ones, as the config has them."""
        names = self.manifest.model.labels
        scores = arrays.label_scores[row].tolist() if names else []
        if not np.isfinite(scores).all():
            raise damaged(arrays.path, "a label's score is not a finite number")
        return tuple(sorted(map(LabelScore, names, scores), key=lambda one: -one.score))

    def cells_of_sentence(self, sentence_id: int) -> Table[SentenceCell]:
        """The cells that have a sentence among their triggers, strongest first within each layer.

        Cost: one binary search a layer.
        """
        first, end = self.text.sentence_range(sentence_id)
        found = [hit for layer in range(self.n_layers) for hit in self._hits(layer, first, end)]
        found.sort(key=lambda hit: (self.cells.place(hit.cell)[0], -abs(hit.coefficient), hit.cell.index))
        return Table(self.names.on(found))

    def slots_within(self, layer: int, first: int, end: int) -> np.ndarray:
        """The triggers of a layer whose token lies from ``first`` up to ``end``, as places in its flat lists, by token.

        Cost: one binary search.
        """
        arrays = self.layer(layer)
        slots, tokens = arrays.slot_by_token, arrays.trigger_token.reshape(-1)
        try:
            found = slots[_bisect(slots, tokens, first) : _bisect(slots, tokens, end)]
            in_order = ((tokens[found] >= first) & (tokens[found] < end)).all()
        except IndexError:
            in_order = False
        if not in_order:
            raise damaged(arrays.path, "its list from sentences to cells is not in order")
        return found

    def _hits(self, layer: int, first: int, end: int) -> Iterator[SentenceCell]:
        arrays = self.layer(layer)
        tokens, coefficients = arrays.trigger_token.reshape(-1), arrays.trigger_coefficient.reshape(-1)
        for slot in self.slots_within(layer, first, end).tolist():
            row, rest = divmod(slot, self.n_signs * self.top)
            sign, rank = divmod(rest, self.top)
            yield SentenceCell(
                self.cells.cell_id(layer, row),
                float(coefficients[slot]),
                -1 if sign else 1,
                rank,
                int(tokens[slot]) - first,
            )


def _check_counts(index: Index) -> None:
    """The manifest and the text agree about how much there is: they are of the same index."""
    counts, text = index.manifest.counts, index.text
    for what, told, n in (
        ("sentences", counts.n_all_sentences, text.n_all_sentences),
        ("tokens", counts.n_all_tokens, len(text.token_id)),
    ):
        if told != n:
            raise damaged(StorePaths(index.folder).manifest, f"it counts {told:,} {what}, and the text has {n:,}")


def _bisect(slots: np.ndarray, tokens: np.ndarray, token: int) -> int:
    """First place in ``slots``, which lists slots by token, whose token is not below ``token``."""
    low, high = 0, len(slots)
    while low < high:
        middle = (low + high) // 2
        if tokens[slots[middle]] < token:
            low = middle + 1
        else:
            high = middle
    return low


@lru_cache(maxsize=1)
def _edges() -> tuple[float, ...]:
    return tuple(histogram_edges().tolist())
