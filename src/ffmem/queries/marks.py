"""Where in the text a trigger would match: conditions on triggers as a mask over the tokens."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from ffmem.queries.documents import documents_with
from ffmem.queries.mark_bits import OfDocuments, OfPlaces, Ranges, Sought, mark
from ffmem.queries.names import token_id
from ffmem.queries.remembered import Remembered
from ffmem.queries.runs import Runs
from ffmem.queries.text_places import TextPlaces, text_places
from ffmem.store.reader import Index

Within = Literal["auto", "prefix", "sentence"]
"""Where a trigger must have the words: up to the firing token, which is all that a causal model has read; or anywhere."""
_RARE = 8
"""If fewer than one of so many groups of tokens has one that matches, it is quicker to look at the groups first."""
_kept: Remembered[TextPlaces] = Remembered()


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

    bits: np.ndarray
    """Eight tokens a byte, the first in its lowest bit, and at least one bit more, which is 0, for empty slots."""
    n: int
    """How many tokens there are."""
    runs: Runs | None
    """None where these are more than `MOST_RUNS`."""
    base_rate: float
    """The share of all indexed positions that are."""
    note: str = ""
    """What was left out; empty if nothing was."""

    @cached_property
    def some(self) -> np.ndarray:
        """A bit for each 64 tokens, the first in the lowest of a byte: whether any of them is one."""
        eights = np.zeros(-(-len(self.bits) // 8), dtype=np.uint64)
        eights.view(np.uint8)[: len(self.bits)] = self.bits
        return np.packbits(eights != 0, bitorder="little")

    @cached_property
    def is_rare(self) -> bool:
        """Whether nearly all of these 64 have none."""
        return int(np.bitwise_count(self.some).sum(dtype=np.int64)) * _RARE * 64 < self.n

    def has(self, tokens: np.ndarray) -> np.ndarray:
        """Whether each token is one; the index of an empty slot is larger than any, and is none."""
        known = np.minimum(tokens, self.n)
        found: np.ndarray = (self.bits[known >> 3] >> (known & 7).astype(np.uint8)) & 1
        return found.view(bool)


def prefix_only(index: Index, within: Within) -> bool:
    """Whether a trigger must have the words up to its firing token: by default, where the model reads no further."""
    return index.manifest.model.causal if within == "auto" else within == "prefix"


def marks_of(index: Index, asked: OfTriggers, time_limit_s: float) -> Marks | None:
    """The token indices at which a trigger meets all that is asked; None if nothing is.

    Raises:
        InputError: text that is no token, no such field or value, or no such expression.

    Cost: one look at every token, or at those of the sentences that have the words, if these are few; the text of each of
    these; and memory of an eighth of a byte for each token.
    """
    if asked.empty:
        return None
    text, n_sentences, note = index.text, index.manifest.counts.n_sentences, ""
    ranges: list[Ranges] = []
    if asked.meta:
        ranges.append(OfDocuments(text, text.document_runs, documents_with(index, asked.meta)))
    if asked.text is not None:
        places = _places(index, asked.text, prefix_only(index, asked.within), time_limit_s)
        ranges.append(OfPlaces(text, places))
        note = places.note
    fires_on, next_token = (None if one is None else token_id(index, one) for one in (asked.fires_on, asked.next_token))
    found = mark(text, n_sentences, Sought(ranges, fires_on, next_token))
    n_competing = int(text.sentence_start[n_sentences])
    if text.context is not None:
        n_competing -= int(text.context[:n_sentences].sum(dtype=np.int64))
    share = found.n_counted / n_competing if n_competing else 0.0
    return Marks(found.bits, len(text.token_id), found.runs, share, note)


def _places(index: Index, text: str, prefix: bool, time_limit_s: float) -> TextPlaces:
    def make() -> TextPlaces:
        return text_places(index, text, prefix=prefix, time_limit_s=time_limit_s)

    return _kept.get(index, (text, prefix), make, lambda found: not found.note)
