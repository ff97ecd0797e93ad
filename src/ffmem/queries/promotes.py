"""The cells whose values promote, or suppress, a token most."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ffmem.cell import Name, PromotedToken
from ffmem.errors import InputError
from ffmem.ids import CellId
from ffmem.json_values import JsonObject, Record, fields_to_json
from ffmem.markup import captioned
from ffmem.queries.names import places, token_id
from ffmem.store.reader import Index

if TYPE_CHECKING:
    from ffmem.models.transformer import Transformer

_ROWS = 256
"""Values that are scored over the whole vocabulary at a time."""


@dataclass(frozen=True)
class PromotingCell(Record):
    """A cell that promotes, or suppresses, a token."""

    cell: CellId
    rank: int | None
    """Of the token in the cell's stored list, from 0; None if it is not there. Of a label, among all labels."""
    logit: float
    """Score of the token under the index's projection: a contribution, up to a positive factor, not a probability; but
    under "adaptive" the natural logarithm of one."""
    true_rank: int | None
    """Rank over the whole vocabulary, from 0; None without the model."""
    promoted: tuple[str, ...]
    """The three tokens at this end of the value's scores."""
    name: Name | None = None
    """What it is called."""


@dataclass(frozen=True)
class Promoting:
    """A token, and the cells that promote or suppress it most."""

    token: PromotedToken
    """The token; its logit is that of the first cell."""
    suppressed: bool
    n_cells: int
    """Cells that have the token in their stored list; of a label, all that were asked for."""
    rows: tuple[PromotingCell, ...]
    is_label: bool = False
    """The token is a label of a classifier, and its id the number of that."""

    def to_json(self) -> JsonObject:
        """The fields, but the token without its logit, which the first row has; whether it is a label only if it is one."""
        return fields_to_json(self, *(() if self.is_label else ("is_label",))) | {
            "token": fields_to_json(self.token, "logit")
        }

    def _repr_html_(self) -> str:
        """For notebooks."""
        caption = f"{self.n_cells:,} cells {'suppress' if self.suppressed else 'promote'} {self.token.token!r}"
        rows = [
            (str(row.cell), row.name, str(row.rank), f"{row.logit:.4g}", str(row.true_rank), " ".join(row.promoted))
            for row in self.rows
        ]
        return captioned(caption, ("cell", "name", "rank", "score", "true rank", "first tokens"), rows)


@dataclass(frozen=True)
class _Found:
    """Rows of one layer, with the rank of the token (-1: not in the list) and its score."""

    place: int
    rows: np.ndarray
    ranks: np.ndarray
    scores: np.ndarray


def promotes(
    index: Index,
    token: str,
    *,
    suppressed: bool = False,
    layer: str | int | None = None,
    limit: int = 20,
    label: bool = False,
    model: "Transformer | None" = None,
) -> Promoting:
    """The cells that promote a token most.

    Args:
        index: an opened index.
        token: exactly one token of the vocabulary, spaces included: `` January``; or a label, with ``label``.
        suppressed: ask for the other end of the scores.
        layer: a layer, or a range of them such as ``10:``.
        limit: at most this many cells.
        label: ask for a label of a classifier instead, of which every cell has its score in the index.
        model: the model of the index. Without it, cells that have the token in their stored list, by its rank there,
            then its score, then cell id. With it, all cells by the score itself, and its rank over the vocabulary.

    Raises:
        InputError: not one token, no such label or no such layer.

    Cost: without the model a scan of the stored ids; with it one product of each value with one vector (under "adaptive"
        the scores of all tokens), and of the cells shown with the vocabulary, never cells x d_vocab at a time.
    """
    if label:
        return _promoting_label(index, token, suppressed, places(index, layer), limit)
    number, sign = token_id(index, token), -1 if suppressed else 1
    stored = list(_stored(index, number, places(index, layer), suppressed))
    n_cells = sum(len(part.rows) for part in stored)
    if model is None:
        best = _best(stored, limit, lambda part: (part.ranks, -sign * part.scores))
    else:
        scored = _scored(index, model, number, stored)
        best = _best(scored, limit, lambda part: (-sign * part.scores,))
    true = [(None, score) for *_, score in best] if model is None else _true_ranks(index, model, number, best, sign)
    rows = index.names.on(
        PromotingCell(
            cell=index.cells.cell_id(place, row),
            rank=None if rank < 0 else rank,
            logit=score,
            true_rank=true_rank,
            promoted=index.text.token_strings(_ids(index, place, suppressed)[row, :3].tolist()),
        )
        for (place, row, rank, _), (true_rank, score) in zip(best, true, strict=True)
    )
    told = PromotedToken(index.text.vocabulary[number], number, rows[0].logit if rows else 0.0)
    return Promoting(told, suppressed, n_cells, rows)


def _promoting_label(index: Index, label: str, suppressed: bool, layers: range, limit: int) -> Promoting:
    """By the scores of a label, of which the index has all."""
    names, sign = index.manifest.model.labels, -1 if suppressed else 1
    if label not in names:
        raise InputError(
            f"{label!r} is no label of {index.manifest.identity.model.name} that values have scores of",
            f"Expected one of: {', '.join(names)}" if names else "Expected an index of a classifier with such labels",
            "Write one of these, as it is written there" if names else "Leave out label, and ask for a token",
        )
    number = names.index(label)

    def found() -> Iterator[_Found]:
        for place in layers:
            scores = np.asarray(index.layer(place).label_scores)
            ranks = (sign * scores > sign * scores[:, number, None]).sum(1)
            yield _Found(place, np.arange(len(scores)), ranks, scores[:, number])

    best = _best(found(), limit, lambda part: (-sign * part.scores,))
    rows = tuple(
        PromotingCell(
            cell=index.cells.cell_id(place, row),
            rank=rank,
            logit=score,
            true_rank=None,
            promoted=index.text.token_strings(_ids(index, place, suppressed)[row, :3].tolist()),
        )
        for place, row, rank, score in best
    )
    n_cells = sum(index.cells.layers[place].n_cells for place in layers)
    return Promoting(PromotedToken(label, number, rows[0].logit if rows else 0.0), suppressed, n_cells, rows, True)


def _ids(index: Index, place: int, suppressed: bool) -> np.ndarray:
    arrays = index.layer(place)
    return np.asarray(arrays.suppressed_ids if suppressed else arrays.promoted_ids)


def _stored(index: Index, number: int, layers: range, suppressed: bool) -> Iterator[_Found]:
    for place in layers:
        arrays, ids = index.layer(place), _ids(index, place, suppressed)
        rows, ranks = np.divmod(np.flatnonzero(ids.reshape(-1) == number), ids.shape[1])
        scores = arrays.suppressed_scores if suppressed else arrays.promoted_scores
        yield _Found(place, rows, ranks, scores[rows, ranks])


def _scored(index: Index, model: "Transformer", number: int, stored: list[_Found]) -> Iterator[_Found]:
    """Every cell of these layers, by its value itself."""
    vectors: JsonObject = {}
    for part in stored:
        projection = index.manifest.layer_projections[part.place]
        rows = index.own_rows(part.place, model.value_rows)
        if projection == "adaptive":  # not linear: a token's score depends on all others
            scores = np.concatenate(
                [_scores(model, projection, rows[i : i + _ROWS])[:, number] for i in range(0, len(rows), _ROWS)]
            )
        else:
            if projection not in vectors:
                vectors[projection] = model.projection_matrix(projection)[number].clone()
            scores = (rows @ vectors[projection]).cpu().numpy()
        ranks = np.full(len(scores), -1)
        ranks[part.rows] = part.ranks
        yield _Found(part.place, np.arange(len(scores)), ranks, scores)


def _best(parts: Any, limit: int, keys_of: Any) -> list[tuple[int, int, int, float]]:
    """(place, row, rank, score) of the first cells by the keys, then by place and row."""
    found: list[tuple[Any, ...]] = []
    for part in parts:
        keys = keys_of(part)
        order = np.lexsort((part.rows, *reversed(keys)))[: max(limit, 0)]
        values = (part.rows[order], part.ranks[order], part.scores[order], *(key[order] for key in keys))
        for row, rank, score, *sort_key in zip(*(value.tolist() for value in values), strict=True):
            found.append(((*sort_key, part.place, row), (part.place, row, rank, score)))
    return [one for _, one in sorted(found)[: max(limit, 0)]]


def _true_ranks(
    index: Index, model: "Transformer", number: int, best: list[tuple[int, int, int, float]], sign: int
) -> list[tuple[int, float]]:
    """Rank over the whole vocabulary and score of the token for each cell, equal scores by token id."""
    found: dict[tuple[int, int], tuple[int, float]] = {}
    for place in sorted({place for place, *_ in best}):
        projection = index.manifest.layer_projections[place]
        rows = [row for own_place, row, *_ in best if own_place == place]
        values = index.own_rows(place, model.value_rows)
        for first in range(0, len(rows), _ROWS):
            some = rows[first : first + _ROWS]
            scores = _scores(model, projection, values[some]) * np.float32(sign)
            own = scores[:, number, None]
            ranks = (scores > own).sum(1) + (scores[:, :number] == own).sum(1)
            for row, rank, score in zip(some, ranks.tolist(), own[:, 0].tolist(), strict=True):
                found[place, row] = (rank, sign * score)
    return [found[place, row] for place, row, *_ in best]


def _scores(model: "Transformer", projection: Any, rows: Any) -> np.ndarray:
    """Scores of some values over the vocabulary."""
    out = rows.new_empty(len(rows), model.facts.d_vocab)
    model.scores(projection)(rows, out)
    return np.asarray(out.cpu().numpy())
