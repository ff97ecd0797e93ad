"""From ranges of tokens to triggers, against a look at every slot."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffmem import Index
from ffmem.ids import LayerCells
from ffmem.queries.inverted import n_cells_of_sentences, triggers_within
from tests.fixtures.made_index import Document, Layer, make_index

N_TOKENS = 12


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    """Gated cells, some of which never fire: both lists, filled and not; a mixture beside a plain layer."""
    rng = np.random.default_rng(0)
    tables = [rng.integers(-3, 3, (N_TOKENS, n)) * (rng.random((1, n)) < 0.7) for n in (5, 4)]
    layers = [Layer(tables[0]), Layer(tables[1], LayerCells(1, 2, n_experts=2))]
    documents = [Document([["a"], ["b", "a", "c"], ["a", "a"], ["d"] * 6]), Document([["a", "b"]], held_out=True)]
    return make_index(tmp_path_factory.mktemp("made") / "i", documents, layers, gated=True, top=2)


@given(st.integers(0, 1), st.lists(st.tuples(st.integers(0, 14), st.integers(0, 14)), max_size=6))
@settings(max_examples=200, deadline=None)
def test_every_trigger_in_a_range_is_found_once(index: Index, place: int, ranges: list[tuple[int, int]]) -> None:
    pairs = [(min(pair), max(pair)) for pair in ranges]
    firsts, ends = (np.array([pair[i] for pair in pairs], dtype=np.int64) for i in (0, 1))
    which, rows, slots = triggers_within(index, place, firsts, ends)
    tokens = index.layer(place).trigger_token
    expected = sorted(
        (number, cell, (cell * 2 + sign) * 2 + rank)
        for number, (first, end) in enumerate(pairs)
        for cell in range(tokens.shape[0])
        for sign in range(2)
        for rank in range(2)
        if first <= tokens[cell, sign, rank] < end
    )
    assert sorted(zip(which.tolist(), rows.tolist(), slots.tolist(), strict=True)) == expected
    assert which.tolist() == sorted(which.tolist())


def test_an_empty_slot_is_in_no_range(index: Index) -> None:
    n_filled = sum(int((index.layer(place).trigger_token != 2**32 - 1).sum()) for place in range(2))
    n_slots = sum(index.layer(place).trigger_token.size for place in range(2))
    everything = [triggers_within(index, place, np.array([0]), np.array([N_TOKENS + 2]))[0] for place in range(2)]
    assert sum(map(len, everything)) == n_filled < n_slots


def test_a_cell_with_a_sentence_in_both_lists_counts_once(index: Index) -> None:
    expected = [len({one.cell for one in index.cells_of_sentence(number)}) for number in range(5)]
    both = [len(index.cells_of_sentence(number)) for number in range(5)]
    assert n_cells_of_sentences(index, np.arange(5)).tolist() == expected != both and expected[4] == 0
    order = np.array([3, 0, 3])
    assert n_cells_of_sentences(index, order).tolist() == [expected[number] for number in order]
    assert n_cells_of_sentences(index, np.array([], dtype=np.int64)).tolist() == []


def test_one_cell_that_never_fires(tmp_path: Path) -> None:
    index = make_index(tmp_path / "i", [Document([["a", "b"]])], [Layer([[-1], [0]])], top=1)
    assert [len(one) for one in triggers_within(index, 0, np.array([0]), np.array([2]))] == [0, 0, 0]
    assert n_cells_of_sentences(index, np.array([0])).tolist() == [0]
