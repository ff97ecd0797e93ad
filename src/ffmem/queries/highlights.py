"""A few cells worth a first look."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from ffmem.cell import Cell
from ffmem.index.reader import Index
from ffmem.index.store import NO_TOKEN


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
        best = (index.cell(index.cells.cell_id(layer, row)) for _, layer, row in sorted(scored))
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


def _scored(index: Index, layer: int, rule: Any) -> list[tuple[Any, int, int]]:
    """(score, place of the layer, row of the cell): smaller is better."""
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
            layer,
            int(row),
        )
        for row, t, f, s, d, p in zip(
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
