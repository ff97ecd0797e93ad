"""Bars of a histogram against the slow way: every stored trigger looked for by hand."""

import math
from collections.abc import Callable

import pytest

from ffmem import Index
from ffmem.queries.bars import bars


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_bars_hold_every_sentence_and_every_stored_trigger(index_of: Callable[[str], Index], family: str) -> None:
    index = index_of(family)
    for row in range(12):
        cell = index.cell(index.cells.cell_id(1, row))
        for sign in (1, -1)[: index.n_signs]:
            found = bars(index, cell, sign)
            counts = cell.statistics.histogram[0 if sign > 0 else 1]
            filled = [n for n in counts if n]
            assert [one.n for one in found if one.n] == filled and sum(one.n for one in found) == sum(counts)
            assert found[0].n and found[-1].n
            assert [one.height for one in found] == pytest.approx(
                [math.log(1 + one.n) / math.log(1 + max(counts)) for one in found]
            )
            sizes = [abs(one.coefficient) for one in cell.triggers if one.sign == sign]
            for one in found:
                low, high = (-math.inf if one.low is None else one.low), (math.inf if one.high is None else one.high)
                assert one.n_triggers == sum(low <= size < high for size in sizes)


def test_a_cell_without_sentences_has_no_bars(index_of: Callable[[str], Index]) -> None:
    index = index_of("llama")
    cell = index.cell(index.cells.cell_id(0, 0))
    empty = tuple(tuple(0 for _ in row) for row in cell.statistics.histogram)
    nothing = type(cell.statistics)(**(cell.statistics.__dict__ | {"histogram": empty}))
    assert bars(index, type(cell)(**(cell.__dict__ | {"statistics": nothing})), 1) == ()
