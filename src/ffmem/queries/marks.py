"""Where in the text a trigger would match: conditions on triggers as a mask over the tokens."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock
from typing import Literal
from weakref import WeakKeyDictionary

import numpy as np

from ffmem.queries.documents import sentences_with
from ffmem.queries.names import token_id
from ffmem.queries.text_places import TextPlaces, text_places
from ffmem.store.reader import Index

Within = Literal["auto", "prefix", "sentence"]
"""Where a trigger must have the words: up to the firing token, which is all that a causal model has read; or anywhere."""
_MOST_KEPT = 24
_kept: "WeakKeyDictionary[Index, OrderedDict[tuple[str, bool], TextPlaces]]" = WeakKeyDictionary()
_lock = Lock()


@dataclass(frozen=True)
class OfTriggers:
    """What is asked of a trigger; empty parts ask nothing."""

    text: str | None = None
    """Words, or ``/a regular expression/``."""
    fires_on: str | None = None
    next_token: str | None = None
    meta: Mapping[str, str] = field(default_factory=dict)
    """Values of the metadata of its document, by field."""
    within: Within = "auto"

    @property
    def empty(self) -> bool:
        """Whether nothing is asked."""
        return self.text is None and self.fires_on is None and self.next_token is None and not self.meta


@dataclass(frozen=True)
class Marks:
    """Token indices at which a trigger would match."""

    mask: np.ndarray
    """Whether each is one, and one False more, for empty slots."""
    firsts: np.ndarray
    """First of each run of them."""
    ends: np.ndarray
    """The one after its last."""
    base_rate: float
    """The share of all indexed positions that are."""
    note: str = ""
    """What was left out; empty if nothing was."""

    @cached_property
    def bits(self) -> np.ndarray:
        """The mask with eight tokens a byte, the first in its lowest bit."""
        return np.packbits(self.mask, bitorder="little")


def prefix_only(index: Index, within: Within) -> bool:
    """Whether a trigger must have the words up to its firing token: by default, where the model reads no further."""
    return index.manifest.model.causal if within == "auto" else within == "prefix"


def marks_of(index: Index, asked: OfTriggers, time_limit_s: float) -> Marks | None:
    """The token indices at which a trigger meets all that is asked; None if nothing is.

    Raises:
        InputError: text that is no token, no such field or value, or no such expression.

    Cost: one look at every token; and the text of each sentence that has the words.
    """
    if asked.empty:
        return None
    text, note = index.text, ""
    n_indexed = int(text.sentence_start[index.manifest.counts.n_sentences])
    mask = np.zeros(len(text.token_id) + 1, dtype=bool)
    mask[:n_indexed] = True
    if asked.meta:
        mask[:-1] &= _of_sentences(index, sentences_with(index, asked.meta))
    if asked.text is not None:
        places = _places(index, asked.text, prefix_only(index, asked.within), time_limit_s)
        mask[:-1] &= _from_places(index, places)
        note = places.note
    if asked.fires_on is not None:
        mask[:-1] &= text.token_id == token_id(index, asked.fires_on)
    if asked.next_token is not None:
        mask[:-2] &= text.token_id[1:] == token_id(index, asked.next_token)
        mask[text.sentence_start[1:].astype(np.int64) - 1] = False  # nothing follows the last token of a sentence
    changes = np.flatnonzero(mask[1:] != mask[:-1]) + 1
    if mask[0]:
        changes = np.concatenate(([0], changes))
    return Marks(mask, changes[::2], changes[1::2], _share(index, mask, n_indexed), note)


def _share(index: Index, mask: np.ndarray, n_indexed: int) -> float:
    """Of all positions that are indexed; those that only stand before others are none."""
    counted, n = int(np.count_nonzero(mask)), n_indexed
    if index.text.context is not None:
        n_sentences = index.manifest.counts.n_sentences
        starts = index.text.sentence_start[:n_sentences].astype(np.int64)
        change = np.zeros(n_indexed + 1, dtype=np.int32)
        np.add.at(change, starts, 1)
        np.add.at(change, starts + index.text.context[:n_sentences], -1)
        is_context = np.cumsum(change[:-1]) > 0
        counted -= int(np.count_nonzero(mask[:n_indexed] & is_context))
        n -= int(np.count_nonzero(is_context))
    return counted / n if n else 0.0


def _of_sentences(index: Index, chosen: np.ndarray) -> np.ndarray:
    """For each token, whether its sentence is chosen."""
    lengths: np.ndarray = np.diff(index.text.sentence_start.astype(np.int64))
    return np.repeat(chosen, lengths)


def _from_places(index: Index, places: TextPlaces) -> np.ndarray:
    """For each token, whether its sentence has the text, and has it up to here."""
    starts = index.text.sentence_start
    firsts = starts[places.sentences].astype(np.int64) + places.positions
    ends = starts[places.sentences + 1].astype(np.int64)
    change = np.zeros(len(index.text.token_id) + 1, dtype=np.int8)
    change[firsts] = 1
    change[ends] -= 1  # where one sentence ends and the next begins with a match, they cancel out
    return np.cumsum(change[:-1], dtype=np.int8).astype(bool)


def _places(index: Index, text: str, prefix: bool, time_limit_s: float) -> TextPlaces:
    return _remembered(
        index, (text, prefix), lambda: text_places(index, text, prefix=prefix, time_limit_s=time_limit_s)
    )


def _remembered(index: Index, key: tuple[str, bool], make: Callable[[], TextPlaces]) -> TextPlaces:
    """What the last few questions found: a filter that is added, or another page of cells, reads no text again."""
    with _lock:
        known = _kept.setdefault(index, OrderedDict())
        if key in known:
            known.move_to_end(key)
            return known[key]
    found = make()
    if not found.note:  # what was stopped by the clock may come further the next time
        with _lock:
            known[key] = found
            while len(known) > _MOST_KEPT:
                known.popitem(last=False)
    return found
