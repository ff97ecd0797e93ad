"""A few cells worth a first look."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

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
    Middle third: the cell whose first ten triggers fire on the most different tokens while most of them come from
    documents of one ``topic`` (or ``label``, or ``category``), if all documents have one in their metadata, else from one
    document (a semantic pattern). Upper third: the cell of whose first ten triggers most are followed by one of the ten
    tokens that its value promotes most (key and value agree). Ties go to the more diverse contexts, then the smaller cell
    id; cells whose first trigger fires on a mark or a number are passed over.
    """
    thirds = np.array_split(np.arange(index.n_layers), 3) if index.n_layers >= 3 else [np.arange(index.n_layers)] * 3
    groups = _groups(index)
    rules: tuple[tuple[Callable[[_Firing], str], Callable[[_Firing], tuple[int, int]]], ...] = (
        (lambda _: "its triggers fire on one and the same token", _same_token),
        (groups.why, _same_group),
        (lambda _: "its triggers are followed by tokens that its value promotes", _agreement),
    )
    found = []
    for layers, (why, rule) in zip(thirds, rules, strict=True):
        scored = [score for layer in layers.tolist() for score in _scored(index, groups, layer, rule)]
        best = (
            (index.cell(index.cells.cell_id(layer, row)), firing)
            for _, layer, row, firing in sorted(scored, key=lambda one: one[:3])
        )
        for cell, firing in best:
            if _fires_on_a_word(cell):
                found.append(Highlight(why(firing), cell))
                break
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
    groups: list[int]
    promoted: set[int]


@dataclass(frozen=True)
class _Groups:
    """Documents of one label; without labels each document is a group of its own."""

    field: str | None
    labels: list[str]
    of_document: np.ndarray | None
    """(n_documents,) the group of each; None: its own."""

    def why(self, firing: _Firing) -> str:
        """Of a cell that was chosen for its group."""
        if self.field is None:
            return "its triggers fire on different tokens of one document"
        group, n_same = Counter(firing.groups).most_common(1)[0]
        return (
            f"of its first {len(firing.groups)} triggers, which fire on {len(set(firing.tokens))} different tokens, "
            f"{n_same} have the {self.field} {self.labels[group]!r}"
        )


def _groups(index: Index) -> _Groups:
    found = index.text.document_labels()
    if found is None:
        return _Groups(None, [], None)
    return _Groups(found.field, list(found.names), found.of_document)


def _scored(
    index: Index, groups: _Groups, layer: int, rule: Callable[[_Firing], tuple[int, int]]
) -> list[tuple[tuple[int, int], int, int, _Firing]]:
    """(score, place of the layer, row of the cell, its triggers): smaller is better."""
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
    of_document = groups.of_document
    columns = (tokens, following, sentences, documents, documents if of_document is None else of_document[documents])
    promoted = arrays.promoted_ids[whole, :_N_COMPARED]
    firings = [
        _Firing(t.tolist(), f.tolist(), s.tolist(), d.tolist(), g.tolist(), set(p.tolist()))
        for t, f, s, d, g, p in zip(*columns, promoted, strict=True)
    ]
    return [(rule(firing), layer, row, firing) for row, firing in zip(whole.tolist(), firings, strict=True)]


def _same_token(firing: _Firing) -> tuple[int, int]:
    _, n_same = Counter(firing.tokens).most_common(1)[0]
    return -n_same, -len(set(firing.documents))


def _same_group(firing: _Firing) -> tuple[int, int]:
    _, n_same = Counter(firing.groups).most_common(1)[0]
    return -(n_same + len(set(firing.tokens))), -(len(set(firing.documents)) + len(set(firing.sentences)))


def _agreement(firing: _Firing) -> tuple[int, int]:
    n_agreeing = sum(token in firing.promoted for token in firing.following)
    return -n_agreeing, -len(set(firing.following))
