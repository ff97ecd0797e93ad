"""Layers in numbers, worked out by hand from tables of coefficients."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ffmem import Index
from ffmem.ids import LayerCells
from ffmem.queries.overview import agreement_of_first, n_dead, overview
from tests.fixtures.made_index import Document, Layer, make_index
from tests.queries.loops import every_cell

TEXT = [["a", "b", "c"], ["b", "a"]]
# fires first on "a" of the first sentence; on its "b"; on "a", the end of the second; never; never other than 0
TABLE = np.array([[9, 0, 1, -1, 0], [0, 3, 0, -2, 0], [0, 0, 0, -1, 0], [5, 2, 0, -9, 0], [0, 0, 7, -1, 0]])


def made(folder: Path, *, gated: bool = False, causal: bool = True) -> Index:
    promoted = [[1, 0], [0, 2], [0, 1], [1, 2], [1, 2]]  # the vocabulary is a, b, c
    return make_index(folder, [Document(TEXT)], [Layer(TABLE, promoted=promoted)], gated=gated, causal=causal)


def test_a_layer_by_hand(tmp_path: Path) -> None:
    (row,) = overview(made(tmp_path / "i"))
    assert (row.layer, row.n_cells, row.largest, row.n_dead) == ("L0", 5, 9.0, 2)
    assert row.active_fraction == pytest.approx((2 + 2 + 2) / 5 / 5) and row.active_quantiles == (0.0, 0.4, 0.4)
    # b follows a, and is promoted; c follows b, and a is promoted; nothing follows the third, the others never fire
    assert (row.agreement_rate, row.n_compared) == (0.5, 2)


def test_a_gated_cell_is_dead_only_if_it_is_never_other_than_0(tmp_path: Path) -> None:
    rows = overview(made(tmp_path / "i", gated=True))
    assert rows[0].n_dead == n_dead(rows) == 1


def test_who_does_not_predict_the_next_token_agrees_with_nothing(tmp_path: Path) -> None:
    index = made(tmp_path / "i", causal=False)
    assert agreement_of_first(index, 0) == (0, 0)
    (row,) = overview(index)
    assert row.agreement_rate is None and row.n_compared == 0


def test_a_layer_that_never_fires_and_an_expert_that_saw_nothing(tmp_path: Path) -> None:
    table = np.array([[-1, np.nan], [-2, np.nan], [0, np.nan]])
    layers = [Layer(table, LayerCells(0, 1, n_experts=2)), Layer([[1], [1], [0]])]
    rows = overview(make_index(tmp_path / "i", [Document([["a", "b", "c"]])], layers))
    assert (rows[0].agreement_rate, rows[0].n_compared, rows[0].active_fraction) == (None, 0, 0.0)
    assert (rows[0].n_dead, rows[1].n_dead, n_dead(rows), rows[0].n_cells) == (2, 0, 2, 2)
    assert rows[1].active_fraction == pytest.approx(2 / 3) and rows[1].layer == "L1"


@pytest.mark.parametrize("family", ["gpt2", "llama", "mixtral"])
def test_every_layer_against_a_loop_over_its_cells(family: str, index_of: Callable[[str], Index]) -> None:
    index = index_of(family)
    cells = list(every_cell(index))
    for row in overview(index):
        own = [one for one in cells if f"L{one.cell.layer}" == row.layer]
        active = [one.statistics.active_fraction for one in own]
        assert row.active_fraction == pytest.approx(sum(active) / len(own))
        assert row.active_quantiles == pytest.approx(tuple(np.percentile(active, (25, 50, 75))))
        assert row.largest == max(max(one.statistics.maximum, -one.statistics.minimum) for one in own)
        first = [
            (one.promoted[0].token_id, one.triggers[0]) for one in own if one.triggers and one.triggers[0].sign == 1
        ]
        followed = [
            (promoted, index.text.sentence(one.sentence_id).token_ids[one.position + 1])
            for promoted, one in first
            if one.next_token is not None
        ]
        assert row.n_compared == len(followed) > 0
        assert row.agreement_rate == sum(one == other for one, other in followed) / len(followed)
