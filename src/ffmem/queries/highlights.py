"""A few cells worth a first look."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ffmem.cell import Cell
from ffmem.ids import LayerCells
from ffmem.store.document_runs import DocumentRuns
from ffmem.store.keys import NO_TOKEN
from ffmem.store.reader import Index


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
    id; cells whose first trigger fires on a mark or a number are passed over. What is said of a cell is counted from its
    own triggers.

    Cost: a pass over the first triggers of all cells, as arrays: below a second for a million cells.
    """
    thirds = _thirds(index)
    triggers = _Triggers(index)
    rules: tuple[_Rule, ...] = (_SameToken(triggers), _SameGroup(triggers), _Agreement(triggers))
    found = [_best(index, rule, layers) for rule, layers in zip(rules, thirds, strict=True)]
    return [one for one in found if one is not None]


def _thirds(index: Index) -> list[list[int]]:
    """The places of the lower, middle and upper layers, each with the dictionaries beside it; all, where there are few."""
    beside: dict[str, list[int]] = {}
    for place, layer in sorted(enumerate(index.cells.layers), key=lambda one: _depth(one[1])):
        beside.setdefault(layer.own_name, []).append(place)
    layers = list(beside.values())
    parts = np.array_split(np.arange(len(layers)), 3) if len(layers) >= 3 else [np.arange(len(layers))] * 3
    return [sorted(place for number in part.tolist() for place in layers[number]) for part in parts]


def _depth(layer: LayerCells) -> tuple[bool, int]:
    return layer.stack == "dec", layer.layer


def _best(index: Index, rule: "_Rule", layers: list[int]) -> Highlight | None:
    """The best cell of some layers that fires on a word."""
    rows = [rule.triggers.whole(layer) for layer in layers]
    scores = [rule.at_most(layer, some) for layer, some in zip(layers, rows, strict=True)]
    spelled: dict[int, bool] = {}
    for score in range(max((int(one.max(initial=-1)) for one in scores), default=-1), -1, -1):
        candidates: list[tuple[int, int, int]] = []
        for layer, some, at_most in zip(layers, rows, scores, strict=True):
            here = np.flatnonzero(at_most == score)
            if len(here):
                exact, diversity = rule.exactly(layer, some[here])
                at_most[here] = exact  # those that have less come later
                right = exact == score
                tokens = rule.triggers.first_tokens(layer, some[here][right])
                candidates += [
                    (-more, layer, row)
                    for more, row, token in zip(
                        diversity[right].tolist(), some[here][right].tolist(), tokens.tolist(), strict=True
                    )
                    if _is_word(index, token, spelled)
                ]
        if candidates:
            _, layer, row = min(candidates)
            return Highlight(rule.why(layer, row), index.cell(index.cells.cell_id(layer, row)))
    return None


def _is_word(index: Index, token: int, known: dict[int, bool]) -> bool:
    if token not in known:
        known[token] = any(character.isalpha() for character in index.text.token_strings([token])[0])
    return known[token]


class _Triggers:
    """The first triggers of cells, as arrays: (rows, triggers)."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.n = min(_N_COMPARED, index.top)

    def whole(self, layer: int) -> np.ndarray:
        """The rows of cells that have so many."""
        places = self.index.layer(layer).trigger_token[:, 0, : self.n]
        rows = np.flatnonzero(places[:, -1] != NO_TOKEN)  # a list that is full at its end is full
        if len(rows):
            self.index.text.sentence_of(places[rows].max(keepdims=True).ravel())  # says it if the index is damaged
        return rows

    def places(self, layer: int, rows: np.ndarray) -> np.ndarray:
        """Their token indices, int64."""
        found: np.ndarray = self.index.layer(layer).trigger_token[:, 0, : self.n][rows].astype(np.int64)
        return found

    def tokens(self, layer: int, rows: np.ndarray) -> np.ndarray:
        """What they fire on."""
        found: np.ndarray = self.index.text.token_id[self.places(layer, rows)]
        return found

    def first_tokens(self, layer: int, rows: np.ndarray) -> np.ndarray:
        """What the first of each cell fires on."""
        found: np.ndarray = self.index.text.token_id[
            self.index.layer(layer).trigger_token[:, 0, 0][rows].astype(np.int64)
        ]
        return found

    def documents(self, places: np.ndarray) -> np.ndarray:
        """The documents of token indices; there are fewer documents than sentences, so that they are found sooner."""
        starts = self._starts
        found: np.ndarray = self._runs.document[np.searchsorted(starts, places, side="right") - 1]
        return found

    @property
    def _runs(self) -> DocumentRuns:
        return self.index.text.document_runs

    @cached_property
    def _starts(self) -> np.ndarray:
        """The first token of each run of sentences of one document."""
        found: np.ndarray = self.index.text.sentence_start[self._runs.first_sentence].astype(np.int64)
        return found

    @cached_property
    def labels(self) -> tuple[str, tuple[str, ...], np.ndarray] | None:
        """Name of the field, its values, and which of them each document has."""
        found = self.index.text.document_labels()
        return None if found is None else (found.field, found.names, found.of_document)


class _Rule(ABC):
    """What makes a cell the better, and what is said of it."""

    def __init__(self, triggers: _Triggers) -> None:
        self.triggers = triggers

    @abstractmethod
    def at_most(self, layer: int, rows: np.ndarray) -> np.ndarray:
        """A score that each cell does not surpass; whole numbers."""

    @abstractmethod
    def exactly(self, layer: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The score of each cell, and how diverse the contexts of its triggers are."""

    @abstractmethod
    def why(self, layer: int, row: int) -> str:
        """What is so of this cell, counted."""


class _SameToken(_Rule):
    def at_most(self, layer: int, rows: np.ndarray) -> np.ndarray:
        return _n_most_common(self.triggers.tokens(layer, rows))

    def exactly(self, layer: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.at_most(layer, rows), _n_distinct(self.triggers.documents(self.triggers.places(layer, rows)))

    def why(self, layer: int, row: int) -> str:
        n = self.triggers.n
        (n_same,), (n_documents,) = self.exactly(layer, np.array([row]))
        return f"{_of_first(int(n_same), n)} fire on one and the same token, in {_count(int(n_documents), 'document')}"


class _SameGroup(_Rule):
    def at_most(self, layer: int, rows: np.ndarray) -> np.ndarray:
        tokens = self.triggers.tokens(layer, rows)
        groups = self._groups(self.triggers.documents(self.triggers.places(layer, rows)))
        score: np.ndarray = _n_distinct(tokens) + _n_most_common(groups)
        return score

    def _groups(self, documents: np.ndarray) -> np.ndarray:
        """The label of documents; without labels each is a group of its own."""
        labels = self.triggers.labels
        groups: np.ndarray = documents if labels is None else labels[2][documents]
        return groups

    def exactly(self, layer: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        places = self.triggers.places(layer, rows)
        n_sentences = _n_distinct(self.triggers.index.text.sentence_of(places))
        return self.at_most(layer, rows), _n_distinct(self.triggers.documents(places)) + n_sentences

    def why(self, layer: int, row: int) -> str:
        triggers, rows = self.triggers, np.array([row])
        documents = triggers.documents(triggers.places(layer, rows))[0]
        n_tokens, n_documents = (len(set(one.tolist())) for one in (triggers.tokens(layer, rows)[0], documents))
        fire = f"fire on {n_tokens} different tokens" if n_tokens > 1 else "fire on one token"
        if triggers.labels is None:
            return f"its first {_count(triggers.n, 'trigger')} {fire}, in {_count(n_documents, 'document')}"
        field, names, _ = triggers.labels
        groups = self._groups(documents).tolist()
        best = max(groups, key=groups.count)
        return (
            f"of its first {triggers.n} triggers, which {fire}, {groups.count(best)} have the {field} {names[best]!r}"
        )


class _Agreement(_Rule):
    def at_most(self, layer: int, rows: np.ndarray) -> np.ndarray:
        """With the token behind the end of a sentence for the next one."""
        token_id = self.triggers.index.text.token_id
        places = self.triggers.places(layer, rows)
        return self._agreeing(layer, rows, token_id[np.minimum(places + 1, len(token_id) - 1)])

    def _agreeing(self, layer: int, rows: np.ndarray, following: np.ndarray) -> np.ndarray:
        promoted = self.triggers.index.layer(layer).promoted_ids[:, :_N_COMPARED][rows]
        found = np.zeros(following.shape, dtype=bool)
        for column in promoted.T:
            found |= following == column[:, None]
        counts: np.ndarray = found.sum(1)
        return counts

    def exactly(self, layer: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        following = self.triggers.index.text.following(self.triggers.places(layer, rows))
        return self._agreeing(layer, rows, following), _n_distinct(following)

    def why(self, layer: int, row: int) -> str:
        (n_agreeing,), _ = self.exactly(layer, np.array([row]))
        n_promoted = min(_N_COMPARED, self.triggers.index.layer(layer).promoted_ids.shape[1])
        return (
            f"{_of_first(int(n_agreeing), self.triggers.n)} are followed by one of the {_count(n_promoted, 'token')} "
            "that its value promotes most"
        )


def _n_distinct(values: np.ndarray) -> np.ndarray:
    """(rows,) how many different numbers there are in each."""
    ordered = np.sort(values, axis=1)
    counts: np.ndarray = 1 + (ordered[:, 1:] != ordered[:, :-1]).sum(1)
    return counts


def _n_most_common(values: np.ndarray) -> np.ndarray:
    """(rows,) how often the most frequent number of each is there."""
    ordered = np.sort(values, axis=1)
    counts = np.ones(len(values), dtype=np.int64)
    left = np.arange(len(values))
    for n in range(1, values.shape[1]):
        left = left[(ordered[left, n:] == ordered[left, :-n]).any(1)]
        counts[left] += 1
    return counts


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _of_first(n: int, n_all: int) -> str:
    return f"all of its first {n_all} triggers" if n == n_all else f"{n} of its first {n_all} triggers"
