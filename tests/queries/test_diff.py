"""Two indexes, cell by cell."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ffmem
from ffmem import Index, IndexOptions, InputError
from ffmem.queries import diff
from ffmem.queries.overlap import rank_biased_overlap
from tests.conftest import IN_PROCESS, write_corpus

FAMILIES = ("gpt2", "llama")


def test_an_index_does_not_differ_from_itself(index_of: Callable[[str], Index]) -> None:
    for family in FAMILIES:
        found = diff(index_of(family), index_of(family), limit=1000)
        assert found.compared == "triggers" and found.mean_overlap == pytest.approx(1)
        assert all(row.active_difference == row.mean_difference == 0 for row in found.rows)
        assert all(row.promoted_overlap == pytest.approx(1) for row in found.rows)


def test_two_models_over_one_corpus(index_of: Callable[[str], Index]) -> None:
    left, right = index_of("gpt2"), index_of("gpt_neox")
    found = diff(left, right, limit=10_000)
    assert found.compared == "triggers" and len(found.rows) == left.n_cells
    overlaps = [row.trigger_overlap for row in found.rows]
    assert overlaps == sorted(overlaps) and found.mean_overlap == pytest.approx(sum(overlaps) / len(overlaps))
    for row in found.rows[::20]:
        cells = [one.cell(row.cell) for one in (left, right)]
        lists = [[(t.sentence_id, t.position) for t in cell.triggers] for cell in cells]
        numbers = {pair: i for i, pair in enumerate({*lists[0], *lists[1]})}
        ids = [np.array([[numbers[pair] for pair in one] + [-1] * (7 - len(one))]) for one in lists]
        assert row.trigger_overlap == pytest.approx(rank_biased_overlap(*ids)[0])
        (p1, m1, v1), (p2, m2, v2) = (
            (s.active_fraction, s.mean, s.mean_square - s.mean**2) for s in (cell.statistics for cell in cells)
        )
        pooled = math.sqrt((p1 * (1 - p1) + p2 * (1 - p2)) / 2)
        assert row.active_difference == pytest.approx((p2 - p1) / pooled if p1 != p2 else 0)
        assert row.mean_difference == pytest.approx((m2 - m1) / math.sqrt((v1 + v2) / 2))
        assert row.active_fractions == pytest.approx((p1, p2)) and row.means == pytest.approx((m1, m2))
    by_mean = [abs(row.mean_difference) for row in diff(left, right, by="mean", layer="1").rows]
    assert by_mean == sorted(by_mean, reverse=True)


def test_one_model_over_two_corpora_is_compared_by_what_it_fires_on(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path], small_options: IndexOptions, tmp_path: Path
) -> None:
    other = write_corpus(tmp_path / "other.txt", 100, seed=1)
    left = index_of("gpt2")
    right = ffmem.build_index(tiny_folder("gpt2"), other, tmp_path / "i", options=small_options, run=IN_PROCESS)
    found = diff(left, right, limit=10_000)
    assert found.compared == "firing tokens" and all(row.promoted_overlap == pytest.approx(1) for row in found.rows)
    for row in found.rows[::20]:
        lists = []
        for index in (left, right):
            place, at = index.cells.place(row.cell)
            listed = index.layer(place).trigger_token[at, 0]
            tokens = index.text.token_id[listed[listed != 2**32 - 1]].tolist()
            lists.append(list(dict.fromkeys(tokens)))
        ids = [np.array([one + [-1] * (7 - len(one))]) for one in lists]
        expected = rank_biased_overlap(*ids)[0] if any(lists) else 1  # what is empty in both has not changed
        assert row.trigger_overlap == pytest.approx(expected)


def test_of_cells_that_differ_equally_the_most_active_come_first(index_of: Callable[[str], Index]) -> None:
    index = index_of("gpt2")
    found = diff(index, index, limit=1000)
    active = [row.active_fractions[0] for row in found.rows]
    assert active == sorted(active, reverse=True) and found.n_compared == index.n_cells == len(active)
    assert diff(index, index, start=5, limit=4).rows == found.rows[5:9]


def test_models_of_other_shapes_are_refused(index_of: Callable[[str], Index]) -> None:
    with pytest.raises(InputError, match=r"models of different shapes: .* 3 layers of 48 cells; .* 3 enc layers"):
        diff(index_of("gpt2"), index_of("t5"))
