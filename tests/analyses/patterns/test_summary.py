"""A layer in numbers, against loops over its triggers; and the numbers of a table of the paper."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffmem.analyses.patterns.kinds import CLASS_OF, Kind
from ffmem.analyses.patterns.results import Found
from ffmem.analyses.patterns.summary import LABELS, label_triggers, summarise

SLOTS = 6


def found_of(kind: Kind, rows: list[tuple[int, int, bool]]) -> Found:
    """Candidates from (unit, set of triggers, whether it is accepted); what else they are has no part here."""
    unit, triggers, accepted = zip(*sorted(rows), strict=True) if rows else ((), (), ())
    zeros = np.zeros(len(rows))
    n = np.array([one.bit_count() for one in triggers], dtype=np.int64)
    return Found(
        kind, np.array(unit, dtype=np.int64), zeros.astype(np.uint64), np.array(triggers, dtype=np.uint32), n,
        zeros.astype(np.int64), zeros, zeros, zeros, np.array(accepted, dtype=bool),
    )  # fmt: skip


def test_labels_of_the_papers_table_3() -> None:
    """k^5_895: 18 prefixes have the first pattern only, 3 both, 1 the second only, 3 none."""
    shallow, semantic = (1 << 21) - 1, 0b1111 << 18
    labels = label_triggers(
        np.ones((1, 25), dtype=bool), *(np.array([one], dtype=np.uint32) for one in (shallow, semantic))
    )
    counts = [int((labels == LABELS.index(name)).sum()) for name in LABELS]
    assert dict(zip(LABELS, counts, strict=True)) == {
        "shallow": 18, "shallow+semantic": 3, "semantic": 1, "not-covered": 3
    }  # fmt: skip


KINDS: tuple[Kind, ...] = ("token", "2-gram", "shape", "topic")


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_numbers_are_those_of_loops(data: st.DataObject) -> None:
    n_units = data.draw(st.integers(1, 4))
    counted = np.array(data.draw(st.lists(st.lists(st.booleans(), min_size=SLOTS, max_size=SLOTS),
                                          min_size=n_units, max_size=n_units)))  # fmt: skip
    rows: dict[Kind, list[tuple[int, int, bool]]] = {}
    for kind in KINDS:
        pairs = st.tuples(st.integers(0, n_units - 1), st.integers(1, 2**SLOTS - 1), st.booleans())
        some = [row for row in data.draw(st.lists(pairs, max_size=4)) if counted[row[0]].any()]
        # only triggers that count share anything
        bits = [int((counted[unit] * 2 ** np.arange(SLOTS)).sum()) for unit in range(n_units)]
        rows[kind] = [(unit, sets & bits[unit], accepted) for unit, sets, accepted in some if sets & bits[unit]]
    layer = summarise("L3", counted, [found_of(kind, rows[kind]) for kind in KINDS])

    labels, different = [], []
    for unit in range(n_units):
        sets = {
            semantic: {s for kind in KINDS if (CLASS_OF[kind] == "semantic") == semantic
                       for u, s, accepted in rows[kind] if u == unit and accepted}
            for semantic in (False, True)
        }  # fmt: skip
        different.append(len(sets[False]) + len(sets[True]))
        for slot in np.flatnonzero(counted[unit]).tolist():
            has = [any(one >> slot & 1 for one in sets[semantic]) for semantic in (False, True)]
            labels.append({(1, 1): "shallow+semantic", (1, 0): "shallow", (0, 1): "semantic"}.get((*map(int, has),),
                                                                                                  "not-covered"))  # fmt: skip
    fired = [unit for unit in range(n_units) if counted[unit].any()]
    assert (layer.layer, layer.n_units, layer.n_triggers) == ("L3", len(fired), len(labels))
    if not labels:
        assert math.isnan(layer.coverage.value) and math.isnan(layer.patterns_per_unit.value)
        assert all(math.isnan(share) for share in layer.covered_by_kind.values())
        return
    for name in LABELS:
        assert layer.labels[name].value == pytest.approx(labels.count(name) / len(labels))
        assert layer.labels[name].n == len(labels)
    assert layer.coverage.value == pytest.approx(1 - labels.count("not-covered") / len(labels))
    if len(fired) > 1:  # of one unit nothing is known of others
        assert layer.coverage.low <= layer.coverage.value <= layer.coverage.high
    n_semantic = labels.count("semantic") + labels.count("shallow+semantic")
    assert layer.semantic.value == pytest.approx(n_semantic / len(labels))
    assert layer.patterns_per_unit.value == pytest.approx(sum(different[unit] for unit in fired) / len(fired))
    assert layer.units_with_pattern.value == pytest.approx(sum(n > 0 for n in different) / len(fired))
    for kind in KINDS:
        having = {unit for unit, _, accepted in rows[kind] if accepted}
        covered = {
            (unit, slot) for unit, s, accepted in rows[kind] if accepted for slot in range(SLOTS) if s >> slot & 1
        }
        assert layer.units_with_kind[kind].value == pytest.approx(len(having) / len(fired))
        assert layer.covered_by_kind[kind] == pytest.approx(len(covered) / len(labels))


def test_intervals_are_of_units_that_are_drawn() -> None:
    """Two units of which one is covered whole: any draw has 0, 1 or 2 of it, whatever the number of triggers."""
    counted = np.ones((2, SLOTS), dtype=bool)
    layer = summarise("L0", counted, [found_of("token", [(0, 2**SLOTS - 1, True)])])
    assert layer.coverage.value == 0.5 and layer.coverage.low < 0.01 and layer.coverage.high > 0.99
    assert summarise("L0", counted, [found_of("token", [(0, 2**SLOTS - 1, True)])], seed=0) == layer


def test_an_n_gram_within_another_of_the_same_triggers_is_no_second_pattern() -> None:
    counted = np.ones((1, SLOTS), dtype=bool)
    found = [found_of("token", [(0, 0b111, True)]), found_of("2-gram", [(0, 0b111, True), (0, 0b1110, True)])]
    assert summarise("L0", counted, found).patterns_per_unit.value == 2
    found.append(found_of("topic", [(0, 0b111, True)]))  # what it is about is another thing
    assert summarise("L0", counted, found).patterns_per_unit.value == 3
