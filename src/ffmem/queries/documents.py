"""Documents by what their metadata says."""

import difflib
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from ffmem.errors import InputError
from ffmem.json_values import json_text
from ffmem.store.reader import Index

_LONGEST = 200
"""Characters of a value that count; a longer one is cut."""
_MOST_TOLD = 8
_kept: "WeakKeyDictionary[Index, Metadata]" = WeakKeyDictionary()
_lock = Lock()


@dataclass(frozen=True)
class FieldValues:
    """One field of the documents' metadata."""

    name: str
    values: tuple[str, ...]
    """Every value, as text, the most frequent first."""
    n_documents: np.ndarray
    """Documents that have each."""
    documents: np.ndarray
    """Documents that have a value here, one of a list after the other; ascending."""
    numbers: np.ndarray
    """Which value each of these has."""


class Metadata:
    """The fields of all documents, by name, read once: see `metadata_of`."""

    def __init__(self, index: Index) -> None:
        found: dict[str, tuple[dict[str, int], array[int], array[int]]] = {}
        self.n_documents = 0
        for number, metadata in enumerate(index.text.metadata()):
            self.n_documents = number + 1
            for name, value in metadata.items():
                known, documents, numbers = found.setdefault(name, ({}, array("q"), array("q")))
                for text in _texts(value):
                    documents.append(number)
                    numbers.append(known.setdefault(text, len(known)))
        self.fields = {name: _field(name, *parts) for name, parts in found.items() if parts[0]}
        labels = index.text.document_labels()
        self.topic_field = "" if labels is None else labels.field
        """The field that says what a document is about; empty if there is none."""

    def having(self, name: str, value: str) -> np.ndarray:
        """For each document, whether it has this value in a field, in any case of its letters; or, if none has, a part of it.

        Raises:
            InputError: no document has such a field, or such a value in it.
        """
        field = self._field(name)
        wanted = value.casefold()
        folded = [one.casefold() for one in field.values]
        chosen = [i for i, one in enumerate(folded) if one == wanted] or [
            i for i, one in enumerate(folded) if wanted in one
        ]
        if not chosen:
            close = difflib.get_close_matches(wanted, folded, _MOST_TOLD, 0.5)
            near = [field.values[folded.index(one)] for one in close] or list(field.values[:_MOST_TOLD])
            raise InputError(
                f"no document has the {name} {value[:100]!r}",
                f"Expected one of the {len(field.values):,} values, such as {', '.join(one[:60] for one in near)}",
                f"Write meta.{name}: and one of them, in quotes if it has a space",
            )
        found = np.zeros(self.n_documents, dtype=bool)
        found[field.documents[np.isin(field.numbers, chosen)]] = True
        return found

    def _field(self, name: str) -> FieldValues:
        exact = self.fields.get(name) or next(
            (one for own, one in self.fields.items() if own.casefold() == name.casefold()), None
        )
        if exact is None:
            near = difflib.get_close_matches(name, self.fields, 1, 0.5) or list(self.fields)[:1]
            raise InputError(
                f"no document has a field {name[:100]!r}",
                f"Expected one of: {', '.join(one[:60] for one in self.fields)}"
                if self.fields
                else "Expected documents with metadata, and these have none",
                f"Write meta.{near[0]}:" if near else "Search for words",
            )
        return exact


def metadata_of(index: Index) -> Metadata:
    """The metadata of an index's documents, read when it is first asked for.

    Cost: some seconds for a million documents, then none.
    """
    with _lock:
        if index not in _kept:
            _kept[index] = Metadata(index)
        return _kept[index]


def documents_with(index: Index, meta: Mapping[str, str]) -> np.ndarray:
    """For each document, whether it has all these values in these fields.

    Raises:
        InputError: as `Metadata.having`.
    """
    found = metadata_of(index)
    chosen: np.ndarray = np.logical_and.reduce([found.having(name, value) for name, value in meta.items()])
    return chosen


def topic_meta(index: Index, topic: str) -> dict[str, str] | None:
    """The field and value that say that a document is about a topic; None where documents have no topics, or not this one."""
    found = metadata_of(index)
    if not found.topic_field:
        return None
    folded = topic.casefold()
    for value in found.fields[found.topic_field].values:
        if value.casefold() == folded:
            return {found.topic_field: value}
    return None


def _field(name: str, known: dict[str, int], documents: "array[int]", numbers: "array[int]") -> FieldValues:
    given = np.array(numbers, dtype=np.int64)
    pairs = np.unique(np.stack([np.array(documents, dtype=np.int64), given]), axis=1)
    counts = np.bincount(pairs[1], minlength=len(known))
    texts = list(known)
    order = sorted(range(len(known)), key=lambda i: (-counts[i], texts[i]))
    rank = np.empty(len(known), dtype=np.int64)
    rank[order] = np.arange(len(known))
    return FieldValues(name, tuple(texts[i] for i in order), counts[order], pairs[0], rank[pairs[1]])


def _texts(value: Any) -> Iterator[str]:
    """What a value is called: of a list each of its values, of an object its JSON."""
    if isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, str):
        if value.strip():
            yield value.strip()[:_LONGEST]
    elif value is not None:
        yield json_text(value)[:_LONGEST]
