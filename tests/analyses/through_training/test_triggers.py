"""Overlaps of trigger lists: of a moment with itself, of two cells that changed places, of lists drawn by lot."""

import numpy as np
import pytest

from ffmem import Index
from ffmem.analyses.through_training.triggers import (
    EMPTY,
    another,
    chance,
    documents_of,
    firing_tokens,
    half_of,
    overlap,
    sentences_of,
    shared,
    trigger_lists,
)
from ffmem.queries import diff


def drawn(n: int, top: int, of: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(of)[:top] for _ in range(n)])[:, None]


def test_a_moment_against_itself_and_two_cells_swapped() -> None:
    lists = drawn(40, 10, 5000, 0)
    assert overlap(lists, lists) == pytest.approx(1) and shared(lists, lists) == pytest.approx(1)
    swapped = lists.copy()
    swapped[[4, 9]] = lists[[9, 4]]
    for measure in (overlap, shared):
        found = measure(lists, swapped)
        assert np.flatnonzero(found < 0.5).tolist() == [4, 9] and np.delete(found, [4, 9]) == pytest.approx(1)


def test_lists_drawn_by_lot_share_what_chance_says() -> None:
    found = shared(drawn(4000, 20, 100, 1), drawn(4000, 20, 100, 2)).mean()
    assert chance(20, 100) == pytest.approx(20 / 180)
    # the mean of a ratio lies a little above the ratio of the means
    assert found == pytest.approx(chance(20, 100), abs=0.006)
    assert chance(50, 50) == 1 == chance(50, 20)


def test_shared_is_as_sets_have_it_also_for_gated_cells() -> None:
    rng = np.random.default_rng(3)
    left, right = (rng.integers(0, 30, (50, 2, 8)) for _ in range(2))
    left[3:9, 1, 5:] = right[7, 0] = EMPTY
    left[11] = right[11] = EMPTY
    found = shared(left, right)
    for cell in range(50):
        ratios = []
        for sign in range(2):
            one, other = ({*map(int, lists[cell, sign])} - {EMPTY} for lists in (left, right))
            if one | other:
                ratios.append(len(one & other) / len(one | other))
        assert found[cell] == (pytest.approx(np.mean(ratios)) if ratios else pytest.approx(np.nan, nan_ok=True))


def test_it_is_the_overlap_that_diff_has(training_of) -> None:  # type: ignore[no-untyped-def]
    first, last = training_of("llama")[0], training_of("llama")[-1]
    by_diff = {row.cell: row.trigger_overlap for row in diff(first, last, limit=10_000).rows}
    for place in range(first.n_layers):
        found = overlap(trigger_lists(first, place), trigger_lists(last, place))
        for row, value in enumerate(found.tolist()):
            expected = by_diff[first.cells.cell_id(place, row)]
            assert value == pytest.approx(expected) or (value != value and expected == 1)


def test_halves_share_no_document_and_their_tokens_are_those_of_triggers(training_of) -> None:  # type: ignore[no-untyped-def]
    index: Index = training_of("wikilm")[-1]
    half = half_of(index.manifest.counts.n_documents)
    assert abs(int(half.sum()) - len(half) / 2) <= 0.5
    lists = trigger_lists(index, 0)
    sentences, documents = sentences_of(index, lists), documents_of(index, lists)
    first, second = firing_tokens(index, lists, half), firing_tokens(index, lists, ~half)
    for row in range(len(lists)):
        wanted: dict[bool, list[int]] = {True: [], False: []}
        for trigger in index.cell(index.cells.cell_id(0, row)).triggers:
            place = trigger.rank
            assert (sentences[row, 0, place], documents[row, 0, place]) == (
                trigger.sentence_id, trigger.document.document_id,
            )  # fmt: skip
            token = int(index.text.token_id[lists[row, 0, place]])
            side = wanted[bool(half[trigger.document.document_id])]
            if token not in side:
                side.append(token)
        assert [one for one in first[row, 0].tolist() if one != EMPTY] == wanted[True]
        assert [one for one in second[row, 0].tolist() if one != EMPTY] == wanted[False]


def test_another_cell_is_never_the_same_one() -> None:
    for n in (2, 7, 12):
        assert sorted(another(n)) == list(range(n)) and not (another(n) == np.arange(n)).any()
