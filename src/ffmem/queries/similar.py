"""The cells nearest to a cell: by what triggers them, by what they promote, by their vectors."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from ffmem.cell import Name
from ffmem.errors import InputError
from ffmem.ids import CellId
from ffmem.json_values import Record
from ffmem.markup import captioned
from ffmem.queries.inverted import triggers_within
from ffmem.queries.overlap import rank_weights
from ffmem.store.keys import NO_TOKEN
from ffmem.store.reader import Index

if TYPE_CHECKING:
    from ffmem.models.transformer import Transformer

Likeness = Literal["triggers", "promoted", "key", "gate-key", "up-key", "value"]


@dataclass(frozen=True)
class SimilarCell(Record):
    """A cell, and how similar it is to the one that was asked about."""

    cell: CellId
    similarity: float
    """Triggers, promoted: from 0 to 1. Vectors: a cosine, from -1 to 1; where both signs are alike, its magnitude."""
    n_shared: int | None
    """Sentences, or promoted tokens, that both have; None for vectors."""
    trigger: str | None
    """String of the token on which its best trigger fires."""
    promoted: tuple[str, ...]
    """Its three most promoted tokens."""
    name: Name | None = None
    """What it is called."""


@dataclass(frozen=True)
class Similar(Record):
    """The cells nearest to a cell."""

    cell: CellId
    by: Likeness
    rows: tuple[SimilarCell, ...]

    def _repr_html_(self) -> str:
        """For notebooks."""
        rows = [
            (
                str(row.cell),
                row.name,
                f"{row.similarity:.4f}",
                str(row.n_shared),
                row.trigger or "",
                " ".join(row.promoted),
            )
            for row in self.rows
        ]
        return captioned(
            f"nearest to {self.cell} by {self.by}",
            ("cell", "name", "similarity", "shared", "fires on", "promotes"),
            rows,
        )


_Scores = Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray | None]]
"""(place, rows, similarity, number shared) of the cells of each layer that may be near."""


def similar(
    index: Index, cell: str, *, by: Likeness = "triggers", limit: int = 20, model: "Transformer | None" = None
) -> Similar:
    """The cells nearest to a cell, the nearest first, equals by cell id; the cell itself is left out.

    Args:
        index: an opened index.
        cell: its id.
        by: "triggers": weighted Jaccard of the sentences among the triggers, sum of min(a, b) over sum of max(a, b),
            where a sentence weighs its largest coefficient as a share of the cell's largest, both signs together.
            "promoted": rank-biased overlap of the promoted tokens; of gated cells also with the other's suppressed ones.
            "key", or for gated cells "gate-key" and "up-key", and "value": cosine of the vectors. A gated cell stays the
            same if up key and value both change sign: there, the magnitude of the cosine counts. Cells of dictionaries have
            a key, and are compared by keys with cells that have one too.
        limit: at most this many cells.
        model: the model of the index; only vectors need it.

    Raises:
        InputError: no such cell, or vectors that cannot be compared.
    """
    cell_id = index.cell_id(cell)
    _check(index, cell_id, by, model is not None)
    if by == "triggers":
        scores = _by_triggers(index, cell_id)
    elif by == "promoted":
        scores = _by_promoted(index, cell_id)
    else:
        assert model is not None
        scores = _by_vectors(index, cell_id, by, model)
    own = index.cells.place(cell_id)
    found: list[tuple[float, int, int, int | None]] = []
    for place, rows, similarity, shared in scores:
        order = np.lexsort((rows, -similarity))[: max(limit, 0) + 1]
        for i in order.tolist():
            if (place, int(rows[i])) != own:
                n_shared = None if shared is None else int(shared[i])
                found.append((-float(similarity[i]), place, int(rows[i]), n_shared))
    nearest = sorted(found, key=lambda one: one[:3])[: max(limit, 0)]
    named = index.names.on(_row(index, place, row, -value, n) for value, place, row, n in nearest)
    return Similar(cell_id, by, named)


def _check(index: Index, cell: CellId, by: Likeness, with_model: bool) -> None:
    gated = index.signs_of(index.cells.place(cell)[0]) == 2
    choices = likenesses(index, cell)
    whose = f"the dictionary {cell.layer_name}" if cell.dictionary else "this model"
    if by not in choices:
        raise InputError(
            f"--by is {by!r}",
            f"Expected one of: {', '.join(choices)} (the cells of {whose} are {'' if gated else 'not '}gated)",
            "Write --by triggers",
        )
    if by not in ("triggers", "promoted") and not with_model:
        raise InputError(
            f"--by {by} compares vectors, which an index does not hold",
            "Expected the model that the index was built from",
            "Say where that is with --model, or write --by triggers or --by promoted",
        )


def likenesses(index: Index, cell: CellId) -> tuple[Likeness, ...]:
    """What a cell can be compared by."""
    gated = index.signs_of(index.cells.place(cell)[0]) == 2
    return tuple(one for one in get_args(Likeness) if one not in (("key",) if gated else ("gate-key", "up-key")))


def _row(index: Index, place: int, row: int, similarity: float, n_shared: int | None) -> SimilarCell:
    arrays, trigger = index.layer(place), None
    best = int(arrays.trigger_token[row, 0, 0])
    if best != NO_TOKEN:
        sentence_id, position = index.text.locate(best)
        trigger = index.text.sentence(sentence_id).token_strings()[position]
    promoted = index.text.token_strings(arrays.promoted_ids[row, :3].tolist())
    return SimilarCell(index.cells.cell_id(place, row), similarity, n_shared, trigger, promoted)


# Triggers


def sentence_weights(index: Index, place: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(number in rows, sentence, weight) of every sentence among the triggers of some cells; each pair once."""
    if not len(rows):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
    arrays = index.layer(place)
    tokens = np.asarray(arrays.trigger_token)[rows].reshape(len(rows), -1)
    magnitudes = np.abs(np.asarray(arrays.trigger_coefficient)[rows]).reshape(len(rows), -1)
    magnitudes = magnitudes / np.maximum(magnitudes.max(1, keepdims=True), np.finfo(np.float32).tiny)
    filled = tokens != NO_TOKEN
    sentences = np.full(tokens.shape, -1, dtype=np.int64)
    sentences[filled] = index.text.sentence_of(tokens[filled])
    order = np.argsort(sentences, axis=1)  # row by row, which is quicker than one sort of them all
    sentences, magnitudes = (np.take_along_axis(one, order, 1) for one in (sentences, magnitudes))
    begins = sentences >= 0
    begins[:, 1:] &= sentences[:, 1:] != sentences[:, :-1]
    first = np.flatnonzero(begins)
    if not len(first):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
    # what stands before the first sentence of a row is empty slots of that row, whose weight is 0
    weights = np.maximum.reduceat(magnitudes.reshape(-1), first)
    return first // tokens.shape[1], sentences.reshape(-1)[first], weights


def _by_triggers(index: Index, cell: CellId) -> _Scores:
    place, row = index.cells.place(cell)
    _, sentences, weights = sentence_weights(index, place, np.array([row]))
    starts, total = index.text.sentence_start, weights.sum()
    firsts, ends = (starts[sentences + step].astype(np.int64) for step in (0, 1))
    for other in range(index.n_layers):
        _, hits, _ = triggers_within(index, other, firsts, ends)
        rows = np.unique(hits)
        which, theirs, their_weights = sentence_weights(index, other, rows)
        at = np.minimum(np.searchsorted(sentences, theirs), max(len(sentences) - 1, 0))
        both = sentences[at] == theirs if len(sentences) else np.zeros(0, dtype=bool)
        least = np.bincount(which[both], np.minimum(weights[at[both]], their_weights[both]), len(rows))
        n_shared = np.bincount(which[both], minlength=len(rows))
        all_of_both = total + np.bincount(which, their_weights, len(rows)) - least  # a + b - min = max
        yield other, rows, least / np.maximum(all_of_both, np.finfo(np.float64).tiny), n_shared


# Promoted tokens


def _by_promoted(index: Index, cell: CellId) -> _Scores:
    place, row = index.cells.place(cell)
    own = np.asarray(index.layer(place).promoted_ids)[row]
    k = len(own)
    rank = np.full(index.manifest.model.d_vocab, k)
    rank[own] = np.arange(k)
    # the last column: tokens that the cell does not promote
    weights = np.zeros((k, k + 1))
    weights[:, :k] = rank_weights(k)[np.maximum.outer(np.arange(k), np.arange(k))]
    for other in range(index.n_layers):
        best: tuple[np.ndarray, np.ndarray] | None = None
        n_signs = max(index.signs_of(place), index.signs_of(other))
        for name in ("promoted_ids", "suppressed_ids")[:n_signs]:
            ids = np.asarray(getattr(index.layer(other), name))
            flat = np.flatnonzero((rank < k)[ids])
            rows, theirs = np.divmod(flat, k)
            ours = rank[ids.reshape(-1)[flat]]
            overlap = np.bincount(rows, weights[theirs, ours], len(ids))
            shared = np.bincount(rows, minlength=len(ids))
            if best is None:
                best = overlap, shared
            else:
                best = np.maximum(best[0], overlap), np.where(overlap > best[0], shared, best[1])
        assert best is not None
        rows = np.flatnonzero(best[1])
        yield other, rows, best[0][rows], best[1][rows]


# Vectors


def _by_vectors(index: Index, cell: CellId, by: Likeness, model: "Transformer") -> _Scores:
    vectors: Callable[[int], Any] = {
        "key": model.keys, "gate-key": model.gate_keys, "up-key": model.up_keys, "value": model.values,
    }[by]  # fmt: skip
    place, row = index.cells.place(cell)
    own = index.own_rows(place, vectors)[row].float()
    own = own / own.norm().clamp(min=1e-30)
    for other in range(index.n_layers):
        n_signs = index.signs_of(place), index.signs_of(other)
        if by != "value" and n_signs[0] != n_signs[1]:  # which have keys of another kind
            continue
        both_signs = max(n_signs) == 2 and by in ("up-key", "value")
        rows = index.own_rows(other, vectors).float()
        cosines = ((rows @ own) / rows.norm(dim=1).clamp(min=1e-30)).cpu().numpy()
        yield other, np.arange(len(cosines)), np.abs(cosines) if both_signs else cosines, None
