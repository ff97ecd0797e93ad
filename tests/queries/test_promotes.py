"""Cells that promote a token, against a loop over all cells."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ffmem import Index
from ffmem.index.indexed_model import load_indexed_model
from ffmem.queries import promotes
from ffmem.queries.names import token_id
from tests.queries.loops import every_cell, some_promoted

FAMILIES = ("gpt2", "llama")


@pytest.mark.parametrize("suppressed", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_promotes_equals_a_loop_over_all_cells(family: str, suppressed: bool, index_of: Callable[[str], Index]) -> None:
    index = index_of(family)
    token = some_promoted(index)
    expected = []
    for cell in every_cell(index):
        stored = cell.suppressed if suppressed else cell.promoted
        for rank, one in enumerate(stored):
            if one.token == token:
                score = one.logit if suppressed else -one.logit
                expected.append((rank, score, index.cells.place(cell.cell), str(cell.cell)))
    expected.sort()
    found = promotes(index, token, suppressed=suppressed, limit=10_000)
    assert [str(row.cell) for row in found.rows] == [name for *_, name in expected] and len(expected) > 2
    assert [row.rank for row in found.rows] == [rank for rank, *_ in expected] and found.n_cells == len(expected)
    first = promotes(index, token, suppressed=suppressed, layer="1:", limit=2).rows
    assert [str(r.cell) for r in first] == [name for *_, (place, _), name in expected if place >= 1][:2]


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2", "t5"])
def test_promotes_with_the_model_knows_every_value(
    family: str, index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    index = index_of(family)
    model = load_indexed_model(index, str(tiny_folder(family)))
    number = token_id(index, " the")
    for suppressed in (False, True):
        found = promotes(index, " the", suppressed=suppressed, limit=30, model=model).rows
        scores = [
            (model.value_rows(place) @ model.projection_matrix(index.manifest.layer_projections[place]).T).numpy()
            for place in range(index.n_layers)
        ]
        sign = -1 if suppressed else 1
        own = np.concatenate([one[:, number] for one in scores]) * sign
        assert [row.logit * sign for row in found] == pytest.approx(np.sort(own)[::-1][:30].tolist(), abs=1e-5)
        for row in found:
            place, at = index.cells.place(row.cell)
            order = np.lexsort((np.arange(scores[place].shape[1]), -sign * scores[place][at]))
            assert row.true_rank == order.tolist().index(number)
            assert row.rank == (row.true_rank if row.true_rank < 10 else None)
