"""What can be said of a position, family by family from simple to complex: each feature gives it values, as numbers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np

from ffmem.analyses.patterns.lexical import SHAPES, Shapes
from ffmem.analyses.patterns.tokens import Tokens
from ffmem.names.rules.clusters import clusters
from ffmem.names.rules.ngrams import Ngrams, ngrams
from ffmem.names.rules.shapes import UNITS, punctuation_of, script_of
from ffmem.names.rules.text import Text, numbered
from ffmem.names.rules.windows import Windows
from ffmem.store.reader import Index
from ffmem.store.text import LABEL_FIELDS

Family = Literal["position", "shape", "token", "previous", "ngram", "shape pair", "window", "field", "cluster"]
FAMILIES: tuple[Family, ...] = (
    "position", "shape", "token", "previous", "ngram", "shape pair", "window", "field", "cluster",
)  # fmt: skip
"""In this order, a later one must tell more to be chosen."""
POSITIONS = np.array([0, 1, 2, 3, 4, 6, 9, 14, 20, 30])
"""Where classes of positions in a sentence begin."""
WINDOW_SIZES = (8, 32)
MOST_VALUES = 256
"""Of a field of metadata: the most frequent ones; the others are none."""
_MOST_CELLS = 1 << 24
"""Of the table of tokens and values."""
_MOST_FIELDS = 8
_LONGEST_VALUE = 200
_FEWEST, _FEWEST_OF_CLASSES = 3, 10
_SHRINKAGE = 5.0
"""Positions that the base rate counts for beside those of a token."""


class Values(Protocol):
    """Where the values of a feature come from."""

    @property
    def n_values(self) -> int:
        """Values are below it."""

    @property
    def counts(self) -> np.ndarray:
        """(values, quarters) competing positions of each value."""

    def expand(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The values of positions: (place in ``positions``, value)."""


@dataclass(frozen=True)
class Single:
    """One value at most for each position."""

    text: Text
    of: np.ndarray
    """By token index, by ``of_what``: -1 for none."""
    n_values: int
    by: Literal["position", "sentence", "document"] = "position"
    """What ``of`` has a number for."""

    def at(self, positions: np.ndarray) -> np.ndarray:
        """The value of each position, -1 for none."""
        text = self.text
        places = {"position": None, "sentence": text.sentence, "document": text.document}[self.by]
        values: np.ndarray = self.of[positions if places is None else places[positions]]
        return values

    @cached_property
    def counts(self) -> np.ndarray:
        """(values, quarters) competing positions of each value."""
        return self.text.counts(self.at(np.arange(len(self.text.token))), self.n_values)

    def expand(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The values of positions: (place in ``positions``, value)."""
        values = self.at(positions).astype(np.int64)
        which = np.flatnonzero(values >= 0)
        return which, values[which]


@dataclass(frozen=True)
class Context:
    """How likely values of the surroundings are, given the token that a position has."""

    text: Text
    values: Single
    own: np.ndarray
    """(n,) positions of the same token in the same document."""

    @cached_property
    def _table(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        text, n = self.text, self.values.n_values
        here = np.flatnonzero(text.competes)
        values = self.values.at(here).astype(np.int64)
        keys = text.token[here].astype(np.int64) * (n + 1) + values + 1
        table = np.bincount(keys, minlength=len(text.token_ids) * (n + 1)).reshape(-1, n + 1).astype(np.float32)
        totals = table.sum(1)
        rate = table.sum(0) / max(float(totals.sum()), 1.0)
        return table, totals, rate

    def prepare(self) -> None:
        """Count once what all questions share."""
        _ = self._table

    def chance(self, positions: np.ndarray, values: np.ndarray) -> np.ndarray:
        """P(value | token at the position), from other documents, shrunk to the value's base rate."""
        table, totals, rate = self._table
        token, own = self.text.token[positions], self.own[positions].astype(np.float32)
        seen = table[token, values + 1] - np.where(self.values.at(positions) == values, own, 0)
        likely: np.ndarray = np.maximum(seen, 0) + _SHRINKAGE * rate[values + 1]
        likely /= np.maximum(totals[token] - own, 0) + _SHRINKAGE
        return likely


@dataclass(frozen=True)
class Feature:
    """A feature of a family: the values of one feature exclude one another, but for those of windows."""

    name: str
    family: Family
    values: Values
    said: Sequence[str] | None = None
    """What each value is called; None: it is read from the text, as ``grams`` tell where."""
    most: int = 3
    """Values in a name."""
    fewest: int = _FEWEST
    """Sampled positions, and documents, that speak for a value."""
    context: Context | None = None
    """Of what is no matter of the position but of its surroundings."""
    group: np.ndarray | None = None
    """(values,) values of one group are said as one where each of them alone tells."""
    grams: Ngrams | None = None
    windows: Windows | None = None
    field: str = ""
    """Of documents, that it is a value of."""


@dataclass(frozen=True)
class Features:
    """All features of a text."""

    text: Text
    fold: np.ndarray
    """(tokens that occur,) number of each folded token."""
    folded: tuple[str, ...]
    """What each number stands for."""
    all: tuple[Feature, ...] = field(repr=False)

    @classmethod
    def of(cls, index: Index, text: Text, *, seed: int = 0) -> "Features":
        """Those of an index."""
        fold_of, names = numbered(text.strings)
        fold = fold_of[text.token]
        own = _own(text)
        grams = ngrams(text, fold)
        found = [
            Feature("position", "position", _positions(text), said=_said_positions(), fewest=_FEWEST_OF_CLASSES),
            *_shapes(index, text),
            Feature("token", "token", Single(text, text.token, len(text.strings)), said=text.strings, group=fold_of),
            Feature("previous", "previous", _previous(text, fold, len(names)), said=names),
            *(Feature(f"{one.length}-gram", "ngram", Single(text, one.at, one.n), grams=one) for one in grams[1:]),
            *(
                Feature(f"window of {size}", "window", windows, most=1, windows=windows)
                for size in WINDOW_SIZES
                for windows in (Windows(text, grams[:3], size),)
            ),
            *(
                Feature(name, "field", values, said=said, context=Context(text, values, own), field=name)
                for name, values, said in _fields(index, text)
            ),
        ]
        about = clusters(text, fold, names, seed=seed)
        if about.words:
            values = Single(text, about.of_sentence, len(about.words), by="sentence")
            context = Context(text, values, own)
            found.append(Feature("cluster", "cluster", values, said=about.words, most=1, context=context))
        found.sort(key=lambda one: FAMILIES.index(one.family))
        return cls(text, fold_of, names, tuple(one for one in found if one.values.n_values))


def _own(text: Text) -> np.ndarray:
    """(n,) how many positions of its document have the same token."""
    _, inverse, counts = np.unique(
        text.document.astype(np.int64) * max(len(text.token_ids), 1) + text.token,
        return_inverse=True,
        return_counts=True,
    )
    return counts[inverse].astype(np.int32)


def _positions(text: Text) -> Single:
    classes = np.searchsorted(POSITIONS, text.within, side="right") - 1
    return Single(text, classes.astype(np.int8), len(POSITIONS))


def _said_positions() -> list[str]:
    ends = [*(POSITIONS[1:] - 1).tolist(), None]
    said = [
        f"{first + 1}" if first == end else f"{first + 1}+" if end is None else f"{first + 1}-{end + 1}"
        for first, end in zip(POSITIONS.tolist(), ends, strict=True)
    ]
    return ["first", *said[1:]]


def _previous(text: Text, fold: np.ndarray, n: int) -> Single:
    before = np.where(text.within > 0, np.roll(fold, 1), -1).astype(np.int32)
    return Single(text, before, n)


def _classes(text: Text, of_token: Iterable[str]) -> tuple[Single, list[str]]:
    """Values that a token alone decides; empty for none."""
    names: dict[str, int] = {}
    numbers = np.array([names.setdefault(one, len(names)) if one else -1 for one in of_token], dtype=np.int16)
    return Single(text, numbers[text.token], len(names)), list(names)


def _shapes(index: Index, text: Text) -> Iterable[Feature]:
    tokens = Tokens.of(index)
    shapes = Shapes.of_vocabulary(index.text.vocabulary)
    shape = np.concatenate(
        [np.zeros(0, np.int8)]
        + [
            shapes.of(tokens, np.arange(first, min(first + 2**20, len(text.token)))).astype(np.int8)
            for first in range(0, len(text.token), 2**20)
        ]
    )
    said = list(SHAPES)
    yield Feature("shape", "shape", Single(text, shape, len(said)), said=said, fewest=_FEWEST_OF_CLASSES)
    for name, kind in (("script", script_of), ("punctuation", punctuation_of)):
        values, names = _classes(text, (kind(one) for one in text.strings))
        yield Feature(name, "shape", values, said=names, fewest=_FEWEST_OF_CLASSES)
    is_unit = np.array([one.strip().casefold() in UNITS for one in text.strings], dtype=bool)
    last = np.where(is_unit[text.token], len(said), shape).astype(np.int16)
    n = len(said) + 1
    pairs = np.where(text.within > 0, np.roll(shape, 1).astype(np.int16) * n + last, -1).astype(np.int16)
    names = [f"{one} + {two}" for one in [*said, ""] for two in [*said, "a unit of measure"]]
    yield Feature("shape pair", "shape pair", Single(text, pairs, n * n), said=names)


def _fields(index: Index, text: Text) -> Iterable[tuple[str, Single, list[str]]]:
    """Fields of the documents' metadata that divide them: those that say what a document is about first."""
    wanted = dict(zip(text.document_ids.tolist(), range(text.n_documents), strict=True))
    columns: dict[str, list[str | None]] = {}
    for number, metadata in enumerate(index.text.metadata()):
        place = wanted.get(number)
        for name, value in metadata.items() if place is not None else ():
            told = _told(value)
            if told is not None and isinstance(name, str) and name and place is not None:
                columns.setdefault(name, [None] * text.n_documents)[place] = told
    first = {name: place for place, name in enumerate(LABEL_FIELDS)}
    seen: set[bytes] = set()
    n_fields = 0
    for name in sorted(columns, key=lambda one: (first.get(one, len(first)), one)):
        values, said = _most_frequent(columns[name], min(MOST_VALUES, _MOST_CELLS // max(len(text.token_ids), 1)))
        same = values.tobytes()
        if len(said) >= 2 and same not in seen and n_fields < _MOST_FIELDS:
            seen.add(same)
            n_fields += 1
            yield name, Single(text, values, len(said), by="document"), said


def _told(value: Any) -> str | None:
    """A value of metadata as text; None for what is nested, missing or no word."""
    if isinstance(value, bool | int) or (isinstance(value, float) and value == value):
        return str(value)
    return value.strip()[:_LONGEST_VALUE] or None if isinstance(value, str) else None


def _most_frequent(column: list[str | None], most: int) -> tuple[np.ndarray, list[str]]:
    """A number for each document's value, those that `_FEWEST` documents have or more, in the order of their texts."""
    counts: dict[str, int] = {}
    for value in column:
        if value is not None:
            counts[value] = counts.get(value, 0) + 1
    kept = sorted((one for one in counts if counts[one] >= _FEWEST), key=lambda one: (-counts[one], one))[:most]
    said = sorted(kept)
    numbers = {one: place for place, one in enumerate(said)}
    return np.array([-1 if one is None else numbers.get(one, -1) for one in column], dtype=np.int32), said
