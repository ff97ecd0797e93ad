"""Deaths, revivals and cells that turn off, planted; and what must add up in any course."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from ffmem import Index
from ffmem.analyses.through_training.lives import Flow, active_fraction, energy, flows, is_relu, turned_off
from tests.fixtures.training import COMES_BACK, DIES


def test_courses_by_hand() -> None:
    alive = np.array(
        [
            [1, 1, 1, 0, 0, 1],  # at the beginning
            [1, 0, 0, 0, 1, 1],
            [1, 0, 1, 0, 1, 0],
        ],
        dtype=bool,
    )
    first, second = flows(alive, np.zeros_like(alive))
    assert first == Flow(4, n_deaths=2, n_for_good=1, n_revivals=1, n_births=1, n_after=3, n_turned_off=0)
    assert second == Flow(3, n_deaths=1, n_for_good=1, n_revivals=1, n_births=0, n_after=3, n_turned_off=0)


@pytest.mark.parametrize("seed", range(3))
def test_who_lives_adds_up(seed: int) -> None:
    alive = np.random.default_rng(seed).random((7, 300)) < 0.7
    found = flows(alive, np.zeros_like(alive))
    for before, after in pairwise(found):
        assert before.n_after == after.n_before
    for one in found:
        assert one.n_after == one.n_before - one.n_deaths + one.n_revivals
        assert one.n_for_good <= one.n_deaths and one.n_births <= one.n_revivals
    assert [one.n_after for one in found] == alive[1:].sum(1).tolist()
    never_back = sum(bool(course.any()) and not course[-1] for course in alive.T)
    assert sum(one.n_for_good for one in found) == never_back


def test_cells_turn_off_once_and_for_good() -> None:
    fractions = np.array(
        [
            [0.5, 0.5, 0.005, 0.5, 0.0],
            [0.0, 0.0, 0.0, 0.002, 0.0],
            [0.0005, 0.3, 0.0, 0.002, 0.2],
            [0.0, 0.0009, 0.0, 0.002, 0.0],
        ]
    )
    off = turned_off(fractions)
    # at the second moment; at the last, since it came back; never often; never seldom; often between
    assert [np.flatnonzero(column).tolist() for column in off.T] == [[1], [3], [], [], [3]]


def test_what_was_planted_is_seen_in_the_indexes(training_of) -> None:  # type: ignore[no-untyped-def]
    indexes: list[Index] = training_of("wikilm")
    assert all(is_relu(index.manifest.model) for index in indexes)
    active = np.stack([active_fraction(index.layer(0), index.cells.layers[0].group_size) for index in indexes])
    assert (active[:, DIES] > 0).tolist() == [True, False, False, False]
    assert (active[:, COMES_BACK] > 0).tolist() == [True, False, True, True]
    n = indexes[0].manifest.counts.n_tokens
    assert active[0, DIES] == indexes[0].statistics(indexes[0].cell_id(f"L0.{DIES}")).n_tokens / n * (
        indexes[0].layer(0).n_active[DIES] / n
    )


def test_energy_is_shared_by_a_layer(training_of) -> None:  # type: ignore[no-untyped-def]
    index: Index = training_of("wikilm")[-1]
    arrays = index.layer(1)
    norms = np.arange(1.0, arrays.sum.shape[-1] + 1)
    shares = energy(arrays, norms)
    by_cell = []
    for row in range(len(norms)):
        statistics = index.statistics(index.cell_id(f"L1.{row}"))
        by_cell.append(statistics.mean_square * statistics.n_tokens * norms[row] ** 2)
    assert shares == pytest.approx(np.array(by_cell) / sum(by_cell)) and shares.sum() == pytest.approx(1)


def test_only_relu_is_exactly_silent(training_of) -> None:  # type: ignore[no-untyped-def]
    facts = training_of("wikilm")[0].manifest.model
    assert not is_relu(replace(facts, gated=True)) and not is_relu(replace(facts, activation="gelu"))
