"""Values that several triggers of a unit share."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64, UInt32, UInt64

from ffmem.analyses.patterns.chance import MIN_SHARED
from ffmem.analyses.patterns.kinds import Features, Kind
from ffmem.analyses.patterns.tokens import Tokens, mix
from ffmem.store.keys import NO_TOKEN

N_TRIGGERS = 25
"""The first triggers of a unit, as in the paper; at most 32, the bits of a set."""
_UNITS_AT_A_TIME = 256
"""So that their n-grams stay in the processor's cache."""


@dataclass(frozen=True)
class Triggers:
    """The first triggers of units."""

    ends: Int64[np.ndarray, "units slots"]
    """Token index that each prefix ends with; 0 where there is none."""
    counted: Bool[np.ndarray, "units slots"]
    """Whether it counts: it is there, and none before it in the unit has the same tokens up to its last one."""

    @classmethod
    def of(cls, tokens: Tokens, stored: np.ndarray) -> "Triggers":
        """From token indices as an index stores them, (units, slots), NO_TOKEN where none is."""
        real = stored != NO_TOKEN
        ends = np.where(real, stored, 0).astype(np.int64)
        hashes = np.where(real, tokens.prefix_hash(ends.reshape(-1)).reshape(ends.shape), 0)
        return cls(ends, real & _first_of_equals(hashes))

    def once_a_document(self, tokens: Tokens, document_of: Int64[np.ndarray, "sentences"]) -> "Triggers":
        """Of those that count, the first from each document.

        Args:
            tokens: of the index.
            document_of: the document of each sentence.
        """
        documents = document_of[tokens.sentence_of(self.ends.reshape(-1))].reshape(self.ends.shape)
        # those that do not count are told apart from all others
        places = -1 - np.arange(self.ends.shape[1])
        return Triggers(self.ends, self.counted & _first_of_equals(np.where(self.counted, documents, places)))

    @property
    def n(self) -> Int64[np.ndarray, "units"]:
        """Triggers of each unit that count."""
        n: np.ndarray = self.counted.sum(1, dtype=np.int64)
        return n


def _first_of_equals(values: np.ndarray) -> Bool[np.ndarray, "units slots"]:
    """In each row, whether no slot before has the same value."""
    order = np.argsort(values, axis=1, kind="stable")  # so the first of equals stays first
    in_order = np.take_along_axis(values, order, 1)
    first = np.ones(values.shape, dtype=bool)
    np.put_along_axis(first, order[:, 1:], in_order[:, 1:] != in_order[:, :-1], 1)
    return first


@dataclass(frozen=True)
class Shared:
    """Values that `MIN_SHARED` triggers of a unit or more have, a row each."""

    unit: Int64[np.ndarray, "rows"]
    value: UInt64[np.ndarray, "rows"]
    slots: UInt32[np.ndarray, "rows"]
    """The triggers that have it, bit 0 for the first trigger."""
    n: Int64[np.ndarray, "rows"]
    """How many these are; of semantic kinds, from how many documents."""
    example: Int64[np.ndarray, "rows"]
    """Token index that the value ends with in one of them."""


def shared_values(features: Features, kind: Kind, triggers: Triggers) -> Shared:
    """What the triggers of units share, ordered by unit.

    Cost: a sort of all values that the triggers have, some units at a time.
    """
    parts = []
    for first in range(0, len(triggers.ends), _UNITS_AT_A_TIME):
        counted = triggers.counted[first : first + _UNITS_AT_A_TIME]
        units, slots = np.nonzero(counted)
        having = features.of(kind, triggers.ends[first : first + _UNITS_AT_A_TIME][units, slots])
        parts.append(_shared(having.value, units[having.prefix] + first, slots[having.prefix], having.end))
    if not parts:
        parts.append(_shared(*(np.empty(0, dtype) for dtype in (np.uint64, np.int64, np.int64, np.int64))))
    return Shared(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def shared_meanings(features: Features, kind: Kind, triggers: Triggers, once: Triggers) -> Shared:
    """As `shared_values`, of values that triggers from `MIN_SHARED` documents share.

    Args:
        features: of the index.
        kind: a semantic one.
        triggers: of units.
        once: the first from each document.
    """
    every, strict = shared_values(features, kind, triggers), shared_values(features, kind, once)
    keys = [(one.unit.astype(np.uint64) << np.uint64(32)) + one.value for one in (every, strict)]  # both in this order
    some = np.isin(keys[0], keys[1])
    return Shared(every.unit[some], every.value[some], every.slots[some], strict.n, every.example[some])


def _shared(value: np.ndarray, unit: np.ndarray, slot: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, ...]:
    """The columns of Shared, from pairs of triggers and values, of which some may be there twice."""
    keys = mix(value + mix(unit.astype(np.uint64)))
    order = np.argsort(keys)
    run = _runs(keys[order])
    order = order[np.bincount(run, minlength=1)[run] >= MIN_SHARED]  # most pairs are gone now
    order = order[np.lexsort((slot[order], value[order], unit[order]))]
    same_unit_value = _runs(keys[order])
    again = np.zeros(len(order), dtype=bool)
    again[1:] = (same_unit_value[1:] == same_unit_value[:-1]) & (slot[order[1:]] == slot[order[:-1]])
    order, run = order[~again], same_unit_value[~again]
    n = np.bincount(run, minlength=1)
    order = order[n[run] >= MIN_SHARED]
    run = _runs(keys[order])
    begins = np.flatnonzero(np.diff(run, prepend=-1))
    bits = np.left_shift(np.uint32(1), slot[order].astype(np.uint32))
    sets = np.bitwise_or.reduceat(bits, begins) if len(begins) else bits
    first = order[begins]
    return unit[first], value[first], sets, np.bincount(run, minlength=len(begins))[: len(begins)], end[first]


def _runs(keys: np.ndarray) -> np.ndarray:
    """Number of the run of equals that each is in."""
    return np.concatenate(([0], (keys[1:] != keys[:-1]).cumsum()))[: len(keys)]
