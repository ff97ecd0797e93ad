"""What the triggers of a unit share, against loops over their tokens; which of them count."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffmem.analyses.patterns import detect
from ffmem.analyses.patterns.detect import Shared, Triggers, shared_meanings, shared_values
from ffmem.analyses.patterns.kinds import GRAM_LENGTH, Features, Kind
from tests.analyses.patterns.made import Text, Unit, texts, units_of

KINDS: tuple[Kind, ...] = ("token", "position", *GRAM_LENGTH, "topic")
Rows = dict[tuple[int, object], list[int]]
"""(unit, value) -> the slots that share it."""


@settings(max_examples=30)
@given(st.data())
def test_a_trigger_counts_once_a_prefix_and_once_a_document(data: st.DataObject) -> None:
    text = data.draw(texts())
    units = data.draw(units_of(text))
    features = text.features()
    triggers = Triggers.of(features.tokens, text.stored(units))
    once = triggers.once_a_document(features.tokens, np.array(text.documents))
    assert triggers.n.tolist() == [len(text.counted(unit)) for unit in units]
    for number, unit in enumerate(units):
        slots = text.counted(unit)
        assert np.flatnonzero(triggers.counted[number]).tolist() == slots
        seen: set[int] = set()
        first = []
        for slot in slots:
            document = text.documents[unit[slot][0]]  # type: ignore[index]
            if document not in seen:
                first.append(slot)
            seen.add(document)
        assert np.flatnonzero(once.counted[number]).tolist() == first


def by_loops(text: Text, kind: Kind, units: list[Unit], slots: list[list[int]]) -> Rows:
    found: Rows = {}
    for number, (unit, counting) in enumerate(zip(units, slots, strict=True)):
        for slot in counting:
            for value in text.values(kind, *unit[slot]):  # type: ignore[misc]
                found.setdefault((number, value), []).append(slot)
    return {key: having for key, having in found.items() if len(having) >= 3}


def as_rows(features: Features, kind: Kind, shared: Shared) -> Rows:
    """Each row's value as the tokens that end at its example, where it is an n-gram."""
    found: Rows = {}
    for unit, value, slots, example in zip(shared.unit, shared.value, shared.slots, shared.example, strict=True):
        n = GRAM_LENGTH.get(kind)
        what = int(value) if n is None else tuple(features.tokens.token_id[example - n + 1 : example + 1].tolist())
        found[int(unit), what] = [slot for slot in range(32) if int(slots) >> slot & 1]
    assert len(found) == len(shared.unit)  # no value twice
    return found


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30)
@given(data=st.data())
def test_values_are_shared_as_loops_find_them(kind: Kind, data: st.DataObject) -> None:
    text = data.draw(texts())
    units = data.draw(units_of(text))
    features = text.features()
    shared = shared_values(features, kind, Triggers.of(features.tokens, text.stored(units)))
    expected = by_loops(text, kind, units, [text.counted(unit) for unit in units])
    assert as_rows(features, kind, shared) == expected
    assert shared.n.tolist() == [int(slots).bit_count() for slots in shared.slots]
    assert (np.diff(shared.unit) >= 0).all()
    for unit, value, example in zip(shared.unit, shared.value, shared.example, strict=True):
        # the example is in one of the unit's own triggers
        places = [features.of(kind, np.array([end])) for end in text.stored(units)[unit].tolist() if end < 2**32 - 1]
        assert any((one.value == value)[one.end == example].any() for one in places)


@settings(max_examples=30)
@given(st.data())
def test_meanings_must_come_from_three_documents(data: st.DataObject) -> None:
    """And then all triggers that count have it, not only the first of each document."""
    text = data.draw(texts())
    units = data.draw(units_of(text))
    features = text.features()
    triggers = Triggers.of(features.tokens, text.stored(units))
    once = triggers.once_a_document(features.tokens, np.array(text.documents))
    found = shared_meanings(features, "topic", triggers, once)
    expected = {}
    for (unit, topic), slots in by_loops(text, "topic", units, [text.counted(unit) for unit in units]).items():
        n_documents = len({text.documents[units[unit][slot][0]] for slot in slots})  # type: ignore[index]
        if n_documents >= 3:
            expected[unit, topic] = (slots, n_documents)
    numbers = dict(zip(zip(found.unit.tolist(), found.value.tolist(), strict=True), found.n.tolist(), strict=True))
    slots_of = as_rows(features, "topic", found)
    assert {key: (slots_of[key], numbers[key]) for key in numbers} == expected


def test_many_units_are_those_of_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    dice = np.random.default_rng(0)
    text = Text([dice.integers(0, 4, 6).tolist() for _ in range(12)], list(range(12)), [0] * 12)
    prefixes = text.prefixes()
    units: list[Unit] = [[prefixes[i] for i in dice.integers(0, len(prefixes), 9)] for _ in range(30)]
    features = text.features()
    triggers = Triggers.of(features.tokens, text.stored(units))
    whole = shared_values(features, "2-gram", triggers)
    assert len(whole.unit) > 20
    monkeypatch.setattr(detect, "_UNITS_AT_A_TIME", 7)
    pieces = shared_values(features, "2-gram", triggers)
    for name in ("unit", "value", "slots", "n"):  # an example is of one of the triggers, no matter which
        assert np.array_equal(getattr(whole, name), getattr(pieces, name)), name


def test_without_units_nothing_is_shared() -> None:
    text = Text([[1, 2, 3]], [0], [0])
    features = text.features()
    for stored in (np.empty((0, 4), dtype=np.uint32), text.stored([[None] * 4])):
        shared = shared_values(features, "token", Triggers.of(features.tokens, stored))
        assert [len(getattr(shared, name)) for name in ("unit", "value", "slots", "n", "example")] == [0] * 5


def test_the_first_32_triggers_are_told_apart() -> None:
    text = Text([[4 + number, number % 4] for number in range(40)], list(range(40)), [0] * 40)
    features = text.features()
    units: list[Unit] = [[(number, 1) for number in range(32)]]
    shared = shared_values(features, "token", Triggers.of(features.tokens, text.stored(units)))
    assert as_rows(features, "token", shared) == {(0, token): list(range(token, 32, 4)) for token in range(4)}
