"""One cell's life, against what each index says of the cell by itself."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from ffmem import Index, InputError
from ffmem.analyses.through_training.life import life
from ffmem.analyses.through_training.moments import moments_of
from ffmem.queries import diff
from tests.fixtures.training import COMES_BACK, DIES

Training = Callable[[str], Sequence[Index]]


def test_a_cell_that_dies_and_one_that_comes_back(training_of: Training) -> None:
    moments = moments_of(training_of("wikilm"))
    dies, back = (life(moments, f"L0.{cell}").moments for cell in (DIES, COMES_BACK))
    assert [one.trigger is None for one in dies] == [False, True, True, True]
    assert [one.trigger is None for one in back] == [False, True, False, False]
    assert [one.active_fraction > 0 for one in dies] == [True, False, False, False]
    assert dies[1].with_previous == 0 and np.isnan(dies[2].with_previous) and np.isnan(dies[0].with_previous)
    assert not any(one.agrees for one in dies[1:]) and back[-1].with_last == pytest.approx(1)


@pytest.mark.parametrize("family", ["wikilm", "llama"])
def test_it_is_what_each_index_says(training_of: Training, family: str) -> None:
    indexes = training_of(family)
    found = life(moments_of(indexes), "L1.2")
    assert str(found.cell) == "L1.2" and [one.step for one in found.moments] == [0, 10, 100, 1000]
    for index, one in zip(indexes, found.moments, strict=True):
        cell = index.cell("L1.2")
        first = [trigger for trigger in cell.triggers if trigger.rank == 0]
        assert one.trigger == max(first, key=lambda trigger: abs(trigger.coefficient))
        ends = cell.promoted if one.trigger.sign == 1 else cell.suppressed
        assert one.top_token == ends[0].token and one.agrees == (one.trigger.next_token == ends[0].token)
        assert (one.active_fraction, one.maximum) == (cell.statistics.active_fraction, cell.statistics.maximum)
    rows = diff(indexes[0], indexes[-1], limit=10_000).rows
    assert found.moments[0].with_last == pytest.approx(
        next(row.trigger_overlap for row in rows if str(row.cell) == "L1.2")
    )


def test_no_such_cell(training_of: Training) -> None:
    with pytest.raises(InputError):
        life(moments_of(training_of("wikilm")), "L0.9999")
