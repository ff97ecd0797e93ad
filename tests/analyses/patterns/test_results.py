"""Patterns in words: which rows a cell and a sign have, in what order, and what each of them says."""

import json
from collections.abc import Callable

import numpy as np
import pytest

from ffmem import Index
from ffmem.analyses.patterns.kinds import Kind
from ffmem.analyses.patterns.lexical import SHAPES
from ffmem.analyses.patterns.results import Found, Patterns, Score, Scores
from ffmem.analyses.patterns.semantic import Meaning

Row = tuple[int, int, int, int, bool]
"""Unit, value, set of triggers, example, whether it is accepted."""


def found_of(kind: Kind, rows: list[Row]) -> Found:
    unit, value, triggers, example, accepted = (np.array(column) for column in zip(*rows, strict=True))
    n = np.array([int(one).bit_count() for one in triggers])
    numbers = (np.arange(len(rows)) + 1) / 100
    return Found(
        kind, unit.astype(np.int64), value.astype(np.uint64), triggers.astype(np.uint32), n, example.astype(np.int64),
        numbers, numbers / 10, numbers / 5, accepted.astype(bool),
    )  # fmt: skip


@pytest.fixture
def index(index_of: Callable[[str], Index]) -> Index:
    """Of gated cells, so that each has two signs."""
    return index_of("llama")


@pytest.fixture
def patterns(index: Index) -> Patterns:
    """Of cell L1.2, which is unit 4 with sign 1 and unit 5 with sign -1; and one of another unit before it."""
    token = int(index.text.token_id[40])
    nothing = tuple(found_of(kind, [(0, 0, 7, 0, False)]) for kind in ("token", "2-gram", "position", "shape", "topic"))
    own = (
        found_of(
            "token", [(3, 1, 7, 0, True), (4, token, 0b10101, 40, True), (4, 9, 0b1111, 0, True), (5, 8, 7, 0, True)]
        ),
        found_of("2-gram", [(4, 123, 0b1110, 41, True), (5, 124, 0b111, 41, False)]),
        found_of("position", [(4, 6, 0b111, 0, False)]),
        found_of("shape", [(5, 4, 0b111, 0, True)]),
        found_of("topic", [(5, 1, 0b111, 0, True)]),
    )
    meaning = Meaning("topic", ("rivers", "engines"), np.zeros(1, np.int32), np.ones(2) / 2, 2)
    return Patterns((nothing, own), (), (), (), meaning)


def text_of(index: Index, first: int, last: int) -> str:
    """Of some tokens, by joining those of the vocabulary."""
    return "".join(index.text.token_strings(index.text.token_id[first : last + 1].tolist()))


def test_a_cell_has_the_patterns_of_its_own_unit_those_of_most_triggers_first(index: Index, patterns: Patterns) -> None:
    cell = index.cells.cell_id(1, 2)
    found = patterns.of_unit(index, cell)
    assert [(one.cell, one.sign, one.kind) for one in found] == [
        (cell, 1, kind) for kind in ("token", "token", "2-gram")
    ]
    assert [one.triggers for one in found] == [(0, 1, 2, 3), (0, 2, 4), (1, 2, 3)]
    assert [one.n for one in found] == [4, 3, 3]
    assert [one.frequency for one in found] == pytest.approx([0.03, 0.02, 0.01])
    assert [one.p for one in found] == pytest.approx([0.003, 0.002, 0.001])
    assert [one.p_in_unit for one in found] == pytest.approx([0.006, 0.004, 0.002])
    rejected = patterns.of_unit(index, cell, rejected=True)
    assert [(one.kind, one.accepted) for one in rejected][3:] == [("position", False)]
    assert patterns.of_unit(index, index.cells.cell_id(1, 7)) == ()


def test_each_kind_in_words(index: Index, patterns: Patterns) -> None:
    cell = index.cells.cell_id(1, 2)
    up, down = (patterns.of_unit(index, cell, sign, rejected=True) for sign in (1, -1))
    assert up[1].text == f'ends with "{text_of(index, 40, 40)}"'
    assert up[2].text == f'contains "{text_of(index, 40, 41)}"'
    assert up[3].text == "ends at position 6 of its sentence"
    assert [one.sign for one in down] == [-1] * 4
    assert [one.text for one in down if one.accepted][1:] == [f"ends with {SHAPES[4]}", "topic engines"]
    assert [one.pattern_class for one in down] == ["shallow", "shallow", "lexical", "semantic"]


def test_all_of_a_layer_are_those_of_its_cells(index: Index, patterns: Patterns) -> None:
    by_cell = [
        one
        for row in range(index.cells.layers[1].n_cells)
        for sign in (1, -1)
        for one in patterns.of_unit(index, index.cells.cell_id(1, row), sign)
    ]
    every = list(patterns.accepted(index, 1))
    assert len(every) == 7 and {str(one) for one in every} == {str(one) for one in by_cell}
    assert list(patterns.accepted(index, 0)) == []


def test_scores_stand_beside_their_rows_and_what_is_no_number_is_none(index: Index, patterns: Patterns) -> None:
    def score(n: int) -> Score:
        numbers = np.arange(n) / 10
        return Score(numbers, numbers + 0.05, np.full(n, np.nan), np.arange(n))

    scores = Scores(9, tuple(tuple(score(len(one.unit)) for one in layer) for layer in patterns.found), ())
    found = patterns.of_unit(index, index.cells.cell_id(1, 2), scores=scores)
    assert [(one.auc, one.precision, one.recall) for one in found] == [
        (0.2, pytest.approx(0.25), None), (0.1, pytest.approx(0.15), None), (0.0, 0.05, None),
    ]  # fmt: skip
    written = json.loads(json.dumps(found[0].to_json()))
    assert (written["n"], written["auc"], written["recall"]) == (4, 0.2, None)
    assert written["cell"] == "L1.2" and written["triggers"] == [0, 1, 2, 3]
    assert patterns.of_unit(index, index.cells.cell_id(1, 2))[0].auc is None
