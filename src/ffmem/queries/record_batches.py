"""The tables of an index as Arrow record batches, a few cells or sentences at a time. Needs pyarrow."""

from collections.abc import Iterator
from functools import cached_property
from itertools import chain, islice

import numpy as np
import pyarrow as pa

from ffmem.ids import CellId
from ffmem.json_values import JsonObject
from ffmem.queries.matches import Masks
from ffmem.queries.relations import CELLS, DOCUMENTS, LAYERS, NAMES, PROMOTED, SENTENCES, TRIGGERS, Relation
from ffmem.store.arrays import total_of
from ffmem.store.keys import NO_TOKEN
from ffmem.store.reader import Index

ARROW = {
    "VARCHAR": pa.string(),
    "BOOLEAN": pa.bool_(),
    "TINYINT": pa.int8(),
    "SMALLINT": pa.int16(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "FLOAT": pa.float32(),
    "DOUBLE": pa.float64(),
    "UINTEGER[]": pa.list_(pa.uint32()),
}
_ENCODED = pa.dictionary(pa.int32(), pa.string())
_CHOSEN = ""
"""Under which name columns have, for each of their rows, whether it is wanted: no column has it."""
_BATCH = 2**17
"""Rows of a batch for SQL, about: DuckDB reads some 16 batches ahead."""


class Batches:
    """Reads tables of an index, a batch at a time."""

    def __init__(self, index: Index, among: Masks | None = None) -> None:
        self._index = index
        self._text = index.text
        self._among = among
        """Tables of cells have only these; None: all."""

    @staticmethod
    def schema(relation: Relation, *, encoded: bool) -> pa.Schema:
        """Names and types of a table's columns.

        Args:
            relation: which table.
            encoded: strings that repeat, in tables of cells, are numbers into a dictionary; else all are plain strings.
        """
        return pa.schema(
            pa.field(
                column.name,
                _ENCODED if encoded and relation.by_layer and column.type == "VARCHAR" else ARROW[column.type],
                metadata={"meaning": column.meaning},
            )
            for column in relation.columns
        )

    def read(self, relation: Relation, *, encoded: bool, whole_groups: bool = False) -> Iterator[pa.RecordBatch]:
        """The batches of a table, in the order of its keys.

        Args:
            relation: which table.
            encoded: as in `schema`.
            whole_groups: a batch has all cells of a layer, or of an expert; else about 131,072 rows.

        Cost: memory for one batch.
        """
        wanted = self.schema(relation, encoded=encoded)
        for columns in self._columns(relation, whole_groups):
            arrays = [pa.array(columns[field.name]) for field in wanted]
            batch = pa.record_batch(
                [
                    array if array.type == field.type else array.cast(field.type)
                    for array, field in zip(arrays, wanted, strict=True)
                ],
                schema=wanted,
            )
            yield batch.filter(columns[_CHOSEN]) if _CHOSEN in columns else batch

    def _columns(self, relation: Relation, whole_groups: bool) -> Iterator[JsonObject]:
        if relation is SENTENCES:
            return self._sentences()
        if relation is DOCUMENTS:
            return self._documents()
        if relation is LAYERS:
            return iter([self._layers()])
        if relation is NAMES:
            return self._names()
        rows_a_cell = {CELLS.name: 1, TRIGGERS.name: self._index.n_signs * self._index.top, PROMOTED.name: 2 * self._k}
        n_cells = max(1, _BATCH // rows_a_cell[relation.name])
        make = {CELLS.name: self._cells, TRIGGERS.name: self._triggers, PROMOTED.name: self._promoted}[relation.name]
        slices = self._slices(None if whole_groups else n_cells)
        return (self._with_chosen(make(place, rows), place, rows) for place, rows in slices)

    def _with_chosen(self, columns: JsonObject, place: int, rows: slice) -> JsonObject:
        """Columns of a table of cells, and which of its rows stay where only some cells are wanted."""
        if self._among is None:
            return columns
        return columns | {_CHOSEN: pa.array(self._among[place][rows][np.asarray(columns["cell"].indices)])}

    def _slices(self, n_cells: int | None) -> Iterator[tuple[int, slice]]:
        """Places of layers with rows of their arrays, never across the border of an expert."""
        for place, layer in enumerate(self._index.cells.layers):
            size = layer.group_size
            step = size if n_cells is None else min(n_cells, size)
            for start in range(0, layer.n_cells, size):
                for first in range(start, start + size, step):
                    yield place, slice(first, min(first + step, start + size))

    @property
    def _k(self) -> int:
        return int(self._index.layer(0).promoted_ids.shape[1])

    @cached_property
    def _vocabulary(self) -> pa.Array:
        strings: list[str] = []
        for token_id, token in chain.from_iterable(
            self._text.rows("SELECT token_id, token FROM vocabulary ORDER BY 1")
        ):
            strings += [""] * (token_id - len(strings)) + [token]
        return pa.array(strings, pa.string())

    def _tokens(self, ids: np.ndarray) -> pa.Array:
        """Strings of token ids; -1 is NULL."""
        indices = pa.array(ids.astype(np.int32), mask=ids < 0)
        return pa.DictionaryArray.from_arrays(indices, self._vocabulary)

    def _keys(self, place: int, rows: slice, of_row: np.ndarray) -> JsonObject:
        """The columns cell, stack, layer and dictionary.

        Args:
            place: of the layer.
            rows: of its arrays.
            of_row: for each row of the table, the cell as a number from 0 within ``rows``.
        """
        layer = self._index.cells.layers[place]
        names = [str(self._index.cells.cell_id(place, row)) for row in range(rows.start, rows.stop)]
        return {
            "cell": _encoded(of_row, names),
            "stack": _encoded(np.zeros(len(of_row)), [layer.stack]),
            "layer": np.full(len(of_row), layer.layer, dtype=np.int32),
            "dictionary": _encoded(np.zeros(len(of_row)), [layer.dictionary]),
        }

    def _cells(self, place: int, rows: slice) -> JsonObject:
        layer, arrays = self._index.cells.layers[place], self._index.layer(place)
        numbers = np.arange(rows.start, rows.stop)
        expert, own = np.divmod(numbers, layer.group_size)
        n_tokens, n_sentences = arrays.counts[expert].T
        n = np.maximum(n_tokens, 1)
        histogram = arrays.histogram[rows]
        n_triggers = (arrays.trigger_token[rows] != NO_TOKEN).sum((1, 2))
        return self._keys(place, rows, numbers - rows.start) | {
            "expert": pa.array(expert, mask=np.full(len(numbers), layer.n_experts == 0)),
            "index": [layer.index_at(row) for row in own.tolist()],
            "n_tokens": n_tokens,
            "n_sentences": n_sentences,
            "n_active": arrays.n_active[rows],
            "active_fraction": arrays.n_active[rows] / n,
            "mean": total_of(arrays.sum[:, rows]) / n,
            "mean_square": total_of(arrays.square_sum[:, rows]) / n,
            "minimum": arrays.minimum[rows],
            "maximum": arrays.maximum[rows],
            "n_triggers": n_triggers,
            "histogram": _lists(histogram[:, 0]),
            "histogram_negative": _lists(histogram[:, 1])
            if self._index.signs_of(place) == 2
            else pa.nulls(len(numbers)),
        }

    def _triggers(self, place: int, rows: slice) -> JsonObject:
        arrays = self._index.layer(place)
        filled = arrays.trigger_token[rows] != NO_TOKEN
        cell, sign, rank = np.nonzero(filled)
        tokens = arrays.trigger_token[rows][filled].astype(np.int64)
        sentences = self._text.sentence_of(tokens)
        following = self._text.following(tokens)
        token_ids = self._text.token_id[tokens].astype(np.int32)
        return self._keys(place, rows, cell) | {
            "sign": (1 - 2 * sign).astype(np.int8),
            "rank": rank,
            "coefficient": arrays.trigger_coefficient[rows][filled],
            "sentence_id": sentences,
            "document_id": self._text.document_of(sentences),
            "position": tokens - self._text.sentence_start[sentences].astype(np.int64),
            "token": self._tokens(token_ids),
            "token_id": token_ids,
            "next_token": self._tokens(following),
            "next_token_id": pa.array(following, mask=following < 0),
            "token_index": tokens,
        }

    def _promoted(self, place: int, rows: slice) -> JsonObject:
        arrays = self._index.layer(place)
        ids = np.stack([arrays.promoted_ids[rows], arrays.suppressed_ids[rows]], axis=1)
        scores = np.stack([arrays.promoted_scores[rows], arrays.suppressed_scores[rows]], axis=1)
        cell, direction, rank = (axis.reshape(-1) for axis in np.indices(ids.shape))
        token_ids = ids.reshape(-1).astype(np.int32)
        return self._keys(place, rows, cell) | {
            "direction": _encoded(direction, ["promoted", "suppressed"]),
            "rank": rank,
            "token": self._tokens(token_ids),
            "token_id": token_ids,
            "logit": scores.reshape(-1),
        }

    def _names(self) -> Iterator[JsonObject]:
        names = ("source", "mark", "grade", "score", "topic", "kind", "n_others", "sign")
        left = (one for one in self._index.names.all_names() if self._is_wanted(one[0]))
        while rows := list(islice(left, _BATCH)):
            cells, _, found = zip(*rows, strict=True)
            yield {
                "cell": [str(one) for one in cells],
                "stack": [one.stack for one in cells],
                "layer": [one.layer for one in cells],
                "name": [one.text for one in found],
            } | {name: [getattr(one, name) for one in found] for name in names}

    def _is_wanted(self, cell: CellId) -> bool:
        if cell not in self._index.cells:
            return False
        place, row = self._index.cells.place(cell)
        return self._among is None or bool(self._among[place][row])

    def _sentences(self) -> Iterator[JsonObject]:
        names = ("sentence_id", "document_id", "start_byte", "text", "n_occurrences", "held_out", "also_indexed")
        for rows in self._text.rows(
            "SELECT s.id, s.document_id, s.start_byte, s.text, s.n_occurrences, d.held_out, s.also_indexed "
            "FROM sentences s JOIN documents d ON d.id = s.document_id ORDER BY s.id"
        ):
            columns = dict(zip(names, (list(column) for column in zip(*rows, strict=True)), strict=True))
            first = columns["sentence_id"][0]  # ids are consecutive
            starts = self._text.sentence_start[first : first + len(rows) + 1].astype(np.int64)
            yield columns | {"n_tokens": np.diff(starts), "token_index": starts[:-1]}

    def _documents(self) -> Iterator[JsonObject]:
        names = ("document_id", "name", "metadata", "n_bytes", "held_out")
        for rows in self._text.rows("SELECT id, name, metadata, n_bytes, held_out FROM documents ORDER BY id"):
            yield dict(zip(names, (list(column) for column in zip(*rows, strict=True)), strict=True))

    def _layers(self) -> JsonObject:
        layers = self._index.cells.layers
        columns = {
            name: [getattr(layer, name) for layer in layers]
            for name in ("name", "stack", "layer", "dictionary", "n_experts", "d_ff")
        }
        return columns | {
            "n_cells": [layer.n_cells for layer in layers],
            "projection": self._index.manifest.layer_projections,
        }


def _encoded(indices: np.ndarray, strings: list[str]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(indices.astype(np.int32)), pa.array(strings, pa.string()))


def _lists(rows: np.ndarray) -> pa.Array:
    offsets = np.arange(len(rows) + 1, dtype=np.int32) * rows.shape[1]
    return pa.ListArray.from_arrays(offsets, np.ascontiguousarray(rows).reshape(-1))
